import hashlib
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.control.prices import WORDS, price_list
from scaigrid.pricing import (
    FREE,
    INPUT_CLASSES,
    MOST_COST,
    OUTPUT_CLASSES,
    PriceList,
    Tier,
    to_decimal,
    to_nano,
    versioned,
)
from scaigrid.types import MOST_TOKENS, Usage
from tests.scaigrid.price_classes import Case, by_hand, cases, worked_out

CLASSES = (*INPUT_CLASSES, *OUTPUT_CLASSES)
PIECES = ("image", "second", "request")
TOKENS = st.one_of(st.integers(0, 4), st.integers(0, 2_000_000))
PRICES = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 200_000_000_000))
FLAT = st.builds(PriceList, **dict.fromkeys((*CLASSES, *PIECES), PRICES))
THRESHOLDS = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 8_000_000)), unique=True, max_size=3).map(sorted)


@st.composite
def tiered(draw: st.DrawFn) -> PriceList:
    tiers = tuple(Tier(above=above, prices=draw(FLAT)) for above in draw(THRESHOLDS))
    return msgspec.structs.replace(draw(FLAT), tiers=tiers)


LISTS = st.one_of(FLAT, tiered())
USAGES = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, TOKENS))


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


MIXED = Usage(
    input=2,
    cache_read=3,
    cache_write=5,
    cache_write_1h=7,
    output=11,
    reasoning=4,
    audio_input=13,
    audio_output=17,
    image_input=19,
    image_output=23,
    images=29,
    milliseconds=31_000,
)


@pytest.mark.parametrize("priced", CLASSES)
def test_a_token_is_priced_in_its_own_class_and_in_no_other(priced: str) -> None:
    assert at_price(priced, 1_000_000).cost(MIXED) == getattr(MIXED, priced)


def test_images_seconds_and_requests_are_priced_by_the_piece() -> None:
    assert PriceList(image=1).cost(MIXED) == 29
    assert PriceList(second=1).cost(MIXED) == 31
    assert PriceList(request=1).cost(MIXED) == 1


def test_a_part_of_a_second_is_charged_as_a_part() -> None:
    second = PriceList(second=100_000)
    assert [second.cost(Usage(milliseconds=some)) for some in (1, 500, 1_500)] == [100, 50_000, 150_000]
    assert PriceList(second=1).cost(Usage(milliseconds=1)) == 1


@given(FLAT, USAGES)
def test_every_class_is_rounded_up_once(prices: PriceList, usage: Usage) -> None:
    exact = Decimal(prices.request + prices.image * usage.images)
    exact += Decimal(prices.second * usage.milliseconds) / 1_000
    for name in CLASSES:
        exact += Decimal(getattr(prices, name) * getattr(usage, name)) / 1_000_000
    assert exact <= prices.cost(usage) < exact + len(CLASSES) + 1


def worst(prices: PriceList, usage: Usage) -> int:
    return prices.worst(usage.total_input, usage.total_output, usage.images, usage.milliseconds)


@given(LISTS, USAGES)
def test_no_split_of_the_tokens_costs_more_than_the_worst(prices: PriceList, usage: Usage) -> None:
    assert prices.cost(usage) <= worst(prices, usage)


@settings(max_examples=300)
@given(tiered(), USAGES, TOKENS, TOKENS, TOKENS, TOKENS)
def test_fewer_tokens_never_cost_more_than_the_worst_of_more(
    prices: PriceList, usage: Usage, more_in: int, more_out: int, more_images: int, longer: int
) -> None:
    """Not where a large request is cheaper than a small one either, nor the other way round."""
    bounds = (
        usage.total_input + more_in,
        usage.total_output + more_out,
        usage.images + more_images,
        usage.milliseconds + longer,
    )
    assert prices.cost(usage) <= prices.worst(*bounds)


@given(LISTS, TOKENS, TOKENS)
def test_the_worst_is_at_most_some_nano_units_above_what_a_call_can_cost(
    prices: PriceList, tokens_in: int, tokens_out: int
) -> None:
    """One less than there are classes of input, and one less than there are of output: those that do not round."""
    sizes = {tokens_in, *(min(tier.above, tokens_in) for tier in prices.tiers)}
    dearest = max(
        prices.cost(Usage(**{one: size, other: tokens_out}))
        for one in INPUT_CLASSES
        for other in OUTPUT_CLASSES
        for size in sizes
    )
    assert dearest <= prices.worst(tokens_in, tokens_out) <= dearest + len(INPUT_CLASSES) + len(OUTPUT_CLASSES) - 2


@given(st.lists(st.integers(0, 500_000), min_size=9, max_size=9), TOKENS, TOKENS)
def test_prices_of_whole_nano_units_a_token_leave_nothing_to_round(each: list[int], one: int, other: int) -> None:
    """As nearly all published ones are: the worst is then exactly what the dearest call costs."""
    prices = msgspec.convert({name: price * 1_000_000 for name, price in zip(CLASSES, each, strict=True)}, PriceList)
    assert prices.worst(one, other) == one * max(each[: len(INPUT_CLASSES)]) + other * max(each[len(INPUT_CLASSES) :])


