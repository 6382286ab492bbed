"""Cohere's list of models, page by page."""

from typing import Any

import msgspec
import pytest

from adapters.cohere_models import offers, path
from scaigrid.adapter import Offer, Offers
from scaigrid.errors import Code, GatewayError


def page(*models: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"models": models, **more})


def test_a_page_is_named_by_the_one_before() -> None:
    assert path(None) == "/v1/models?page_size=1000"
    assert path("a&b c") == "/v1/models?page_size=1000&page_token=a%26b+c"


def test_a_page_says_what_its_models_are_called_and_how_much_they_take() -> None:
    body = page(
        {"name": "command-one", "endpoints": ["chat"], "finetuned": False, "context_length": 256000.0},
        {"name": "rerank-two", "context_length": 0},
        next_page_token="",
    )
    one = Offer(model="command-one", owned_by="cohere", context_window=256_000)
    assert offers(body) == Offers([one, Offer(model="rerank-two", owned_by="cohere")])


def test_a_page_that_is_not_the_last_says_where_the_next_begins() -> None:
    assert offers(page({"name": "a"}, next_page_token="t")).after == "t"


@pytest.mark.parametrize("body", [page({"name": ""}), page({"id": "a"}), b'{"models":{}}', b"{}", b"[]"])
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        offers(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
