"""What calls come to while the shared store is away, and that what they used is counted once when it is back.

That it is the store itself as long as it answers is shown by the suite of all stores (tests/scaigrid/test_limiter.py).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Bucket, Decision, Limiter, OnStoreFailure, Spending, Take
from scaigrid.secrets import Secret
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.stores.standby import FALLBACKS, Standby
from scaigrid.stores.valkey import ValkeyLimiter
from scaigrid.telemetry import Telemetry
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE
from tests.harness.valkey import Valkey

pytestmark = pytest.mark.anyio

DEADLINE = 0.25
CLOCK = SystemClock()


def window(limit: int = 100, on: OnStoreFailure = "allow_bounded", *, key: str = "window") -> Bucket:
    return Bucket(key=key, level="user", kind="tokens", limit=limit, on_store_failure=on)


def fund(limit: int = 100, on: OnStoreFailure = "allow_bounded", *, key: str = "fund") -> Bucket:
    return Bucket(key=key, level="tenant", kind="cost", limit=limit, fund=True, on_store_failure=on)


def calls(limit: int = 100, on: OnStoreFailure = "allow_bounded") -> Bucket:
    return Bucket(key="calls", level="key", kind="concurrency", limit=limit, fund=True, on_store_failure=on)


class Leaving(MemoryLimiter):
    """A store that is away when a test says so, and hears afterwards of what ended meanwhile."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__(clock)
        self._away = False
        self._ended: list[tuple[str, Mapping[str, int]]] = []
        self._spent: set[str] = set()

    def leave(self) -> None:
        self._away = True

    async def come_back(self) -> None:
        self._away = False
        for lease, used in self._ended:
            await super().settle(lease, used)
        self._ended.clear()

    async def acquire(self, takes: Sequence[Take], lease_seconds: float | None = None) -> Decision:
        if self._away:
            raise GatewayError(Code.STORE_UNAVAILABLE)
        return await super().acquire(takes, lease_seconds)

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        if self._away:
            self._ended.append((lease, used))
        else:
            await super().settle(lease, used)

    async def spend(self, lease: str, spent: Sequence[Take]) -> None:
        assert lease not in self._spent
        self._spent.add(lease)
        # Of a fund that nobody has taken of, nothing is spent yet
        await self.preset({take.bucket.key: 0 for take in spent})
        await self.settle(lease, {take.bucket.key: take.amount for take in spent})


class Alone(NamedTuple):
    limiter: Standby
    store: Leaving
    clock: StillClock
    did: list[str]

    async def take(self, *takes: tuple[Bucket, int], seconds: float = 900.0) -> str:
        decision = await self.limiter.acquire([Take(bucket, amount) for bucket, amount in takes], seconds)
        assert decision.lease is not None
        return decision.lease

    async def refusal(self, *takes: tuple[Bucket, int]) -> Bucket | None:
        """The bucket that refuses; None where the store is not available."""
        asked = self.limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
        (decision,) = await asyncio.gather(asked, return_exceptions=True)
        if isinstance(decision, GatewayError) and decision.code is Code.STORE_UNAVAILABLE:
            return None
        assert isinstance(decision, Decision)
        assert decision.lease is None
        assert decision.refused is not None
        return decision.refused

    async def counted(self, bucket: Bucket) -> tuple[int, int]:
        return (await self.limiter.spent([bucket]))[bucket.key]


def alone(share: float = 0.1) -> Alone:
    clock, did = StillClock(), list[str]()
    store = Leaving(clock)
    return Alone(Standby(store, clock, share, did.append), store, clock, did)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


# -- what each bucket says -------------------------------------------------------------------------------------------


async def test_a_bucket_that_denies_refuses_the_call_whatever_the_others_say() -> None:
    at = alone()
    at.store.leave()
    for takes in ([(window(on="deny"), 1)], [(fund(on="allow"), 1), (window(), 1), (calls(on="deny"), 1)]):
        assert await at.refusal(*takes) is None
    # Nothing of the share was used up by a call that was refused
    await at.take((window(), 10))
    assert at.did == ["deny", "deny", "allow_bounded"]


async def test_a_bucket_that_allows_is_left_out() -> None:
    at = alone()
    at.store.leave()
    for _ in range(20):
        await at.take((window(10, on="allow"), 10), (fund(10, on="allow"), 10), (calls(1, on="allow"), 1))
    assert at.did == ["allow"] * 20


async def test_a_call_that_no_bucket_counts_needs_no_store() -> None:
    at = alone()
    at.store.leave()
    await at.limiter.settle(await at.take(), {})
    assert at.did == ["allow"]


@pytest.mark.parametrize("on", ["allow", "allow_bounded"])
async def test_a_limit_of_0_refuses_everything_without_the_store_too(on: OnStoreFailure) -> None:
    at = alone()
    at.store.leave()
    for bucket in (window(0, on=on), fund(0, on=on)):
        for amount in (0, 1):
            assert await at.refusal((window(key="other"), 10), (bucket, amount)) == bucket
    await at.take((window(key="other"), 10))


