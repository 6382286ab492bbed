"""Token counts as Gemini reports them, put into disjoint classes.

Source: Gemini API reference, "UsageMetadata". `promptTokenCount` holds what came from a cache; what the provider's own
tools put into the prompt, and what the model thought, stand beside it and beside `candidatesTokenCount`.
"""

from typing import Final

import msgspec

from adapters.counts import Count, tokens
from adapters.wire import decoded, given
from scaigrid.types import Usage


class _Reported(msgspec.Struct, rename="camel"):
    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    total_token_count: Count = None


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
    return Usage(input=shown - cached, cache_read=cached, output=output, reasoning=min(reasoning, output))
