import json
from typing import Any

import msgspec
import pytest

from adapters.anthropic_citations import citations
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            {"type": "page_location", "cited_text": "q", "document_index": 0, "document_title": None, "file_id": "f"},
            Citation(quote="q", document=0, file_id="f", start=1, end=2),
        ),
        (
            {"type": "search_result_location", "cited_text": "q", "source": "https://x", "title": "T"},
            Citation(url="https://x", title="T", quote="q", start=1, end=2),
        ),
        ({"type": "brand_new", "title": "T"}, Citation(title="T", start=1, end=2)),
    ],
)
def test_every_kind_of_citation_has_a_meaning(said: dict[str, Any], meant: Citation) -> None:
    raw = msgspec.Raw(json.dumps(said).encode())
    assert citations([raw, raw], 1, 2) == [meant, meant]


def test_a_citation_that_names_no_source_is_none() -> None:
    assert citations([msgspec.Raw(b'{"type":"brand_new","cited_text":""}')], 1, 2) == []


@pytest.mark.parametrize("raw", [b"", b"5", b'{"url":5}', b"{"])
def test_what_is_no_citation_is_broken(raw: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        citations([msgspec.Raw(raw)], 0, 0)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
