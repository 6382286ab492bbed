import json
from typing import Any

import msgspec

from adapters.cohere_cited import Cited, Cites
from scaigrid.types import Citation

SOURCE = {"type": "document", "id": "doc:2:0", "document": {"title": "T", "snippet": "S", "url": "https://x/", "n": 5}}


def cited(**fields: Any) -> Cited:
    return msgspec.json.decode(json.dumps({"start": 1, "end": 4, "sources": [SOURCE], **fields}), type=Cited)


def cites(*texts: str) -> Cites:
    found = Cites()
    for index, text in enumerate(texts):
        found.opened(index)
        if text:
            found.grew(text)
    return found


def test_a_citation_says_where_and_what() -> None:
    wanted = Citation(url="https://x/", title="T", quote="S", document=2, start=1, end=4)
    assert cites("abcdef").read(cited()) == [wanted]


def test_each_source_is_a_citation() -> None:
    tool = {"type": "tool", "id": "doc:1", "tool_output": {"content": "12"}}
    named = {"type": "document", "id": "mine", "document": {"text": "T"}}
    found = cites("abcdef").read(cited(sources=[tool, named, {}]))
    wanted = [Citation(quote="12", start=1, end=4), Citation(quote="T", start=1, end=4), Citation(start=1, end=4)]
    assert found == wanted


def test_places_are_counted_from_the_beginning_of_all_text() -> None:
    found = cites("abc", "defgh")
    assert [(one.start, one.end) for one in found.read(cited(content_index=0))] == [(1, 4)]
    assert [(one.start, one.end) for one in found.read(cited(content_index=1))] == [(4, 7)]
    assert [(one.start, one.end) for one in found.read(cited())] == [(4, 7)]


def test_thoughts_ahead_of_the_text_do_not_count() -> None:
    found = cites("", "abcdef").read(cited())
    assert [(one.start, one.end) for one in found] == [(1, 4)]


def test_what_speaks_of_no_text_is_passed_over() -> None:
    assert not cites("abc").read(cited(type="PLAN"))
    assert not cites("abc").read(cited(sources=None))
    assert not cites().read(None)
