"""Token counts as the OpenAI protocol reports them, put into disjoint classes.

`prompt_tokens` holds what came from a cache or went into one, and `completion_tokens` the reasoning. Who speaks the
protocol without being OpenAI strays a little: cache reads at the top level (Together, DeepSeek), cache writes
(OpenRouter), reasoning beside the completion instead of in it (xAI), an embedding's total alone (Voyage).
"""

from typing import Final

import msgspec

from adapters.wire import NULL, decoded
from scaigrid.types import Usage

_Count = int | float | None
_MOST: Final = 10**9
"""No answer has that many tokens: a count beyond it is a fault, and must not become a bill."""


class _Details(msgspec.Struct):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    reasoning_tokens: _Count = None


class _Reported(msgspec.Struct):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    total_tokens: _Count = None
    cached_tokens: _Count = None
    prompt_cache_hit_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_reported: Final = msgspec.json.Decoder(_Reported)
_NO_DETAILS: Final = _Details()


def usage(raw: msgspec.Raw | bytes | None) -> Usage | None:
    """Usage from the JSON of a `usage` member, None for none. Raises UPSTREAM_SHAPE_MISMATCH."""
    if raw is None or bytes(raw) == NULL:
        return None
    said = decoded(_reported, raw)
    of_prompt = said.prompt_tokens_details or _NO_DETAILS
    of_completion = said.completion_tokens_details or _NO_DETAILS
    total = tokens(said.total_tokens)
    output = tokens(said.completion_tokens)
    prompt = tokens(said.prompt_tokens) if said.prompt_tokens is not None else max(total - output, 0)
    cached = of_prompt.cached_tokens or said.cached_tokens or said.prompt_cache_hit_tokens
    cache_read = min(tokens(cached), prompt)
    cache_write = min(tokens(of_prompt.cache_write_tokens), prompt - cache_read)
    reasoning = tokens(of_completion.reasoning_tokens)
    if reasoning and total >= prompt + output + reasoning:
        output += reasoning
    return Usage(
        input=prompt - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=output,
        reasoning=min(reasoning, output),
    )


def tokens(count: _Count) -> int:
    """A count as a provider gives it, brought to a whole number from 0 to the most that can be meant."""
    return 0 if count is None else int(min(max(count, 0), _MOST))
