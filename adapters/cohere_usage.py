"""Token counts as Cohere reports them, put into disjoint classes.

A chat's `tokens` count everything that the model has read, the prompt that Cohere writes around the caller's included,
and `cached_tokens` are a part of them. `billed_units` leave that prompt out; embeddings and rerankings have nothing
else. Search units, by which rerankings are billed, are no tokens.
"""

import msgspec

from adapters.counts import Count, tokens
from scaigrid.types import Usage


class Counts(msgspec.Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    image_tokens: Count = None
    cached_tokens: Count = None


class Reported(msgspec.Struct):
    """The `usage` of a chat."""

    tokens: Counts | None = None
    billed_units: Counts | None = None
    cached_tokens: Count = None


class Meta(msgspec.Struct):
    """The `meta` of embeddings and rerankings."""

    billed_units: Counts | None = None


def of_chat(said: Reported | None) -> Usage | None:
    """None where nothing is reported."""
    if said is None:
        return None
    counts = said.tokens or said.billed_units
    if counts is None:
        return None
    read = tokens(counts.input_tokens) + tokens(counts.image_tokens)
    cached = min(tokens(said.cached_tokens) or tokens(counts.cached_tokens), max(read, 0))
    images = min(tokens(counts.image_tokens), max(read - cached, 0))
    return Usage(
        input=read - cached - images, cache_read=cached, output=tokens(counts.output_tokens), image_input=images
    )


def of_input(said: Meta | None) -> Usage | None:
    """What was read where nothing is written; None where nothing is reported."""
    if said is None or said.billed_units is None:
        return None
    units = said.billed_units
    return Usage(input=tokens(units.input_tokens), image_input=tokens(units.image_tokens))
