"""What Cohere says its answer rests on: documents that the caller sent, and results of the caller's tools.

Source: Cohere guides "RAG citations", "Tool use citations". A citation bounds a piece of one text of the answer;
those of a plan or of thoughts speak of what is no text, and are passed over.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.types import Citation

_OF_TEXT: Final = "TEXT_CONTENT"
_NUMBERED: Final = re.compile(r"doc:(\d{1,6})(?::\d+)?")
"""How documents are called that the caller has not named."""


class _Source(msgspec.Struct):
    type: str = ""
    id: str | None = None
    document: dict[str, Any] | None = None
    tool_output: dict[str, Any] | None = None


class Cited(msgspec.Struct):
    """A piece of an answer, and where it comes from."""

    start: int | None = None
    end: int | None = None
    sources: list[_Source] | None = None
    content_index: int | None = None
    type: str | None = None


class Cites:
    """The citations of one answer: places within one content become places within all of the text."""

    __slots__ = ("_begins", "_last", "_length")

    def __init__(self) -> None:
        self._length = 0
        self._begins: dict[int, int] = {}
        self._last = 0

    def opened(self, index: int) -> None:
        """A content begins."""
        self._begins[index] = self._length

    def grew(self, text: str) -> None:
        """The text goes on, in the content that began last."""
        self._last = max(self._begins, default=0)
        self._length += len(text)

    def read(self, cited: Cited | None) -> Sequence[Citation]:
        """One citation for each source."""
        if cited is None or (cited.type or _OF_TEXT) != _OF_TEXT:
            return ()
        index = self._last if cited.content_index is None else cited.content_index
        begins = self._begins.get(index, self._begins.get(self._last, 0))
        start, end = (None if place is None else begins + place for place in (cited.start, cited.end))
        return [_citation(source, start, end) for source in cited.sources or ()]


def _citation(source: _Source, start: int | None, end: int | None) -> Citation:
    found: Mapping[str, Any] = source.document or source.tool_output or {}
    numbered = _NUMBERED.fullmatch(source.id or "") if source.type == "document" else None
    return Citation(
        url=_text(found, "url"),
        title=_text(found, "title"),
        quote=_text(found, "snippet", "text", "content"),
        document=None if numbered is None else int(numbered[1]),
        start=start,
        end=end,
    )


def _text(found: Mapping[str, Any], *names: str) -> str | None:
    texts = (found.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)
