"""What a text of an answer rests on, as Anthropic's citations say it.

Source: Anthropic API guides, "Citations", "Search results", "Web search tool". Where in a document the words stand
(characters, pages, blocks) is left to the quoted words themselves.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.wire import decoded
from scaigrid.types import Citation


class _Citation(msgspec.Struct):
    """A citation of any type: a page of the web, a search result, or a document of the call."""

    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_index: int | None = None
    document_title: str | None = None
    file_id: str | None = None


_NOTHING: Final = (None,) * 5
_citation: Final = msgspec.json.Decoder(_Citation)


def citations(given: Sequence[msgspec.Raw], start: int, end: int) -> Sequence[Citation]:
    """What the text from `start` to `end` rests on; one that names no source is none.

    Raises UPSTREAM_SHAPE_MISMATCH.
    """
    found = [_read(raw, start, end) for raw in given]
    return [one for one in found if (one.url, one.title, one.quote, one.document, one.file_id) != _NOTHING]


def _read(raw: msgspec.Raw, start: int, end: int) -> Citation:
    said = decoded(_citation, raw)
    return Citation(
        url=said.url or said.source or None,
        title=said.title or said.document_title or None,
        quote=said.cited_text or None,
        document=said.document_index,
        file_id=said.file_id or None,
        start=start,
        end=end,
    )
