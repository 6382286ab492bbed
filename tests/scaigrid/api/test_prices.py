"""Prices as they are sent, kept and answered."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.api.prices import (
    CostGiven,
    Price,
    PricesGiven,
    PriceTierGiven,
    cost_item,
    cost_of,
    model_prices,
    prices_of,
    sent,
)
from scaigrid.config.terms import Cost, Prices, PriceTier
from scaigrid.control.prices import WORDS, price_list
from scaigrid.errors import Code, GatewayError
from scaigrid.types import MOST_TOKENS, Usage


def test_what_is_left_out_is_filled_in_as_the_file_has_it() -> None:
    assert cost_of(CostGiven()) == Cost()
    assert prices_of(PricesGiven()) == Prices()


AMOUNTS: dict[str, Any] = {word: str(place) for place, word in enumerate(WORDS.values(), 1)}
"""Each class with another price."""


def test_every_amount_has_its_place() -> None:
    tier = PriceTierGiven(above=7, **AMOUNTS)
    declared: dict[str, Any] = {word: Decimal(amount) for word, amount in AMOUNTS.items()}
    declared["tiers"] = (PriceTier(above=7, **declared),)
    assert prices_of(PricesGiven(**AMOUNTS, tiers=(tier,))) == Prices(**declared)
    assert cost_of(CostGiven(**AMOUNTS, tiers=(tier,))) == Cost(**declared)
    shown = AMOUNTS | {"tiers": [{"above": 7} | AMOUNTS]}
    answers = cost_item(Cost(**declared)), model_prices(price_list(Prices(**declared))), sent(Prices(**declared))
    for answer in answers:
        assert msgspec.json.decode(msgspec.json.encode(answer)) == shown


def test_what_was_left_out_is_null_in_a_cost_and_filled_in_in_the_prices_that_users_see() -> None:
    given = Prices(input=Decimal(1), output=Decimal(2), tiers=(PriceTier(above=5, input=Decimal(3)),))
    item, prices = cost_item(given), model_prices(price_list(given))
    assert (item.cached_input, item.output_audio, item.tiers[0].output) == (None, None, None)
    assert (prices.cached_input, prices.output_audio, prices.tiers[0].output) == ("1", "2", "2")
    assert (prices.tiers[0].above, prices.tiers[0].input, prices.tiers[0].cached_input) == (5, "3", "3")
    assert (item.image, prices.image) == ("0", "0")


@pytest.mark.parametrize(
    "prices",
    [
        Prices(),
        Prices(input=Decimal("0.5"), output_audio=Decimal("1E-9"), request=Decimal(3)),
        Prices(cache_write=Decimal(0), tiers=(PriceTier(above=1), PriceTier(above=2, image=Decimal("0.04")))),
    ],
    ids=range(3),
)
def test_what_would_be_sent_is_read_as_the_same_prices(prices: Prices) -> None:
    assert prices_of(msgspec.convert(sent(prices), PricesGiven)) == prices


def test_thresholds_rise_and_the_field_that_does_not_is_named() -> None:
    tiers = tuple(PriceTierGiven(above=above) for above in (5, 5, 9, 7))
    reading: dict[str, Callable[[], object]] = {
        "prices": lambda: prices_of(PricesGiven(tiers=tiers)),
        "cost": lambda: cost_of(CostGiven(tiers=tiers)),
    }
    for where, read in reading.items():
        with pytest.raises(GatewayError) as caught:
            read()
        assert caught.value.code is Code.VALIDATION_ERROR
        reason = "must be more than that of the tier before"
        expected = [(f"{where}.tiers[{place}].above", reason) for place in (1, 3)]
        assert [(detail.field, detail.message) for detail in caught.value.details] == expected


@given(st.decimals(min_value=0, max_value=Decimal("999999.999999999"), places=9, allow_nan=False))
def test_an_amount_comes_back_as_it_was_sent(amount: Decimal) -> None:
    text = format(amount, "f")
    assert msgspec.convert(text, Price) == text
    shown = cost_item(cost_of(CostGiven(input=text, cached_input=text)))
    assert Decimal(shown.input) == amount
    assert shown.cached_input == shown.input
    assert "e" not in shown.input.lower()


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".1", "1e3", " 1", "1 ", "1000000", "0.0000000001", "NaN", "1,0"]
)
def test_anything_else_is_no_price(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Price)


def test_no_answer_can_cost_more_than_a_usage_row_holds() -> None:
    most: dict[str, Any] = dict.fromkeys(WORDS.values(), "999999.999999999")
    usage = Usage(**dict.fromkeys(Usage.__struct_fields__, MOST_TOKENS))
    assert usage.believable
    assert price_list(prices_of(PricesGiven(**most))).cost(usage) < 2**63
