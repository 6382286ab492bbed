import msgspec

from adapters.openai_citations import Citations
from adapters.openai_shapes import Annotation, Answer, UrlCitation, answer
from scaigrid.types import Citation


def said(body: str) -> Answer:
    return answer.decode(body)


def test_a_page_is_cited_once_however_often_it_is_named() -> None:
    page = Annotation("url_citation", UrlCitation(url="https://x", title="X", content="x", start_index=1, end_index=2))
    citations = Citations(1)
    wanted = Citation(url="https://x", title="X", quote="x", start=1, end=2, index=1)
    assert citations.of_text([page, page]) == [wanted]
    assert citations.of_text([page]) == []


def test_annotations_that_are_no_pages_say_nothing() -> None:
    nameless = Annotation("url_citation", UrlCitation(title="X"))
    assert Citations(0).of_text([Annotation("file"), nameless]) == []


def test_pages_found_say_more_than_their_addresses_and_the_last_ones_count() -> None:
    citations = Citations(0)
    citations.of_answer(said('{"citations":["https://x"],"search_results":[{"url":"https://x","title":"X"}]}'))
    citations.of_answer(said('{"citations":["https://x","https://y"]}'))
    assert citations.rest() == [Citation(url="https://x", title="X")]
    assert citations.rest() == []


def test_addresses_alone_are_cited_too() -> None:
    citations = Citations(0)
    citations.of_answer(said(msgspec.json.encode({"citations": ["https://x", ""]}).decode()))
    assert citations.rest() == [Citation(url="https://x")]
