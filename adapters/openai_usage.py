"""Token counts as the OpenAI protocol reports them, put into disjoint classes.

`prompt_tokens` holds what came from a cache or went into one, and `completion_tokens` the reasoning. Who speaks the
protocol without being OpenAI strays a little: cache reads at the top level (Together, DeepSeek, Mistral), cache
writes (OpenRouter), reasoning beside the completion instead of in it (xAI) or in nothing but the total (Gemini), an
embedding's total alone (Voyage).
"""

from typing import Final

import msgspec

from adapters.counts import Count, tokens
from adapters.wire import decoded, given
from scaigrid.types import Usage


class _Details(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    reasoning_tokens: Count = None


class _Reported(msgspec.Struct):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    cached_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    num_cached_tokens: Count = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_reported: Final = msgspec.json.Decoder(_Reported)
_NO_DETAILS: Final = _Details()


def usage(raw: msgspec.Raw | None) -> Usage | None:
    """Usage from the JSON of a `usage` member, None for none. Raises UPSTREAM_SHAPE_MISMATCH."""
    if raw is None or not given(raw):
        return None
    said = decoded(_reported, raw)
    of_prompt = said.prompt_tokens_details or _NO_DETAILS
    of_completion = said.completion_tokens_details or _NO_DETAILS
    total = tokens(said.total_tokens)
    output = tokens(said.completion_tokens)
    prompt = tokens(said.prompt_tokens) if said.prompt_tokens is not None else max(total - output, 0)
    # What is in the total and in no class was made too, and is billed by the provider: reasoning that it hides.
    output = max(output, total - prompt)
    cached = of_prompt.cached_tokens or said.cached_tokens or said.prompt_cache_hit_tokens or said.num_cached_tokens
    cache_read = min(tokens(cached), prompt)
    cache_write = min(tokens(of_prompt.cache_write_tokens), prompt - cache_read)
    reasoning = tokens(of_completion.reasoning_tokens)
    return Usage(
        input=prompt - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=output,
        reasoning=min(reasoning, output),
    )


class _ResponseReported(msgspec.Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_response_reported: Final = msgspec.json.Decoder(_ResponseReported)


def of_response(raw: msgspec.Raw | None) -> Usage | None:
    """Usage from the `usage` member of a response of the Responses API, None for none. Raises as `usage` does."""
    if raw is None or not given(raw):
        return None
    said = decoded(_response_reported, raw)
    of_input = said.input_tokens_details or _NO_DETAILS
    of_output = said.output_tokens_details or _NO_DETAILS
    whole, output = tokens(said.input_tokens), tokens(said.output_tokens)
    cache_read = min(tokens(of_input.cached_tokens), whole)
    cache_write = min(tokens(of_input.cache_write_tokens), whole - cache_read)
    return Usage(
        input=whole - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=output,
        reasoning=min(tokens(of_output.reasoning_tokens), output),
    )
