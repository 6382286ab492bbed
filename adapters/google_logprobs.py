"""Gemini's log probabilities in OpenAI's shape, which canonical events bear.

Source: Gemini API reference, "LogprobsResult"; OpenAI API reference, "The chat completion object".
"""

from typing import Any

import msgspec


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float | None = None


class _Tops(msgspec.Struct):
    candidates: list[_Token] = []


class Result(msgspec.Struct, rename="camel"):
    """What was chosen at each step, and beside it what was likely there."""

    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tops] = []


def log_probs(result: Result) -> msgspec.Raw:
    """`{"content": [...]}` with one entry for each chosen token."""
    content: list[dict[str, Any]] = []
    for place, chosen in enumerate(result.chosen_candidates):
        likely = result.top_candidates[place].candidates if place < len(result.top_candidates) else ()
        content.append({**_entry(chosen), "top_logprobs": [_entry(one) for one in likely]})
    return msgspec.Raw(msgspec.json.encode({"content": content}))


def _entry(token: _Token) -> dict[str, Any]:
    # What Gemini leaves out of a number is 0: the token was certain.
    return {"token": token.token, "logprob": token.log_probability or 0.0, "bytes": list(token.token.encode())}
