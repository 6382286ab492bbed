"""Where pieces of Gemini's answers come from: searches, files and what it knows by heart.

Source: Gemini API reference, "GroundingMetadata", "CitationMetadata"; guide "Grounding with Google Search". Places are
told in bytes of the text, and here in characters. A support that does not stand where it says is looked for.
"""

from collections.abc import Iterator, Sequence

import msgspec

from scaigrid.types import Citation


class _Source(msgspec.Struct, rename="camel"):
    """A page, a place on a map, or a piece of a document (`text`)."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None
    document_name: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Segment(msgspec.Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(msgspec.Struct, rename="camel"):
    """Sources, and which piece of the text rests on which of them."""

    grounding_chunks: list[_Chunk] | None = None
    grounding_supports: list[_Support] | None = None


class _Quoted(msgspec.Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(msgspec.Struct, rename="camel"):
    """What the model recited: under one name in the Gemini API, under the other in Vertex AI."""

    citation_sources: list[_Quoted] | None = None
    citations: list[_Quoted] | None = None


def citations(
    grounded: Sequence[Grounding], quoted: Sequence[CitationMetadata], text: str, index: int
) -> Sequence[Citation]:
    """The citations of a whole candidate, each once: chunks of a stream may tell them again."""
    encoded = text.encode()
    found = [one for grounding in grounded for one in _grounded(grounding, text, encoded, index)]
    for metadata in quoted:
        for source in (*(metadata.citation_sources or ()), *(metadata.citations or ())):
            start, end = _span(source.start_index, source.end_index, encoded)
            found.append(Citation(url=source.uri, title=source.title, start=start, end=end, index=index))
    return tuple(dict.fromkeys(found))


def _grounded(grounding: Grounding, text: str, encoded: bytes, index: int) -> Iterator[Citation]:
    sources = [chunk.web or chunk.retrieved_context or chunk.maps for chunk in grounding.grounding_chunks or ()]
    used: set[int] = set()
    for support in grounding.grounding_supports or ():
        start, end = _place(support.segment or _Segment(), text, encoded)
        for number in support.grounding_chunk_indices or ():
            source = sources[number] if 0 <= number < len(sources) else None
            if source is not None:
                used.add(number)
                yield _citation(source, start, end, index)
    for number, source in enumerate(sources):
        if source is not None and number not in used:
            yield _citation(source, None, None, index)


def _citation(source: _Source, start: int | None, end: int | None, index: int) -> Citation:
    return Citation(
        url=source.uri,
        title=source.title,
        quote=source.text,
        file_id=source.document_name,
        start=start,
        end=end,
        index=index,
    )


def _place(segment: _Segment, text: str, encoded: bytes) -> tuple[int | None, int | None]:
    start, end = _span(segment.start_index, segment.end_index, encoded)
    if not segment.text or (start is not None and text[start:end] == segment.text):
        return start, end
    # Its place is counted in a part of the answer, of which there may be more than one.
    found = text.find(segment.text)
    return (None, None) if found < 0 else (found, found + len(segment.text))


def _span(start: int | None, end: int | None, encoded: bytes) -> tuple[int | None, int | None]:
    """Bytes as characters; nothing for a span that is not in the text. A start of 0 is left out by the provider."""
    start = start or 0
    if end is None or not 0 <= start < end <= len(encoded):
        return None, None
    try:
        return len(encoded[:start].decode()), len(encoded[:end].decode())
    except UnicodeDecodeError:
        return None, None
