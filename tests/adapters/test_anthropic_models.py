"""Anthropic's list of models, page by page."""

from typing import Any

import msgspec
import pytest

from adapters.anthropic_models import offers, path
from scaigrid.adapter import Offer, Offers
from scaigrid.errors import Code, GatewayError


def page(*models: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"data": [{"type": "model", **model} for model in models], **more})


def test_a_page_begins_behind_the_one_before_whatever_its_last_name_holds() -> None:
    assert path(None) == "/models?limit=1000"
    assert path("claude-a&b c") == "/models?limit=1000&after_id=claude-a%26b+c"


def test_a_page_says_what_its_models_are_called_and_how_much_they_take() -> None:
    body = page(
        {
            "id": "claude-one",
            "display_name": "Claude One",
            "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": 200_000,
            "max_tokens": 64_000,
        },
        {"id": "claude-two", "max_input_tokens": 0, "max_tokens": None},
        has_more=False,
        first_id="claude-one",
        last_id="claude-two",
    )
    one = Offer(
        model="claude-one",
        display_name="Claude One",
        owned_by="anthropic",
        context_window=200_000,
        max_output_tokens=64_000,
    )
    assert offers(body) == Offers([one, Offer(model="claude-two", owned_by="anthropic")])


def test_a_page_that_is_not_the_last_says_where_the_next_begins() -> None:
    assert offers(page({"id": "a"}, has_more=True, last_id="a")).after == "a"


@pytest.mark.parametrize(
    "body",
    [
        page({"id": "a"}, has_more=True),
        page({"id": "a"}, has_more=True, last_id=None),
        page({"id": ""}),
        page({"display_name": "A"}),
        b'{"data":{}}',
    ],
)
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        offers(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
