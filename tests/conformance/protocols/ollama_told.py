"""What a recorded answer of Ollama's own API says, and the same chat as a stream where it was recorded whole."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Tokens, Told
from tests.conformance.wire import decoded, inner, is_object
from tests.harness.recordings import Recorded


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if recorded.uri.endswith("/embed"):
        body = decoded(text)
        return Told(vectors=body["embeddings"], tokens=Tokens(input=body["prompt_eval_count"], output=0))
    return _told([decoded(line) for line in text.splitlines() if line.strip()])


def _told(pieces: Sequence[dict[str, Any]]) -> Told:
    choice = Choice()
    for piece in pieces:
        if "error" in piece:
            return Told(choices={0: choice} if piece is not pieces[0] else {}, failed=refusals.codes(None, str(piece)))
        message = inner(piece, "message")
        choice.text += message.get("content") or ""
        choice.reasoning += message.get("thinking") or ""
        for call in filter(is_object, message.get("tool_calls") or ()):
            function: dict[str, Any] = call["function"]
            choice.tools.append(Called(call.get("id"), function["name"], function.get("arguments") or {}))
        choice.tokens += [(one["token"], one["logprob"]) for one in piece.get("logprobs") or ()]
        if piece["done"]:
            length = piece.get("done_reason") == "length"
            choice.finish = "length" if length else "tool_calls" if choice.tools else "stop"
            return Told(choices={0: choice}, tokens=_tokens(piece))
    return Told(choices={0: choice}, failed=frozenset({Code.UPSTREAM_SHAPE_MISMATCH}))


def _tokens(last: dict[str, Any]) -> Tokens | None:
    counts = (last.get("prompt_eval_count"), last.get("eval_count"))
    return None if counts == (None, None) else Tokens(input=counts[0] or 0, output=counts[1] or 0)


def as_stream(recorded: Recorded) -> Recorded:
    """The same chat, had its client asked for a stream. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded) or recorded.uri.endswith("/embed"):
        raise NotRun("a stream already, or no chat")
    pieces = _pieces(decoded(recorded.response_body))
    return msgspec.structs.replace(
        recorded,
        request_json={name: value for name, value in recorded.request_json.items() if name != "stream"},
        response_headers=(("content-type", "application/x-ndjson"),),
        response_body="".join(json.dumps(one, ensure_ascii=False) + "\n" for one in pieces).encode(),
    )


def _pieces(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message = body["message"]
    head = {name: body[name] for name in ("model", "created_at")}
    empty = {"role": "assistant", "content": ""}

    def piece(**said: Any) -> dict[str, Any]:
        return {**head, "message": {**empty, **said}, "done": False}

    yield from (piece(thinking=one) for one in cut(message.get("thinking") or ""))
    if log_probs := body.get("logprobs"):
        # Where each token has its probability, each comes by itself.
        yield from ({**piece(content=one["token"]), "logprobs": [one]} for one in log_probs)
    else:
        yield from (piece(content=one) for one in cut(message.get("content") or ""))
    yield from (piece(tool_calls=[one]) for one in message.get("tool_calls") or ())
    rest = {name: value for name, value in body.items() if name not in ("message", "logprobs")}
    yield {**rest, "message": empty}