async def test_a_worker_gives_out_its_share_of_a_window_and_no_more_in_any_period() -> None:
    at = alone()
    await at.take((window(), 95))
    at.store.leave()
    lease = await at.take((window(), 6))
    await at.take((window(), 4))
    refused = await at.refusal((window(), 1))
    assert refused is not None
    assert (refused.key, refused.limit) == ("window", 10)
    # What a call took too much of comes back, as with every window
    await at.limiter.settle(lease, {"window": 2})
    await at.take((window(), 4))
    assert await at.refusal((window(), 1)) is not None
    at.clock.advance(62)
    await at.take((window(), 10))
    assert at.did.count("exhausted") == 2


async def test_the_share_of_calls_at_the_same_time_is_free_again_when_they_are_over() -> None:
    at = alone(0.2)
    at.store.leave()
    for _ in range(3):
        leases = [await at.take((calls(10), 1)) for _ in range(2)]
        assert await at.refusal((calls(10), 1)) is not None
        await at.limiter.settle(leases[0], {"calls": 0})
        await at.limiter.release(leases[1])


async def test_the_share_of_a_fund_is_of_what_was_left_when_the_worker_heard_of_it_last() -> None:
    at = alone()
    await at.limiter.preset({"fund": 20})
    await at.limiter.settle(await at.take((fund(), 30)), {"fund": 30})
    at.store.leave()
    await at.take((fund(), 5))
    # A tenth of the 50 that were left. A budget that has room elsewhere is not used up, so that is not what is said.
    assert await at.refusal((fund(), 1)) is None
    assert at.did == ["allow_bounded", "exhausted"]


async def test_of_a_fund_that_is_used_up_nothing_is_left_to_share() -> None:
    at = alone(1.0)
    await at.limiter.settle(await at.take((fund(), 100)), {"fund": 120})
    at.store.leave()
    assert await at.refusal((fund(), 1)) is None
    # A free call goes on when the money is gone
    await at.take((fund(), 0))


async def test_a_share_of_less_than_one_is_nothing() -> None:
    at = alone(0.1)
    at.store.leave()
    assert await at.refusal((window(9), 1)) is not None
    await at.take((window(10), 1))


