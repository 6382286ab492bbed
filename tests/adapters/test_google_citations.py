from typing import Any

import msgspec

from adapters.google_citations import CitationMetadata, Grounding, citations
from scaigrid.types import Citation

TEXT = "Es ist 4° in Oslo. Und 9° in Rom."
PAGE = {"web": {"uri": "https://p.example/", "title": "p"}}


def grounding(*supports: dict[str, Any], chunks: tuple[dict[str, Any], ...] = (PAGE,)) -> Grounding:
    return msgspec.convert({"groundingChunks": list(chunks), "groundingSupports": list(supports)}, Grounding)


def found(
    *supports: dict[str, Any], chunks: tuple[dict[str, Any], ...] = (PAGE,)
) -> list[tuple[int | None, int | None]]:
    return [(one.start, one.end) for one in citations([grounding(*supports, chunks=chunks)], (), TEXT, 0)]


def support(start: int | None, end: int | None, text: str | None = None, *chunks: int) -> dict[str, Any]:
    segment = {"startIndex": start, "endIndex": end, "text": text}
    return {"segment": segment, "groundingChunkIndices": list(chunks or (0,))}


def test_places_are_told_in_characters() -> None:
    assert found(support(None, 10), support(11, 19, "in Oslo.")) == [(0, 9), (10, 18)]


def test_a_support_that_stands_elsewhere_is_looked_for() -> None:
    assert found(support(0, 4, "Und")) == [(19, 22)]
    assert found(support(0, 4, "nowhere")) == [(None, None)]


def test_a_place_outside_of_the_text_or_inside_of_a_character_is_none() -> None:
    for start, end in ((0, 900), (5, 5), (9, 3), (-1, 3), (0, 9), (0, None)):
        assert found(support(start, end)) == [(None, None)], (start, end)


def test_a_source_that_supports_nothing_is_a_source_still() -> None:
    document = {"retrievedContext": {"text": "Cold.", "title": "Notes", "documentName": "d/1"}}
    made = citations([grounding(support(None, 3, None, 0, 7), chunks=(PAGE, document, {}))], (), TEXT, 1)
    assert list(made) == [
        Citation(url="https://p.example/", title="p", start=0, end=3, index=1),
        Citation(title="Notes", quote="Cold.", file_id="d/1", index=1),
    ]


def test_what_is_told_again_is_cited_once() -> None:
    twice = [grounding(support(None, 3)), grounding(support(None, 3), support(4, 6))]
    assert [(one.start, one.end) for one in citations(twice, (), TEXT, 0)] == [(0, 3), (4, 6)]


def test_what_the_model_recites_is_cited_under_either_name() -> None:
    for name in ("citationSources", "citations"):
        metadata = msgspec.convert({name: [{"endIndex": 6, "uri": "https://c.example/"}]}, CitationMetadata)
        assert list(citations((), [metadata], TEXT, 0)) == [Citation(url="https://c.example/", start=0, end=6)]
