"""Prices as they are declared become price lists in nano-units."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.config.terms import Cost, Prices, PriceTier
from scaigrid.control.prices import WORDS, price_list
from scaigrid.pricing import INPUT_CLASSES, OUTPUT_CLASSES, PriceList

AMOUNTS = st.decimals(0, 100, places=9)
MAYBE = st.none() | AMOUNTS
ALWAYS = ("input", "output", "image", "second", "request")
COSTS = st.builds(Cost, **{word: AMOUNTS if word in ALWAYS else MAYBE for word in WORDS.values()})


def said(prices: PriceList) -> dict[str, int]:
    return {word: getattr(prices, name) for name, word in WORDS.items()}


def test_every_class_of_a_price_list_has_its_word() -> None:
    assert set(WORDS) == set(PriceList.__struct_fields__) - {"tiers", "version"}
    assert (
        set(WORDS.values()) == set(Cost.__struct_fields__) - {"tiers"} == set(PriceTier.__struct_fields__) - {"above"}
    )
    assert {*INPUT_CLASSES, *OUTPUT_CLASSES} < set(WORDS)


def test_each_amount_stands_in_its_class() -> None:
    amounts: dict[str, Any] = {word: Decimal(place) for place, word in enumerate(WORDS.values(), 1)}
    prices = price_list(Cost(**amounts))
    assert said(prices) == {word: int(amount) * 10**9 for word, amount in amounts.items()}


@pytest.mark.parametrize(
    ("left_out", "as_"),
    [
        ("cached_input", "input"),
        ("cache_write", "input"),
        ("cache_write_1h", "cache_write"),
        ("input_audio", "input"),
        ("output_audio", "output"),
        ("input_image", "input"),
        ("output_image", "output"),
    ],
)
def test_what_is_left_out_is_as_its_nearest(left_out: str, as_: str) -> None:
    amounts: dict[str, Any] = {word: Decimal(place) for place, word in enumerate(WORDS.values(), 1) if word != left_out}
    prices = said(price_list(Cost(**amounts)))
    assert prices[left_out] == prices[as_]


def test_what_is_charged_by_the_piece_costs_nothing_unless_it_is_said() -> None:
    prices = price_list(Prices(input=Decimal(1), output=Decimal(2)))
    assert (prices.image, prices.second, prices.request) == (0, 0, 0)


def test_a_tier_is_the_prices_with_what_it_says() -> None:
    declared = Prices(
        input=Decimal("1.25"),
        output=Decimal(10),
        cached_input=Decimal("0.31"),
        request=Decimal("0.01"),
        tiers=(
            PriceTier(above=200_000, input=Decimal("2.5"), output=Decimal(15), cached_input=Decimal("0.625")),
            PriceTier(above=500_000, input=Decimal(3)),
        ),
    )
    first, second = price_list(declared).tiers
    assert (first.above, second.above) == (200_000, 500_000)
    assert first.prices.input == first.prices.audio_input == first.prices.cache_write_1h == 2_500_000_000
    assert first.prices.output == first.prices.audio_output == 15_000_000_000
    assert (first.prices.cache_read, first.prices.request) == (625_000_000, 10_000_000)
    # The second says no more than its input: it is laid over the prices, not over the tier before it
    assert second.prices.input == second.prices.image_input == second.prices.cache_write == 3_000_000_000
    assert (second.prices.output, second.prices.cache_read) == (10_000_000_000, 310_000_000)


@given(COSTS, st.lists(st.integers(1, 10**6), unique=True, max_size=4).map(sorted))
def test_a_tier_that_says_nothing_changes_no_cost(cost: Cost, above: list[int]) -> None:
    tiered = msgspec.structs.replace(cost, tiers=tuple(PriceTier(above=size) for size in above))
    plain, prices = price_list(cost), price_list(tiered)
    assert all(said(prices.at(size)) == said(plain) for size in (0, *above, *(size + 1 for size in above)))
    assert (prices.version == plain.version) is (not above)


def test_the_version_tells_prices_apart_and_nothing_else() -> None:
    cost = Cost(input=Decimal(1), output=Decimal(2))
    assert price_list(cost).version == price_list(Prices(input=Decimal("1.0"), output=Decimal(2))).version
    assert price_list(cost).version == price_list(msgspec.structs.replace(cost, cached_input=Decimal(1))).version
    assert price_list(cost).version != price_list(msgspec.structs.replace(cost, second=Decimal(1))).version
    # As the first release stamped it
    assert price_list(cost).version == "35f9b604ecd4"


@given(COSTS)
def test_a_document_is_read_back_as_the_same_prices(cost: Cost) -> None:
    tiered = msgspec.structs.replace(cost, tiers=(PriceTier(above=1, input=Decimal("0.000000001")),))
    assert msgspec.json.decode(msgspec.json.encode(tiered), type=Cost) == tiered


def test_what_nobody_declared_stands_in_no_document() -> None:
    """So what a release before wrote is the same text, and can be read by it."""
    assert msgspec.json.encode(Cost(cache_write=Decimal(1))) == b'{"cache_write":"1"}'
