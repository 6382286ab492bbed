"""Token counts as Gemini reports them, put into disjoint classes.

Source: Gemini API reference, "UsageMetadata". `promptTokenCount` holds what came from a cache; what the provider's own
tools put into the prompt, and what the model thought, stand beside it and beside `candidatesTokenCount`. The details
tell each of them apart by what it was: sound and images are charged apart, films and documents as text.
"""

from typing import Final

import msgspec

from adapters.counts import Count, tokens
from adapters.wire import decoded, given
from scaigrid.types import Usage


class _Detail(msgspec.Struct, rename="camel"):
    modality: object = None
    token_count: Count = None


class _Reported(msgspec.Struct, rename="camel"):
    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    total_token_count: Count = None
    prompt_tokens_details: list[_Detail] | None = None
    cache_tokens_details: list[_Detail] | None = None
    tool_use_prompt_tokens_details: list[_Detail] | None = None
    candidates_tokens_details: list[_Detail] | None = None


_reported: Final = msgspec.json.Decoder(_Reported)


def usage(raw: msgspec.Raw) -> Usage | None:
    """Usage from the JSON of `usageMetadata`, None where it counts nothing. Raises UPSTREAM_SHAPE_MISMATCH.

    Each chunk of a stream counts anew from the beginning; some only say by which tariff (`trafficType`).
    """
    if not given(raw):
        return None
    said = decoded(_reported, raw)
    if said.prompt_token_count is None and said.total_token_count is None:
        return None
    prompt = tokens(said.prompt_token_count)
    shown = prompt + tokens(said.tool_use_prompt_token_count)
    reasoning = tokens(said.thoughts_token_count)
    # What is in the total and in no class was made too, and is billed by the provider.
    output = max(tokens(said.candidates_token_count) + reasoning, tokens(said.total_token_count) - shown)
    cached = min(tokens(said.cached_content_token_count), prompt)
    text = shown - cached
    audio_input = min(_shown(said, "AUDIO"), text)
    image_input = min(_shown(said, "IMAGE"), text - audio_input)
    audio_output = min(_of(said.candidates_tokens_details, "AUDIO"), output)
    image_output = min(_of(said.candidates_tokens_details, "IMAGE"), output - audio_output)
    output -= audio_output + image_output
    return Usage(
        input=text - audio_input - image_input,
        cache_read=cached,
        output=output,
        reasoning=min(reasoning, output),
        audio_input=audio_input,
        audio_output=audio_output,
        image_input=image_input,
        image_output=image_output,
    )


def _shown(said: _Reported, modality: str) -> int:
    """Tokens of the prompt that are of this kind and came from no cache."""
    prompt = _of(said.prompt_tokens_details, modality) - _of(said.cache_tokens_details, modality)
    return max(prompt, 0) + _of(said.tool_use_prompt_tokens_details, modality)


def _of(details: list[_Detail] | None, modality: str) -> int:
    return sum(tokens(detail.token_count) for detail in details if detail.modality == modality) if details else 0