LONG = PriceList(
    input=to_nano(Decimal("1.25")),
    output=to_nano(Decimal(10)),
    tiers=(
        Tier(above=200_000, prices=PriceList(input=to_nano(Decimal("2.5")), output=to_nano(Decimal(15)))),
        Tier(above=1_000_000, prices=PriceList(input=to_nano(Decimal("0.5")), output=to_nano(Decimal(15)))),
    ),
)


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(input=200_000, output=1), 250_000_000 + 10_000),
        # One token more, and all of them cost more
        (Usage(input=200_001, output=1), 500_002_500 + 15_000),
        (Usage(input=1_000_000), 2_500_000_000),
        (Usage(input=1_000_001), 500_000_500),
        # Output does not count, however much there is
        (Usage(input=1, output=1_000_000), 1_250 + 10_000_000_000),
    ],
)
def test_the_prices_of_a_tier_hold_for_the_whole_request(usage: Usage, nano: int) -> None:
    assert LONG.cost(usage) == nano


@pytest.mark.parametrize("name", INPUT_CLASSES)
def test_input_of_every_class_counts_towards_a_tier(name: str) -> None:
    prices = PriceList(tiers=(Tier(above=10, prices=PriceList(request=1)),))
    assert prices.cost(Usage(**{name: 10})) == 0
    assert prices.cost(Usage(**{name: 6}, input=5) if name != "input" else Usage(input=11)) == 1


def test_the_worst_looks_at_the_tiers_that_can_be_reached_and_at_no_other() -> None:
    assert LONG.worst(200_000, 1) == 250_000_000 + 10_000
    assert LONG.worst(200_001, 1) == 500_002_500 + 15_000
    # A call of a million costs most just below the cheap tier
    assert LONG.worst(2_000_000, 1) == 2_500_000_000 + 15_000
    assert LONG.worst(0, 0) == 0


def test_the_roundings_of_all_classes_are_in_the_worst() -> None:
    """Nine tokens in nine classes at a millionth each are nine nano-units, not two."""
    prices = msgspec.convert(dict.fromkeys(CLASSES, 1), PriceList)
    usage = Usage(**dict.fromkeys(CLASSES, 1))
    assert prices.cost(usage) == prices.worst(6, 3) == 9


def test_a_count_that_cannot_be_makes_no_cost_that_a_row_could_not_hold() -> None:
    prices = PriceList(output=10**15, image=10**15)
    assert prices.cost(Usage(output=10**9)) == prices.worst(0, 10**9) == MOST_COST < 2**63
    assert prices.cost(Usage(images=MOST_TOKENS)) == prices.worst(0, 0, MOST_TOKENS) == MOST_COST
    assert prices.cost(Usage(output=10**9 - 1)) == MOST_COST - 10**9


@given(TOKENS, TOKENS)
def test_a_free_call_reserves_nothing(tokens_in: int, tokens_out: int) -> None:
    """Otherwise a budget that is used up would stop calls that cost nothing."""
    assert FREE.worst(tokens_in, tokens_out) == 0
    assert PriceList(request=7).worst(tokens_in, tokens_out) == 7


def test_a_list_is_free_where_no_price_is_set() -> None:
    assert FREE.free
    assert PriceList().free
    assert PriceList(tiers=(Tier(above=1, prices=FREE),)).free
    for name in (*CLASSES, *PIECES):
        assert not at_price(name, 1).free
        assert not PriceList(tiers=(Tier(above=1, prices=at_price(name, 1)),)).free


@given(tiered(), tiered())
def test_lists_have_one_version_if_they_are_equal_and_only_then(one: PriceList, other: PriceList) -> None:
    assert versioned(one).version == versioned(msgspec.json.decode(msgspec.json.encode(one), type=PriceList)).version
    assert (versioned(one).version == versioned(other).version) == (one == other)


@pytest.mark.parametrize("name", [*CLASSES, *PIECES])
def test_every_class_is_in_the_version(name: str) -> None:
    plain, dearer = versioned(LONG), msgspec.structs.replace(LONG, **{name: 7})
    assert versioned(dearer).version != plain.version
    within = msgspec.structs.replace(LONG.tiers[0].prices, **{name: 7})
    inside = msgspec.structs.replace(LONG, tiers=(Tier(above=200_000, prices=within), LONG.tiers[1]))
    assert versioned(inside).version != plain.version


def test_a_list_that_prices_sound_and_images_as_text_keeps_the_version_that_it_had_before_they_were_apart() -> None:
    """Rows of the first release are stamped with it."""
    text = PriceList(input=3, cache_read=1, cache_write=4, cache_write_1h=6, output=15, request=2)
    as_text = msgspec.structs.replace(text, audio_input=3, image_input=3, audio_output=15, image_output=15)
    first = b'{"input":3,"cache_read":1,"cache_write":4,"cache_write_1h":6,"output":15,"request":2,"version":""}'
    assert versioned(as_text).version == hashlib.sha256(first).hexdigest()[:12] != versioned(text).version


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


TABLE = cases()


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_what_providers_publish_costs_what_is_worked_out_by_hand(case: Case) -> None:
    """From the provider's own words, where they are in the table, through the adapter to the nano-unit."""
    assert [line[3] for line in case.sum] == [by_hand(line) for line in case.sum]
    assert case.cost_nano == sum(line[3] for line in case.sum)
    assert worked_out(case) == (Usage(**case.usage), case.cost_nano)


def test_the_table_has_every_class_and_tiers() -> None:
    assert len(TABLE) >= 30
    assert {name for case in TABLE for name in case.usage} == set(Usage.__struct_fields__)
    assert {line[0] for case in TABLE for line in case.sum} > {*WORDS.values()} - {"second"} | {"millisecond"}
    assert max(len(case.prices.tiers) for case in TABLE) > 1
    assert sum(case.said is not None for case in TABLE) >= 30


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_no_row_of_the_table_costs_more_than_was_reserved_for_it(case: Case) -> None:
    usage, cost = worked_out(case)
    assert cost <= worst(price_list(case.prices), usage)
