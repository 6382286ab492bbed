"""Where an answer of the OpenAI protocol comes from: annotations of a message, and pages named beside the choices.

Source: OpenAI API reference, "Chat" (`url_citation`); OpenRouter and xAI likewise; Perplexity, `search_results` and
`citations`, which hold for the whole answer and come again in each chunk.
"""

from collections.abc import Sequence

from adapters.openai_shapes import Annotation, Answer
from scaigrid.types import Citation


class Citations:
    """The citations of one choice, each told once."""

    __slots__ = ("_index", "_pages", "_seen")

    def __init__(self, index: int) -> None:
        self._index = index
        self._seen: set[Citation] = set()
        self._pages: list[Citation] = []

    def of_text(self, annotations: Sequence[Annotation]) -> list[Citation]:
        """What a message or a delta cites."""
        told = [
            Citation(
                url=one.url_citation.url,
                title=one.url_citation.title or None,
                quote=one.url_citation.content or None,
                start=one.url_citation.start_index,
                end=one.url_citation.end_index,
                index=self._index,
            )
            for one in annotations
            if one.url_citation is not None and one.url_citation.url
        ]
        return self._new(told)

    def of_answer(self, answer: Answer) -> None:
        """Takes note of what the answer names as a whole: the last time it does so counts."""
        if answer.search_results:
            self._pages = [
                Citation(url=one.url, title=one.title, quote=one.snippet or None, index=self._index)
                for one in answer.search_results
                if one.url
            ]
        elif answer.citations and not any(page.title for page in self._pages):
            self._pages = [Citation(url=url, index=self._index) for url in answer.citations if url]

    def rest(self) -> list[Citation]:
        """The pages, at the end."""
        return self._new(self._pages)

    def _new(self, told: Sequence[Citation]) -> list[Citation]:
        fresh = [one for one in dict.fromkeys(told) if one not in self._seen]
        self._seen.update(fresh)
        return fresh
