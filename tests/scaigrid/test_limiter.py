"""What every store of limits and budgets keeps to, whatever it is made of: to be registered is to be tested here."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import NamedTuple, get_args, get_type_hints

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.config.schema import Store
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Limiter, Spending, Take
from scaigrid.stores import LIMITERS
from tests.scaigrid.stores.openers import OPENERS, Opened, Opener

pytestmark = pytest.mark.anyio

LATE = 1 + 1 / 60
"""A window may give back a unit so many periods after it was taken: never sooner than one, and not much later."""


def window(key: str = "window", limit: int = 5, period: float = 60.0) -> Bucket:
    return Bucket(key=key, level="user", kind="requests", limit=limit, period=period)


def tokens(limit: int = 1000) -> Bucket:
    return Bucket(key="tokens", level="key", kind="tokens", limit=limit)


def fund(key: str = "fund", limit: int = 5) -> Bucket:
    return Bucket(key=key, level="tenant", kind="cost", limit=limit, fund=True, name="a budget")


def concurrency(limit: int = 5) -> Bucket:
    return Bucket(key="concurrency", level="key", kind="concurrency", limit=limit, fund=True)


EVERY_KIND = [window(), tokens(5), fund(), concurrency()]
LEVELS = [window("of the key"), window("of the user"), fund("of the tenant"), concurrency(), fund("of the partner")]


@pytest.fixture(scope="session", params=sorted(LIMITERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


async def taken(limiter: Limiter, *takes: tuple[Bucket, int]) -> str:
    """The lease of a call that has to be admitted."""
    decision = await limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
    assert decision.refused is None
    assert decision.lease is not None
    return decision.lease


async def refused(limiter: Limiter, *takes: tuple[Bucket, int]) -> Decision:
    """The refusal of a call that must not be admitted."""
    decision = await limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
    assert decision.refused is not None
    assert decision.lease is None
    return decision


async def counted(limiter: Limiter, bucket: Bucket) -> tuple[int, int]:
    return (await limiter.spent([bucket]))[bucket.key]


async def total(limiter: Limiter, bucket: Bucket) -> int:
    return sum(await counted(limiter, bucket))


def test_a_configuration_can_name_every_registered_store_and_no_other() -> None:
    assert set(get_args(get_type_hints(Store)["type"])) == set(LIMITERS)


def test_the_suite_knows_how_to_open_every_registered_store() -> None:
    assert set(OPENERS) == set(LIMITERS)


@pytest.mark.parametrize("period", [0.0, -1.0, inf])
def test_a_window_has_a_period(period: float) -> None:
    with pytest.raises(ValueError, match="a window has a period"):
        window(period=period)


def test_concurrent_calls_are_no_window() -> None:
    with pytest.raises(ValueError, match="concurrency is a fund"):
        Bucket(key="calls", level="key", kind="concurrency", limit=1)


# -- the limit is the limit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_of_100_parallel_callers_a_limit_of_5_admits_exactly_5(opener: Opener, bucket: Bucket) -> None:
    async with opener() as opened:
        decisions: list[Decision] = []

        async def call() -> None:
            decisions.append(await opened.limiter.acquire([Take(bucket, 1)]))

        async with anyio.create_task_group() as callers:
            for _ in range(100):
                callers.start_soon(call)
        assert len({decision.lease for decision in decisions if decision.lease is not None}) == 5
        assert [decision.refused for decision in decisions].count(bucket) == 95
        assert await total(opened.limiter, bucket) == 5


@pytest.mark.parametrize("place", range(len(LEVELS)))
async def test_a_refused_call_costs_nothing_at_any_level(opener: Opener, place: int) -> None:
    full = LEVELS[place]
    async with opener() as opened:
        await taken(opened.limiter, (full, 3))
        before = await opened.limiter.spent(LEVELS)
        for _ in range(3):
            decision = await refused(opened.limiter, *((bucket, 3) for bucket in LEVELS))
            assert decision.refused == full
        assert await opened.limiter.spent(LEVELS) == before


async def test_the_first_bucket_without_room_is_the_one_that_refuses(opener: Opener) -> None:
    first, second, third = fund("first"), window("second"), fund("third")
    async with opener() as opened:
        await taken(opened.limiter, (second, 5), (third, 5))
        decision = await refused(opened.limiter, (first, 1), (second, 1), (third, 1))
        assert decision.refused == second
        decision = await refused(opened.limiter, (first, 1), (third, 1), (second, 1))
        assert decision.refused == third


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_an_amount_over_the_limit_is_refused(opener: Opener, bucket: Bucket) -> None:
    async with opener() as opened:
        await refused(opened.limiter, (bucket, 6))
        await taken(opened.limiter, (bucket, 5))


@pytest.mark.parametrize("amount", [0, 1])
@pytest.mark.parametrize("bucket", [window(limit=0), fund(limit=0)], ids=["window", "fund"])
async def test_a_limit_of_0_refuses_everything(opener: Opener, bucket: Bucket, amount: int) -> None:
    async with opener() as opened:
        await refused(opened.limiter, (bucket, amount))


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_a_call_that_needs_nothing_of_a_bucket_is_admitted_when_it_is_full(
    opener: Opener, bucket: Bucket
) -> None:
    """A free model goes on working when the money is gone, even when more is gone than there was."""
    async with opener() as opened:
        await opened.limiter.settle(await taken(opened.limiter, (bucket, 5)), {bucket.key: 7})
        await taken(opened.limiter, (bucket, 0))


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_nothing_less_than_0_can_be_taken(opener: Opener, bucket: Bucket) -> None:
    other = fund("other")
    async with opener() as opened:
        with pytest.raises(ValueError, match="less than 0"):
            await opened.limiter.acquire([Take(other, 1), Take(bucket, -1)])
        assert await total(opened.limiter, other) == 0
        assert await total(opened.limiter, bucket) == 0


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_a_bucket_that_is_given_twice_is_taken_from_twice(opener: Opener, bucket: Bucket) -> None:
    async with opener() as opened:
        await refused(opened.limiter, (bucket, 3), (bucket, 3))
        assert await total(opened.limiter, bucket) == 0
        lease = await taken(opened.limiter, (bucket, 3), (bucket, 2))
        assert await total(opened.limiter, bucket) == 5
        await opened.limiter.settle(lease, {bucket.key: 4})
        assert await counted(opened.limiter, bucket) == (0 if bucket.kind == "concurrency" else 4, 0)


@pytest.mark.parametrize("bucket", EVERY_KIND, ids=lambda bucket: bucket.key)
async def test_another_limit_holds_at_once_and_what_was_taken_stays_taken(opener: Opener, bucket: Bucket) -> None:
    def limited_to(limit: int) -> Bucket:
        return Bucket(key=bucket.key, level=bucket.level, kind=bucket.kind, limit=limit, fund=bucket.fund)

    async with opener() as opened:
        await taken(opened.limiter, (limited_to(5), 4))
        await refused(opened.limiter, (limited_to(4), 1))
        await refused(opened.limiter, (limited_to(2), 1))
        await taken(opened.limiter, (limited_to(10), 6))
        await refused(opened.limiter, (limited_to(10), 1))


async def test_a_call_without_buckets_is_admitted(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter)
        await opened.limiter.settle(lease, {})


async def test_every_lease_is_another(opener: Opener) -> None:
    async with opener() as opened, opener() as another:
        leases = [await taken(store.limiter, (fund(limit=200), 1)) for store in (opened, another) for _ in range(100)]
        assert len(set(leases)) == 200


# -- funds: settled, released, expired -------------------------------------------------------------------------------


async def test_settling_replaces_what_was_reserved_by_what_was_used(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, (fund(), 5))
        assert await counted(opened.limiter, fund()) == (0, 5)
        await refused(opened.limiter, (fund(), 1))
        await opened.limiter.settle(lease, {"fund": 2})
        assert await counted(opened.limiter, fund()) == (2, 0)
        await taken(opened.limiter, (fund(), 3))


async def test_a_bucket_that_settling_does_not_name_keeps_what_was_taken(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, (fund("named"), 5), (fund("unnamed"), 4), (window(), 3))
        await opened.limiter.settle(lease, {"named": 1})
        assert await opened.limiter.spent([fund("named"), fund("unnamed"), window()]) == {
            "named": (1, 0),
            "unnamed": (4, 0),
            "window": (3, 0),
        }


async def test_a_call_that_used_more_than_it_reserved_counts_in_full_and_the_next_is_refused(opener: Opener) -> None:
    async with opener() as opened:
        await opened.limiter.settle(await taken(opened.limiter, (fund(), 2)), {"fund": 9})
        assert await counted(opened.limiter, fund()) == (9, 0)
        await refused(opened.limiter, (fund(), 1))


async def test_less_than_nothing_used_is_nothing(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, (fund(), 2), (tokens(5), 2))
        await opened.limiter.settle(lease, {"fund": -3, "tokens": -3})
        assert await counted(opened.limiter, fund()) == (0, 0)
        assert await counted(opened.limiter, tokens()) == (0, 0)


async def test_releasing_gives_everything_back_at_every_level(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, *((bucket, 5) for bucket in LEVELS))
        await opened.limiter.release(lease)
        assert await opened.limiter.spent(LEVELS) == {bucket.key: (0, 0) for bucket in LEVELS}
        await taken(opened.limiter, *((bucket, 5) for bucket in LEVELS))


async def test_calls_at_the_same_time_are_all_over_when_they_are_settled(opener: Opener) -> None:
    """Whatever the call says that it used."""
    async with opener() as opened:
        for used in ({}, {"concurrency": 0}, {"concurrency": 1}):
            leases = [await taken(opened.limiter, (concurrency(2), 1)) for _ in range(2)]
            await refused(opened.limiter, (concurrency(2), 1))
            for lease in leases:
                await opened.limiter.settle(lease, used)
            assert await counted(opened.limiter, concurrency(2)) == (0, 0)


@pytest.mark.parametrize("expired", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("then", ["settle", "release"])
async def test_only_the_first_end_of_a_lease_counts(opener: Opener, first: str, then: str, expired: bool) -> None:
    async with opener() as opened:

        async def end(how: str, used: int) -> None:
            if how == "settle":
                await opened.limiter.settle(lease, {bucket.key: used for bucket in LEVELS})
            else:
                await opened.limiter.release(lease)

        lease = await taken(opened.limiter, *((bucket, 4) for bucket in LEVELS))
        if expired:
            opened.clock.advance(LEASE_SECONDS)
        await end(first, 3)
        before = await opened.limiter.spent(LEVELS)
        for _ in range(2):
            await end(then, 2)
        assert await opened.limiter.spent(LEVELS) == before
        assert before["of the tenant"] == ((3, 0) if first == "settle" else (0, 0))
        assert before["concurrency"] == (0, 0)


async def test_an_expired_lease_gives_back_what_it_reserved(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (fund(), 5), (concurrency(), 5))
        opened.clock.advance(LEASE_SECONDS - 1)
        await refused(opened.limiter, (fund(), 1))
        await refused(opened.limiter, (concurrency(), 1))
        opened.clock.advance(1)
        assert await counted(opened.limiter, fund()) == (0, 0)
        await taken(opened.limiter, (fund(), 5), (concurrency(), 5))


async def test_leases_expire_one_by_one_each_at_its_own_moment(opener: Opener) -> None:
    async with opener() as opened:
        for _ in range(5):
            await taken(opened.limiter, (fund(), 1))
            opened.clock.advance(0.25)
        opened.clock.advance(LEASE_SECONDS - 1.5)
        for left in (5, 4, 3, 2, 1, 0):
            assert await counted(opened.limiter, fund()) == (0, left)
            opened.clock.advance(0.25)


async def test_a_lease_expires_when_its_caller_said(opener: Opener) -> None:
    """Whichever was taken first."""
    async with opener() as opened:
        for seconds in (3600.0, LEASE_SECONDS, 0.5, 60.0):
            assert (await opened.limiter.acquire([Take(fund(), 1), Take(concurrency(), 1)], seconds)).lease is not None
        now = 0.0
        for moment, left in ((0.499, 4), (0.5, 3), (59.999, 3), (60.0, 2), (899.0, 2), (900.0, 1), (3600.0, 0)):
            opened.clock.advance(moment - now)
            now = moment
            assert await counted(opened.limiter, fund()) == (0, left)
            assert await counted(opened.limiter, concurrency()) == (0, left)


async def test_an_expired_lease_takes_nothing_out_of_a_window(opener: Opener) -> None:
    """The call may well have happened: only time gives a request back, or an early release."""
    hourly = window(period=3600.0)
    async with opener() as opened:
        await taken(opened.limiter, (hourly, 5))
        opened.clock.advance(LEASE_SECONDS)
        await refused(opened.limiter, (hourly, 1))


async def test_a_lease_that_is_settled_late_counts_all_the_same(opener: Opener) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, (fund(), 5), (fund("unnamed"), 2), (concurrency(), 1))
        opened.clock.advance(2 * LEASE_SECONDS)
        assert await counted(opened.limiter, fund()) == (0, 0)
        await opened.limiter.settle(lease, {"fund": 4})
        assert await counted(opened.limiter, fund()) == (4, 0)
        assert await counted(opened.limiter, fund("unnamed")) == (2, 0)
        assert await counted(opened.limiter, concurrency()) == (0, 0)


async def test_an_unknown_lease_that_is_settled_adds_what_was_used_to_the_funds(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (fund(), 1), (concurrency(), 1))
        await opened.limiter.settle("of another store", {"fund": 3, "concurrency": 1})
        assert await counted(opened.limiter, fund()) == (3, 1)
        assert await counted(opened.limiter, concurrency()) == (0, 1)


async def test_an_unknown_lease_that_is_released_changes_nothing(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (fund(), 1))
        await opened.limiter.release("of another store")
        assert await counted(opened.limiter, fund()) == (0, 1)


async def test_time_gives_nothing_of_a_fund_back(opener: Opener) -> None:
    async with opener() as opened:
        await opened.limiter.settle(await taken(opened.limiter, (fund(), 5)), {})
        for _ in range(400):
            opened.clock.advance(86_400)
            await refused(opened.limiter, (fund(), 1))


async def test_a_preset_is_spent_before_the_first_call(opener: Opener) -> None:
    async with opener() as opened:
        await opened.limiter.preset({"fund": 4, "never seen": 2**60})
        assert await counted(opened.limiter, fund()) == (4, 0)
        await refused(opened.limiter, (fund(), 2))
        await taken(opened.limiter, (fund(), 1))


async def test_a_fund_that_was_gone_for_a_while_is_raised_to_what_the_ledger_says(opener: Opener) -> None:
    """A budget is taken out of the configuration and put back: what was spent meanwhile took nothing of it."""
    async with opener() as opened:
        limiter = opened.limiter
        for key in ("behind", "ahead"):
            await limiter.settle(await taken(limiter, (fund(key), 2)), {})
        await limiter.preset({"behind": 4, "ahead": 1, "new": 3}, complete=False)
        assert await limiter.spent([fund("behind"), fund("ahead"), fund("new")]) == {
            "behind": (4, 0),
            "ahead": (2, 0),
            "new": (3, 0),
        }


async def test_a_preset_leaves_a_fund_alone_that_is_held(opener: Opener) -> None:
    """Whoever starts later asks a ledger that is written behind the counters: they know better."""
    async with opener() as opened:
        await opened.limiter.settle(await taken(opened.limiter, (fund("spent"), 1)), {})
        lease = await taken(opened.limiter, (fund("reserved"), 2))
        await opened.limiter.preset({"spent": 3, "reserved": 3, "new": 3})
        assert await opened.limiter.spent([fund("spent"), fund("reserved"), fund("new")]) == {
            "spent": (1, 0),
            "reserved": (0, 2),
            "new": (3, 0),
        }
        await opened.limiter.settle(lease, {"reserved": 1})
        assert await counted(opened.limiter, fund("reserved")) == (1, 0)


async def test_a_store_that_serves_has_lost_nothing(opener: Opener) -> None:
    async with opener() as opened:
        assert await opened.limiter.check() == "ok"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await opened.limiter.lost()


async def test_nothing_is_spent_of_a_bucket_that_nobody_used(opener: Opener) -> None:
    async with opener() as opened:
        assert await opened.limiter.spent([fund(), window()]) == {"fund": (0, 0), "window": (0, 0)}
        assert await opened.limiter.spent([]) == {}


async def test_nano_units_are_counted_exactly_beyond_what_floats_hold(opener: Opener) -> None:
    large = fund(limit=9_000_000_000_000_000_001)
    async with opener() as opened:
        await taken(opened.limiter, (large, 9_000_000_000_000_000_000))
        await taken(opened.limiter, (large, 1))
        await refused(opened.limiter, (large, 1))


# -- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1.0, 60.0, 3600.0, 86_400.0])
async def test_a_window_is_whole_again_after_its_period_and_not_before(opener: Opener, period: float) -> None:
    bucket = window(period=period)
    async with opener() as opened:
        await taken(opened.limiter, (bucket, 5))
        opened.clock.advance(period)
        await refused(opened.limiter, (bucket, 1))
        opened.clock.advance(period * (LATE - 1) + 0.001)
        await taken(opened.limiter, (bucket, 5))


async def test_a_tokens_window_is_corrected_to_what_was_used(opener: Opener) -> None:
    """In the time where it was taken: it leaves the window with the rest of that call."""
    async with opener() as opened:
        less = await taken(opened.limiter, (tokens(), 600))
        opened.clock.advance(30)
        more = await taken(opened.limiter, (tokens(), 100))
        await opened.limiter.settle(less, {"tokens": 50})
        await opened.limiter.settle(more, {"tokens": 900})
        assert await counted(opened.limiter, tokens()) == (950, 0)
        await refused(opened.limiter, (tokens(), 51))
        opened.clock.advance(31.1)
        assert await counted(opened.limiter, tokens()) == (900, 0)
        opened.clock.advance(30)
        assert await counted(opened.limiter, tokens()) == (0, 0)


@pytest.mark.parametrize("used", [0, 50, 900])
@pytest.mark.parametrize("end", ["settle", "release"])
async def test_what_has_left_the_window_is_not_corrected(opener: Opener, end: str, used: int) -> None:
    async with opener() as opened:
        lease = await taken(opened.limiter, (tokens(), 600))
        opened.clock.advance(90)
        await taken(opened.limiter, (tokens(), 1000))
        if end == "settle":
            await opened.limiter.settle(lease, {"tokens": used})
        else:
            await opened.limiter.release(lease)
        assert await counted(opened.limiter, tokens()) == (1000, 0)
        await refused(opened.limiter, (tokens(), 1))


async def test_a_refusal_says_when_the_call_fits_if_nobody_else_comes(opener: Opener) -> None:
    bucket = window(limit=10)
    async with opener() as opened:
        for amount in (1, 2, 3, 4):
            await taken(opened.limiter, (bucket, amount))
            opened.clock.advance(7.3)
        waits: list[float] = []
        for amount in (1, 3, 6, 10):
            decision = await refused(opened.limiter, (bucket, amount))
            waits.append(decision.retry_after)
        assert waits == sorted(waits)
        for amount, wait in zip((1, 3, 6, 10), waits, strict=True):
            async with opener() as again:
                for before in (1, 2, 3, 4):
                    await taken(again.limiter, (bucket, before))
                    again.clock.advance(7.3)
                again.clock.advance(wait - 60 * (LATE - 1) - 0.001)
                await refused(again.limiter, (bucket, amount))
                again.clock.advance(60 * (LATE - 1) + 0.001)
                await taken(again.limiter, (bucket, amount))


async def test_what_never_fits_is_told_to_wait_for_the_period(opener: Opener) -> None:
    async with opener() as opened:
        assert (await refused(opened.limiter, (window(limit=0, period=30.0), 1))).retry_after == 30.0
        assert (await refused(opened.limiter, (window(limit=5, period=3600.0), 6))).retry_after == 3600.0


async def test_a_fund_cannot_say_when_it_has_room(opener: Opener) -> None:
    async with opener() as opened:
        assert (await refused(opened.limiter, (fund(), 6))).retry_after == 0.0


# -- what was spent is heard -----------------------------------------------------------------------------------------


@asynccontextmanager
async def heard(opener: Opener) -> AsyncGenerator[tuple[Opened, list[Mapping[str, Spending]]]]:
    async with opener() as opened:
        told: list[Mapping[str, Spending]] = []
        opened.limiter.on_spent(told.append)
        yield opened, told


async def test_who_listens_hears_what_each_settling_spent_and_of_nothing_else(opener: Opener) -> None:
    async with heard(opener) as (opened, told):
        takes = ((fund(), 3), (fund("unnamed"), 2), (fund("free"), 1), (concurrency(), 1), (window(), 1))
        for used in ({"fund": 1}, {"fund": 0, "unnamed": 0}, {"fund": 4, "unnamed": 1}):
            lease = await taken(opened.limiter, *takes)
            await opened.limiter.settle(lease, {"free": 0, "concurrency": 1, "requests": 7, **used})
        await opened.limiter.release(await taken(opened.limiter, (fund("released"), 2)))
        await opened.limiter.spent([fund()])
        assert told == [{"fund": (0, 1), "unnamed": (0, 2)}, {"fund": (1, 5), "unnamed": (2, 3)}]


@pytest.mark.parametrize("later", [0.0, LEASE_SECONDS], ids=["in time", "late"])
async def test_a_settling_is_heard_once_even_after_its_lease_has_expired(opener: Opener, later: float) -> None:
    async with heard(opener) as (opened, told):
        lease = await taken(opened.limiter, (fund(), 3))
        opened.clock.advance(later)
        for used in (2, 3):
            await opened.limiter.settle(lease, {"fund": used})
        assert await counted(opened.limiter, fund()) == (2, 0)
        assert told == [{"fund": (0, 2)}]


async def test_a_settling_of_a_lease_that_the_store_does_not_know_is_heard(opener: Opener) -> None:
    async with heard(opener) as (opened, told):
        await opened.limiter.preset({"fund": 2})
        await opened.limiter.settle("of another life", {"fund": 3, "unknown": 4})
        assert await counted(opened.limiter, fund()) == (5, 0)
        assert told == [{"fund": (2, 5)}]


async def test_a_fund_that_is_given_twice_is_heard_of_once_with_all_that_was_spent(opener: Opener) -> None:
    async with heard(opener) as (opened, told):
        await opened.limiter.settle(await taken(opened.limiter, (fund(), 1), (fund(), 2)), {})
        await opened.limiter.settle(await taken(opened.limiter, (fund(), 1), (fund(), 1)), {"fund": 4})
        assert await counted(opened.limiter, fund()) == (7, 0)
        assert told == [{"fund": (0, 3)}, {"fund": (3, 7)}]


async def test_everybody_who_listens_hears(opener: Opener) -> None:
    async with heard(opener) as (opened, told):
        also: list[Mapping[str, Spending]] = []
        opened.limiter.on_spent(also.append)
        await opened.limiter.settle(await taken(opened.limiter, (fund(), 1)), {})
        assert await counted(opened.limiter, fund()) == (1, 0)
        assert told == also == [{"fund": (0, 1)}]


async def test_of_all_that_spend_together_exactly_one_sees_a_threshold_passed(opener: Opener) -> None:
    async with heard(opener) as (opened, told):
        leases = [await taken(opened.limiter, (fund(limit=1000), 10)) for _ in range(100)]
        async with anyio.create_task_group() as callers:
            for number, lease in enumerate(leases):
                callers.start_soon(opened.limiter.settle, lease, {"fund": number % 10})
        assert await counted(opened.limiter, fund()) == (450, 0)
        for threshold in range(1, 451):
            assert sum(each["fund"].before < threshold <= each["fund"].after for each in told) == 1


# -- standings -------------------------------------------------------------------------------------------------------


async def test_standings_are_those_of_the_windows_in_the_order_of_the_takes(opener: Opener) -> None:
    takes = [
        Take(window("second", limit=7), 2),
        Take(fund(), 1),
        Take(window("first", limit=5), 1),
        Take(concurrency(), 1),
        Take(window("none", limit=3), 0),
    ]
    async with opener() as opened:
        decision = await opened.limiter.acquire(takes)
        standings = [(standing.bucket.key, standing.remaining) for standing in decision.standings]
        assert standings == [("second", 5), ("first", 4), ("none", 3)]
        resets = [standing.reset for standing in decision.standings]
        assert 60.0 <= resets[0] <= 60.0 * LATE + 0.001
        assert resets[0] == resets[1]
        assert resets[2] == 0.0


async def test_a_refusal_comes_with_the_standings_as_they_were(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (window("one"), 2), (window("full"), 5))
        decision = await refused(opened.limiter, (window("one"), 1), (window("full"), 1), (window("unused"), 1))
        standings = [(standing.bucket.key, standing.remaining) for standing in decision.standings]
        assert standings == [("one", 3), ("full", 0), ("unused", 5)]
        assert decision.standings[2].reset == 0.0


async def test_a_standing_counts_a_bucket_that_is_given_twice(opener: Opener) -> None:
    async with opener() as opened:
        decision = await opened.limiter.acquire([Take(window(), 1), Take(window(), 2)])
        assert [standing.remaining for standing in decision.standings] == [2, 2]


async def test_no_standing_is_below_0(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (window(limit=5), 5))
        decision = await refused(opened.limiter, (window(limit=2), 1))
        assert [standing.remaining for standing in decision.standings] == [0]


async def test_a_window_is_whole_when_its_standing_said(opener: Opener) -> None:
    async with opener() as opened:
        await taken(opened.limiter, (window(), 2))
        opened.clock.advance(20.5)
        decision = await opened.limiter.acquire([Take(window(), 3)])
        opened.clock.advance(decision.standings[0].reset)
        assert await counted(opened.limiter, window()) == (0, 0)
        await taken(opened.limiter, (window(), 5))


# -- whatever happens ------------------------------------------------------------------------------------------------

SEVERAL = (fund("key"), fund("user", 40), fund("tenant", 100), concurrency(3), window("requests", 8), window("b", 30))


class Acquire(NamedTuple):
    takes: list[Take]


class Settle(NamedTuple):
    """One of the open leases, and how much of each of its takes was used, in percent."""

    lease: int
    shares: list[int]


class Release(NamedTuple):
    lease: int


class Advance(NamedTuple):
    seconds: float


Event = Acquire | Settle | Release | Advance

LEASES = st.integers(0, 10**6)
EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(
        st.builds(
            Acquire, st.lists(st.builds(Take, st.sampled_from(SEVERAL), st.integers(0, 12)), min_size=1, max_size=6)
        ),
        st.builds(Settle, LEASES, st.lists(st.integers(0, 100), min_size=6, max_size=6)),
        st.builds(Release, LEASES),
        st.builds(Advance, st.sampled_from([0.01, 0.9, 1.0, 1.1, 30.0, 60.0, 450.0, 900.0, 5000.0])),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=80)
@given(EVENTS)
async def test_spent_and_reserved_never_exceed_the_limit_by_one_unit(opener: Opener, events: list[Event]) -> None:
    """As long as no call uses more than it reserved, or comes back after its lease has expired."""
    async with opener() as opened:
        leases: list[tuple[str, dict[str, int], float]] = []
        for event in events:
            if isinstance(event, Acquire):
                decision = await opened.limiter.acquire(event.takes)
                if decision.lease is not None:
                    amounts: dict[str, int] = {}
                    for take in event.takes:
                        amounts[take.bucket.key] = amounts.get(take.bucket.key, 0) + take.amount
                    leases.append((decision.lease, amounts, opened.clock.monotonic()))
            elif isinstance(event, Advance):
                opened.clock.advance(event.seconds)
            elif leases:
                lease, amounts, at = leases.pop(event.lease % len(leases))
                if isinstance(event, Release) or opened.clock.monotonic() - at >= LEASE_SECONDS:
                    await opened.limiter.release(lease)
                else:
                    shares = zip(amounts.items(), event.shares, strict=False)
                    await opened.limiter.settle(lease, {key: amount * share // 100 for (key, amount), share in shares})
            for bucket in SEVERAL:
                spent, reserved = await counted(opened.limiter, bucket)
                assert spent >= 0
                assert reserved >= 0
                assert spent + reserved <= bucket.limit


STEPS = st.lists(
    st.tuples(st.one_of(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 70_000)), st.integers(0, 4)),
    max_size=120,
)


@settings(deadline=None, max_examples=80)
@given(STEPS, st.integers(1, 9), st.sampled_from([1.0, 10.0, 60.0]))
async def test_no_rolling_period_holds_more_than_the_limit_and_no_call_is_refused_without_need(
    opener: Opener, steps: Sequence[tuple[int, int]], limit: int, period: float
) -> None:
    """Against a list of everything that was admitted. Steps are (milliseconds since the last one, amount)."""
    bucket = window(limit=limit, period=period)
    async with opener() as opened:
        admitted: list[tuple[float, int]] = []

        def within(seconds: float, now: float) -> int:
            return sum(amount for at, amount in admitted if now - at <= seconds)

        for milliseconds, amount in steps:
            opened.clock.advance(milliseconds / 1000)
            now = opened.clock.monotonic()
            decision = await opened.limiter.acquire([Take(bucket, amount)])
            if decision.lease is None:
                assert within(period * LATE + 0.001, now) + amount > limit
            else:
                admitted.append((now, amount))
                assert within(period, now) <= limit


class Budget(NamedTuple):
    """A limit, the worst case of a call (at most 2 % of it), and what the calls really cost, over and over."""

    limit: int
    worst: int
    costs: list[int]


def budgets(worst: int) -> st.SearchStrategy[Budget]:
    costs = st.lists(st.integers(worst // 10, worst), min_size=1, max_size=20)
    return st.builds(Budget, limit=st.integers(50 * worst, 60 * worst), worst=st.just(worst), costs=costs)


@settings(deadline=None, max_examples=30)
@given(st.integers(10, 10**6).flatmap(budgets))
async def test_98_percent_of_a_budget_can_be_used_where_one_worst_case_is_2_percent_of_it(
    opener: Opener, budget: Budget
) -> None:
    bucket = fund(limit=budget.limit)
    async with opener() as opened:
        spent = 0
        for cost in itertools.cycle(budget.costs):
            decision = await opened.limiter.acquire([Take(bucket, budget.worst)])
            if decision.lease is None:
                break
            await opened.limiter.settle(decision.lease, {"fund": cost})
            spent += cost
        assert await counted(opened.limiter, bucket) == (spent, 0)
        assert 0.98 * budget.limit <= spent <= budget.limit
