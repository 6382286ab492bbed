"""Token counts as the OpenAI protocol reports them, put into disjoint classes.

`prompt_tokens` holds what came from a cache or went into one, sound and images, and `completion_tokens` the reasoning
and the sound. What of the cached tokens was sound is not told, so of the sound as much is taken for uncached as can
be. Who speaks the protocol without being OpenAI strays a little: cache reads at the top level (Together, DeepSeek,
Mistral), cache writes (OpenRouter), reasoning beside the completion instead of in it (xAI) or in nothing but the
total (Gemini), an embedding's total alone (Voyage).
"""

from typing import Final

import msgspec

from adapters.counts import UNREADABLE, Count, tokens
from adapters.wire import decoded, given
from scaigrid.errors import GatewayError
from scaigrid.types import Usage


class _Details(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


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
    """Usage from the JSON of a `usage` member, None for none, UNREADABLE for what is none."""
    if raw is None or not given(raw):
        return None
    try:
        said = decoded(_reported, raw)
    except GatewayError:
        return UNREADABLE
    of_prompt = said.prompt_tokens_details or _NO_DETAILS
    of_completion = said.completion_tokens_details or _NO_DETAILS
    total = tokens(said.total_tokens)
    output = tokens(said.completion_tokens)
    prompt = tokens(said.prompt_tokens) if said.prompt_tokens is not None else max(total - output, 0)
    # What is in the total and in no class was made too, and is billed by the provider: reasoning that it hides.
    output = max(output, total - prompt)
    cached = of_prompt.cached_tokens or said.cached_tokens or said.prompt_cache_hit_tokens or said.num_cached_tokens
    return _split(prompt, cached, of_prompt, output, of_completion)


class _ResponseReported(msgspec.Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_response_reported: Final = msgspec.json.Decoder(_ResponseReported)


def of_response(raw: msgspec.Raw | None) -> Usage | None:
    """Usage from the `usage` member of a response of the Responses API; as `usage` where there is none."""
    if raw is None or not given(raw):
        return None
    try:
        said = decoded(_response_reported, raw)
    except GatewayError:
        return UNREADABLE
    of_input = said.input_tokens_details or _NO_DETAILS
    of_output = said.output_tokens_details or _NO_DETAILS
    return _split(tokens(said.input_tokens), of_input.cached_tokens, of_input, tokens(said.output_tokens), of_output)


def _split(prompt: int, cached: Count, of_prompt: _Details, output: int, of_output: _Details) -> Usage:
    cache_read = min(tokens(cached), prompt)
    rest = prompt - cache_read
    cache_write = min(tokens(of_prompt.cache_write_tokens), rest)
    rest -= cache_write
    audio_input = min(tokens(of_prompt.audio_tokens), rest)
    rest -= audio_input
    image_input = min(tokens(of_prompt.image_tokens), rest)
    audio_output = min(tokens(of_output.audio_tokens), output)
    image_output = min(tokens(of_output.image_tokens), output - audio_output)
    text = output - audio_output - image_output
    return Usage(
        input=rest - image_input,
        cache_read=cache_read,
        cache_write=cache_write,
        output=text,
        reasoning=min(tokens(of_output.reasoning_tokens), text),
        audio_input=audio_input,
        audio_output=audio_output,
        image_input=image_input,
        image_output=image_output,
    )