async def test_a_share_is_exact() -> None:
    """A tenth is a tenth, and not the double next to it: the limits of money have more digits than a double."""
    at = alone(0.1)
    limit = 123_456_789_012_345_678_901_230
    at.store.leave()
    assert await at.refusal((fund(limit), limit // 10 + 1)) is None
    await at.take((fund(limit), limit // 10))


async def test_what_was_settled_without_the_store_counts_against_the_share_until_it_is_back() -> None:
    at = alone()
    at.store.leave()
    for used in (4, 3, 3):
        await at.limiter.settle(await at.take((fund(), used)), {"fund": used})
    assert await at.refusal((fund(), 1)) is None
    await at.store.come_back()
    await at.limiter.release(await at.take((fund(), 1)))
    at.store.leave()
    await at.take((fund(), 9))
    # A tenth of the 90 that are left now
    assert await at.refusal((fund(), 1)) is None


async def test_calls_still_under_way_from_the_last_time_count_against_the_share() -> None:
    at = alone()
    at.store.leave()
    await at.take((fund(), 8))
    await at.store.come_back()
    await at.limiter.release(await at.take((fund(), 1)))
    at.store.leave()
    assert await at.refusal((fund(), 3)) is None
    await at.take((fund(), 2))


async def test_a_lease_of_a_call_that_never_comes_back_expires_here_too() -> None:
    at = alone()
    at.store.leave()
    await at.take((fund(), 10), seconds=30.0)
    at.clock.advance(29)
    assert await at.refusal((fund(), 1)) is None
    at.clock.advance(1)
    await at.take((fund(), 10))


async def test_it_is_ready_without_the_store_once_it_has_let_a_call_through(server: Valkey) -> None:
    """Or whoever spreads calls would send none to a gateway that can do without."""
    async with over(server) as limiter:
        server.pause()
        for on, ready in (("deny", False), ("allow", True)):
            with suppress(GatewayError):
                await limiter.acquire([Take(fund(on=cast("OnStoreFailure", on)), 1)])
            assert (await limiter.check() == "ok") is ready
        limiter.bar("another one counts")
        assert await limiter.check() == "another one counts"


async def test_a_store_beside_which_others_count_is_not_stood_in_for() -> None:
    at = alone()
    at.limiter.bar("another one counts")
    for _ in range(2):
        assert await at.refusal((fund(on="allow"), 1)) is None
    assert (await at.limiter.check(), at.did) == ("another one counts", [])
    at.limiter.bar("")
    await at.take((fund(), 1))
    assert await at.limiter.check() == "ok"


# -- what the store hears of -----------------------------------------------------------------------------------------


async def test_the_store_hears_what_was_used_of_every_fund_and_hears_it_once() -> None:
    at = alone()
    buckets = (fund(), fund(on="allow", key="allowed"), fund(on="allow", key="unnamed"), calls(), window())
    await at.limiter.preset({bucket.key: 5 for bucket in buckets[:3]})
    heard: list[Mapping[str, Spending]] = []
    at.limiter.on_spent(heard.append)
    at.store.leave()
    used = {"fund": 2, "allowed": 700, "window": 3, "calls": 0}
    settled = await at.take(*((bucket, 4) for bucket in buckets))
    for _ in range(2):
        await at.limiter.settle(settled, used)
    await at.limiter.release(settled)
    released = await at.take(*((bucket, 4) for bucket in buckets))
    await at.limiter.release(released)
    await at.limiter.settle(released, used)
    assert heard == []
    await at.store.come_back()
    assert [await at.counted(bucket) for bucket in buckets] == [(7, 0), (705, 0), (9, 0), (0, 0), (0, 0)]
    assert heard == [{"fund": (5, 7), "allowed": (5, 705), "unnamed": (5, 9)}]


async def test_a_call_let_through_without_the_store_may_end_when_it_is_back() -> None:
    at = alone()
    await at.limiter.preset({"fund": 5})
    at.store.leave()
    lease = await at.take((fund(), 4), (fund(), 2))
    await at.store.come_back()
    await at.limiter.settle(lease, {})
    assert await at.counted(fund()) == (11, 0)


async def test_a_call_let_in_by_the_store_may_end_without_it() -> None:
    at = alone()
    lease = await at.take((fund(), 4))
    at.store.leave()
    await at.limiter.settle(lease, {"fund": 3})
    await at.store.come_back()
    assert await at.counted(fund()) == (3, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 12), st.integers(0, 12)),
        st.tuples(st.sampled_from(["settle", "release"]), st.integers(0, 100), st.integers(0, 9)),
        st.tuples(st.sampled_from(["leave", "come back"]), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(STEPS)
async def test_however_often_the_store_leaves_what_was_used_is_counted_in_full_and_shares_are_kept_to(
    steps: list[tuple[str, int, int]],
) -> None:
    at = alone()
    bounded, allowed = fund(), fund(1000, on="allow", key="allowed")
    await at.limiter.preset({"fund": 0, "allowed": 0})
    leases: list[tuple[str, int]] = []
    spent = 0
    away: list[str] | None = None
    given: dict[str, int] = {}
    for what, number, amount in steps:
        if what == "take":
            try:
                decision = await at.limiter.acquire([Take(bounded, number), Take(allowed, amount)])
            except GatewayError:
                continue
            if decision.lease is not None:
                leases.append((decision.lease, number))
                if away is not None:
                    away.append(decision.lease)
                    given[decision.lease] = number
                    # Whatever has ended since: no more than a tenth of the limit is under way without the store
                    assert sum(given.values()) <= 10
        elif what == "leave":
            at.store.leave()
            away = [] if away is None else away
        elif what == "come back":
            await at.store.come_back()
            away = None
        elif leases:
            lease, most = leases.pop(number % len(leases))
            given.pop(lease, None)
            if what == "settle":
                used = min(amount, most)
                spent += used
                await at.limiter.settle(lease, {"fund": used, "allowed": used})
            else:
                await at.limiter.release(lease)
    await at.store.come_back()
    found = await at.limiter.spent([bounded, allowed])
    assert found["fund"][0] == found["allowed"][0] == spent


# -- what is told ----------------------------------------------------------------------------------------------------


async def test_one_line_tells_when_it_begins_and_one_when_it_ends(logged: list[Any]) -> None:
    at = alone()
    await at.take((fund(), 1))
    at.store.leave()
    for _ in range(3):
        await at.take((fund(), 1))
        await at.refusal((fund(on="deny"), 1))
    at.clock.advance(30)
    await at.store.come_back()
    for _ in range(3):
        await at.take((fund(), 1))
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("calls_let_through_without_the_store", "warning"),
        ("calls_counted_again", "info"),
    ]
    assert {key: logged[1][key] for key in ("seconds", *FALLBACKS)} == {
        "seconds": 30.0,
        "deny": 3,
        "allow": 0,
        "allow_bounded": 3,
        "exhausted": 0,
    }


async def test_an_outage_in_which_every_call_is_refused_is_told_by_the_store_alone(logged: list[Any]) -> None:
    at = alone()
    at.store.leave()
    await at.refusal((fund(on="deny"), 1))
    await at.store.come_back()
    await at.take((fund(on="deny"), 1))
    assert logged == []


# -- a real store that is away ---------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@asynccontextmanager
async def over(server: Valkey, telemetry: Telemetry | None = None) -> AsyncGenerator[Limiter]:
    """As a gateway has it."""
    fell_back = (telemetry or Telemetry()).fell_back
    config = Store(type="valkey", url=Secret(server.url), timeout_seconds=DEADLINE)
    limiter = Standby(ValkeyLimiter(config, CLOCK), CLOCK, config.local_share, fell_back)
    try:
        await limiter.preset({"fund": 10})
        yield limiter
    finally:
        await limiter.aclose()


async def lease_of(limiter: Limiter, *takes: tuple[Bucket, int]) -> str:
    decision = await limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
    assert decision.lease is not None
    return decision.lease


async def is_back(limiter: Limiter) -> None:
    """Its server answers; readiness would say so before."""
    ends = CLOCK.monotonic() + PATIENCE
    while isinstance((await asyncio.gather(limiter.spent([fund()]), return_exceptions=True))[0], GatewayError):
        assert CLOCK.monotonic() < ends, await limiter.check()
        await asyncio.sleep(0.01)


async def test_after_a_pause_the_server_counts_what_was_used_meanwhile(server: Valkey) -> None:
    """It kept its counters, so it is told; those who wait for a pause wait for one deadline."""
    telemetry = Telemetry()
    async with over(server, telemetry) as limiter:
        held = await lease_of(limiter, (fund(), 20))
        server.pause()
        async with asyncio.timeout(100 * DEADLINE):
            leases = [await lease_of(limiter, (fund(10**6), 2), (window(10**6), 1)) for _ in range(500)]
        for lease in leases[:400]:
            await limiter.settle(lease, {"fund": 1})
        await limiter.settle(held, {"fund": 7})
        server.go_on()
        await is_back(limiter)
        assert await limiter.spent([fund()]) == {"fund": (417, 0)}
        for lease in leases[400:]:
            await limiter.settle(lease, {"fund": 1})
        assert await limiter.spent([fund()]) == {"fund": (517, 0)}
    assert b'scaigrid_store_fallback_total{action="allow_bounded"} 500.0' in await telemetry.render()


async def test_a_settling_whose_answer_was_lost_is_said_again_and_counts_once(server: Valkey) -> None:
    async with over(server) as limiter:
        server.pause()
        away = [await lease_of(limiter, (fund(), 1)) for _ in range(3)]
        server.go_on()
        await is_back(limiter)
        server.pause()
        # The server has it in its ears when the wire is cut, and hears it a second time on the next one
        await limiter.settle(away[0], {"fund": 1})
        await lease_of(limiter, (fund(), 1))
        await limiter.settle(away[1], {"fund": 1})
        server.go_on()
        await is_back(limiter)
        assert await limiter.spent([fund()]) == {"fund": (12, 0)}
        server.command("CLIENT", "KILL", "TYPE", "normal")
        await limiter.settle(away[2], {"fund": 1})
        await is_back(limiter)
        assert await limiter.spent([fund()]) == {"fund": (13, 0)}


async def test_the_first_that_is_spent_of_a_fund_may_be_spent_without_the_server(server: Valkey) -> None:
    """A day's budget whose day began while the server was away; it is forgotten when the others are."""
    async with over(server) as limiter:
        server.pause()
        today = Bucket(
            key="today", level="user", kind="cost", limit=9, fund=True, until=CLOCK.now() + 60, on_store_failure="allow"
        )
        await limiter.settle(await lease_of(limiter, (today, 5), (fund(on="allow"), 5)), {"today": 3})
        server.go_on()
        await is_back(limiter)
        assert await limiter.spent([today, fund()]) == {"today": (3, 0), "fund": (15, 0)}
        assert 3600_000 < server.command("PTTL", "{scaigrid}:b:today") < 3700_000


async def test_after_a_restart_what_ended_ahead_of_the_rebuilding_is_taken_from_the_ledger_alone(
    server: Valkey,
) -> None:
    """The counters are gone: the ledger has what ended before it was asked, and the store is told of the rest."""
    async with over(server) as limiter:
        server.kill()
        before, during, after = [await lease_of(limiter, (fund(), 1)) for _ in range(3)]
        await limiter.settle(before, {"fund": 1})
        server.start()
        async with asyncio.timeout(PATIENCE):
            await limiter.lost()
        # Until the counters have been preset the store is as good as away
        meanwhile = await lease_of(limiter, (fund(), 1))
        await limiter.settle(during, {"fund": 1})
        await limiter.preset({"fund": 11})
        assert await limiter.spent([fund()]) == {"fund": (12, 0)}
        for lease in (after, meanwhile, before, during):
            await limiter.settle(lease, {"fund": 1})
        assert await limiter.spent([fund()]) == {"fund": (14, 0)}
