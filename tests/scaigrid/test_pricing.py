from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.pricing import FREE, PriceList, to_decimal, to_nano
from scaigrid.types import Usage

TOKENS = st.one_of(st.integers(0, 4), st.integers(0, 2_000_000))
PRICES = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 200_000_000_000))
LISTS = st.builds(
    PriceList, input=PRICES, cache_read=PRICES, cache_write=PRICES, cache_write_1h=PRICES, output=PRICES, request=PRICES
)
USAGES = st.builds(
    Usage, input=TOKENS, cache_read=TOKENS, cache_write=TOKENS, cache_write_1h=TOKENS, output=TOKENS, reasoning=TOKENS
)


def at_price(name: str, price: int) -> PriceList:
    return msgspec.convert({name: price}, PriceList)


SONNET = PriceList(
    input=to_nano(Decimal(3)),
    cache_read=to_nano(Decimal("0.3")),
    cache_write=to_nano(Decimal("3.75")),
    cache_write_1h=to_nano(Decimal(6)),
    output=to_nano(Decimal(15)),
)
TINY = PriceList(
    input=to_nano(Decimal("0.075")), cache_read=to_nano(Decimal("0.01875")), output=to_nano(Decimal("0.3"))
)
FEE = PriceList(input=1, output=1, request=5_000_000)


@pytest.mark.parametrize(
    ("prices", "usage", "nano"),
    [
        (SONNET, Usage(), 0),
        (SONNET, Usage(input=1), 3_000),
        (SONNET, Usage(output=1), 15_000),
        (SONNET, Usage(cache_read=1), 300),
        (SONNET, Usage(cache_write=1), 3_750),
        (SONNET, Usage(cache_write_1h=1), 6_000),
        (SONNET, Usage(input=1_000_000), 3_000_000_000),
        (SONNET, Usage(input=2095, output=503), 13_830_000),
        (SONNET, Usage(input=21, cache_read=188_086, cache_write=0, output=393), 62_383_800),
        (SONNET, Usage(input=3, cache_write=456, cache_write_1h=100, output=50), 3_069_000),
        # Reasoning is inside the output and costs nothing of its own
        (SONNET, Usage(output=1000, reasoning=900), 15_000_000),
        # 18,750 nano-units per thousand tokens: 18.75 for one, rounded up
        (TINY, Usage(cache_read=1), 19),
        (TINY, Usage(cache_read=4), 75),
        (TINY, Usage(input=1, cache_read=1, output=1), 75 + 19 + 300),
        # A millionth of a nano-unit a token is still paid, once for each class
        (FEE, Usage(), 5_000_000),
        (FEE, Usage(input=1, output=1), 5_000_002),
        (FEE, Usage(input=1_000_000, output=1_000_001), 5_000_003),
        (FREE, Usage(input=10**12, output=10**12), 0),
    ],
)
def test_a_call_costs_so_many_nano_units(prices: PriceList, usage: Usage, nano: int) -> None:
    assert prices.cost(usage) == nano


@pytest.mark.parametrize("priced", ["input", "cache_read", "cache_write", "cache_write_1h", "output"])
def test_a_token_is_priced_in_its_own_class_and_in_no_other(priced: str) -> None:
    usage = Usage(input=2, cache_read=3, cache_write=5, cache_write_1h=7, output=11, reasoning=13)
    assert at_price(priced, 1_000_000).cost(usage) == getattr(usage, priced)


@given(LISTS, USAGES)
def test_every_class_is_rounded_up_once(prices: PriceList, usage: Usage) -> None:
    exact = Decimal(prices.request)
    for name in ("input", "cache_read", "cache_write", "cache_write_1h", "output"):
        exact += Decimal(getattr(prices, name) * getattr(usage, name)) / 1_000_000
    assert exact <= prices.cost(usage) < exact + 5


@given(LISTS, USAGES)
def test_no_split_of_the_tokens_costs_more_than_the_worst(prices: PriceList, usage: Usage) -> None:
    assert prices.cost(usage) <= prices.worst(usage.total_input, usage.output)


@given(LISTS, USAGES, TOKENS, TOKENS)
def test_fewer_tokens_never_cost_more_than_the_worst_of_more(
    prices: PriceList, usage: Usage, more_in: int, more_out: int
) -> None:
    assert prices.cost(usage) <= prices.worst(usage.total_input + more_in, usage.output + more_out)


@given(LISTS, TOKENS, TOKENS)
def test_the_worst_is_at_most_three_nano_units_above_what_a_call_can_cost(
    prices: PriceList, tokens_in: int, tokens_out: int
) -> None:
    classes = ("input", "cache_read", "cache_write", "cache_write_1h")
    dearest = max(prices.cost(Usage(**{name: tokens_in}, output=tokens_out)) for name in classes)
    assert dearest <= prices.worst(tokens_in, tokens_out) <= dearest + 3


def test_the_roundings_of_all_classes_are_in_the_worst() -> None:
    """Four tokens in four classes at a millionth each are four nano-units, not one."""
    prices = PriceList(input=1, cache_read=1, cache_write=1, cache_write_1h=1)
    usage = Usage(input=1, cache_read=1, cache_write=1, cache_write_1h=1)
    assert prices.cost(usage) == prices.worst(4, 0) == 4


@given(TOKENS, TOKENS)
def test_a_free_call_reserves_nothing(tokens_in: int, tokens_out: int) -> None:
    """Otherwise a budget that is used up would stop calls that cost nothing."""
    assert FREE.worst(tokens_in, tokens_out) == 0
    assert PriceList(request=7).worst(tokens_in, tokens_out) == 7


def test_a_list_is_free_where_no_price_is_set() -> None:
    assert FREE.free
    assert PriceList().free
    for name in ("input", "cache_read", "cache_write", "cache_write_1h", "output", "request"):
        assert not at_price(name, 1).free


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        ("0", 0),
        ("0.01875", 18_750_000),
        ("1", 1_000_000_000),
        ("0.000000001", 1),
        ("0.0000000011", 2),
        ("0.00000000000000000001", 1),
        ("1E+3", 1_000_000_000_000),
        ("9007199254740993.000000001", 9_007_199_254_740_993_000_000_001),
        # More digits than decimal arithmetic keeps
        ("1.0000000000000000000000000000000001", 1_000_000_001),
        ("-0.0000000015", -1),
    ],
)
def test_a_decimal_amount_is_so_many_nano_units(amount: str, nano: int) -> None:
    assert to_nano(Decimal(amount)) == nano


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        to_nano(Decimal(amount))


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (420_000, "0.00042"),
        (1_000_000_000, "1"),
        (10_000_000_000, "10"),
        (1_500_000_000, "1.5"),
        (-420_000, "-0.00042"),
        (-3_000_000_000, "-3"),
        (10**27, "1000000000000000000"),
    ],
)
def test_the_api_shows_an_amount_as_a_plain_decimal(nano: int, text: str) -> None:
    assert to_decimal(nano) == text


@given(st.integers())
def test_nano_units_shown_and_read_again_are_the_same(nano: int) -> None:
    text = to_decimal(nano)
    assert to_nano(Decimal(text)) == nano
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_rounding_up_adds_less_than_a_nano_unit(amount: Decimal) -> None:
    excess = Decimal(to_nano(amount)).as_integer_ratio()[0] * amount.as_integer_ratio()[1]
    excess -= amount.as_integer_ratio()[0] * 1_000_000_000
    assert 0 <= excess < amount.as_integer_ratio()[1]
