"""What is true of the Valkey store alone; what is true of every store is in tests/scaigrid/test_limiter.py."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from libvalkey import ReplyError
from structlog.testing import capture_logs

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Bucket, Decision, Limiter, Spending, Take
from scaigrid.secrets import Secret
from scaigrid.stores.functions import COUNTERS
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.stores.valkey import ValkeyLimiter
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE, becomes
from tests.harness.ports import free_port
from tests.harness.valkey import Valkey, shared
from tests.scaigrid.stores.openers import over, prefix

pytestmark = pytest.mark.anyio

DEADLINE = 0.25
CLOCK = SystemClock()
NOW = CLOCK.now


def window(key: str = "window", limit: int = 5, period: float = 60.0) -> Bucket:
    return Bucket(key=key, level="user", kind="tokens", limit=limit, period=period)


def fund(key: str = "fund", limit: int = 5, until: float = float("inf")) -> Bucket:
    return Bucket(key=key, level="tenant", kind="cost", limit=limit, fund=True, until=until)


def calls(limit: int = 5) -> Bucket:
    return Bucket(key="calls", level="key", kind="concurrency", limit=limit, fund=True)


@asynccontextmanager
async def opened(server: Valkey, name: str = "scaigrid", *, url: str | None = None) -> AsyncGenerator[ValkeyLimiter]:
    """A limiter as a gateway has it, by the server's own clock; nothing is preset yet."""
    limiter = ValkeyLimiter(
        Store(type="valkey", url=Secret(url or server.url), timeout_seconds=DEADLINE, prefix=name), SystemClock()
    )
    try:
        yield limiter
    finally:
        await limiter.aclose()


@pytest.fixture
def server() -> Iterator[Valkey]:
    """One that a test may mistreat."""
    with Valkey() as running:
        yield running


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def taken(limiter: Limiter, *takes: tuple[Bucket, int]) -> str:
    decision = await limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
    assert decision.lease is not None
    return decision.lease


async def unavailable(limiter: Limiter, *takes: tuple[Bucket, int]) -> None:
    with pytest.raises(GatewayError) as caught:
        await limiter.acquire([Take(bucket, amount) for bucket, amount in takes])
    assert caught.value.code is Code.STORE_UNAVAILABLE


async def counted(limiter: Limiter, bucket: Bucket) -> tuple[int, int]:
    return (await limiter.spent([bucket]))[bucket.key]


async def rebuilt(limiter: Limiter, **spent: int) -> None:
    """What a worker does when its store has lost its counters."""
    async with asyncio.timeout(PATIENCE):
        await limiter.lost()
        await limiter.preset(spent)


async def until(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    ends = CLOCK.monotonic() + PATIENCE
    while not await ask():
        assert CLOCK.monotonic() < ends, what
        await asyncio.sleep(0.01)


async def says(limiter: ValkeyLimiter, words: str) -> None:
    """Its readiness comes to say something."""

    async def said() -> bool:
        return (await limiter.check()).startswith(words)

    await until(said, words)


# -- against the other store -----------------------------------------------------------------------------------------

LARGE = 10**21
BUCKETS = (
    fund("key", 6),
    fund("tenant", 30),
    fund("nothing", 0),
    fund("large", LARGE),
    calls(2),
    window("second", 4, period=1.0),
    window("minute", 12),
    window("hour", 40, period=3600.0),
)
CHANGING = (window("changing", 9), window("changing", 3), window("changing", 6, period=10.0))
"""One window, by three configurations."""
EVERYTHING = (*BUCKETS, CHANGING[0])
AMOUNTS = st.one_of(st.integers(0, 15), st.integers(0, LARGE))
SECONDS = st.one_of(
    st.sampled_from([0.0, 0.000001, 0.5, 1.0, 60.0, 61.0, 90.0, 3600.0]),
    st.floats(0.0, 2.0),
    st.floats(-30.0, 200.0),
)


class Acquire(NamedTuple):
    """Each take is the place of a bucket and an amount; the place after the last is the window that changes."""

    takes: list[tuple[int, int]]
    configuration: int
    lease_seconds: float = 90.0


class End(NamedTuple):
    """One of the leases so far, and what was used; None where it is released."""

    lease: int
    used: dict[str, int] | None


class Advance(NamedTuple):
    seconds: float


LARGE_ONE = BUCKETS.index(fund("large", LARGE))
TAKES = st.one_of(
    st.tuples(st.integers(0, len(BUCKETS)), st.integers(0, 7)),
    st.tuples(st.just(len(BUCKETS)), st.integers(0, 3)),
    st.tuples(st.just(LARGE_ONE), AMOUNTS),
)
ACQUIRE = st.builds(
    Acquire,
    st.lists(TAKES, min_size=1, max_size=5),
    st.integers(0, len(CHANGING) - 1),
    st.sampled_from([90.0, 0.5, 61.0, 3600.0]),
)


def both(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return one | other


USED = st.builds(
    both,
    st.dictionaries(st.sampled_from([bucket.key for bucket in EVERYTHING]), st.integers(0, 9)),
    st.dictionaries(st.just("large"), AMOUNTS),
)
END = st.builds(End, st.integers(0, 10**6), st.none() | USED)
ADVANCE = st.builds(Advance, SECONDS)
STEPS = st.lists(st.one_of(ACQUIRE, ACQUIRE, ACQUIRE, END, ADVANCE), min_size=5, max_size=40)


CHANGED = [Acquire([(len(BUCKETS), 3)], 2), Advance(5.0), Acquire([(len(BUCKETS), 2)], 0)]
"""A window of ten seconds that becomes one of a minute."""


@settings(max_examples=80)
@given(STEPS)
@example([*CHANGED, End(0, {"changing": 0})])
@example([*CHANGED, Advance(30.0), Acquire([(len(BUCKETS), 1)], 0), Advance(31.1)])
async def test_it_answers_what_the_memory_store_answers(steps: list[Acquire | End | Advance]) -> None:
    """Decisions, waits, standings and counters, to the unit and to the microsecond, whatever the clock does."""
    clock = StillClock()
    memory = MemoryLimiter(clock, lease_seconds=90.0)
    async with over(shared(), prefix(), clock, lease_seconds=90.0) as limiter:
        # The one's clock begins when it is made, the other's when it is first asked
        await limiter.check()
        leases: list[tuple[str, str]] = []
        heard: tuple[list[Mapping[str, Spending]], list[Mapping[str, Spending]]] = ([], [])
        memory.on_spent(heard[0].append)
        limiter.on_spent(heard[1].append)
        for step in steps:
            if isinstance(step, Acquire):
                buckets = (*BUCKETS, CHANGING[step.configuration])
                takes = [Take(buckets[place], amount) for place, amount in step.takes]
                expected = await memory.acquire(takes, step.lease_seconds)
                found = await limiter.acquire(takes, step.lease_seconds)
                assert without_lease(found) == without_lease(expected)
                if expected.lease is not None and found.lease is not None:
                    leases.append((expected.lease, found.lease))
            elif isinstance(step, Advance):
                clock.running += step.seconds
            elif leases:
                stores: tuple[Limiter, Limiter] = (memory, limiter)
                for store, lease in zip(stores, leases[step.lease % len(leases)], strict=True):
                    await (store.release(lease) if step.used is None else store.settle(lease, step.used))
            assert await limiter.spent(EVERYTHING) == await memory.spent(EVERYTHING)
            assert heard[0] == heard[1]


def without_lease(decision: Decision) -> tuple[bool, Bucket | None, float, Sequence[object]]:
    return decision.lease is None, decision.refused, decision.retry_after, list(decision.standings)


# -- several on one server -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bucket", [window(), fund(), calls()], ids=lambda bucket: bucket.key)
async def test_of_100_callers_at_two_gateways_a_limit_of_5_admits_exactly_5(bucket: Bucket) -> None:
    name = prefix()
    async with opened(shared(), name) as one, opened(shared(), name) as other:
        for limiter in (one, other):
            await limiter.preset({})
        decisions = await asyncio.gather(*(each.acquire([Take(bucket, 1)]) for each in (one, other) * 50))
        assert len({decision.lease for decision in decisions if decision.lease is not None}) == 5
        assert [decision.refused for decision in decisions].count(bucket) == 95
        assert sum(await counted(one, bucket)) == sum(await counted(other, bucket)) == 5


async def test_whoever_comes_later_presets_nothing_that_is_counted_already() -> None:
    name = prefix()
    async with opened(shared(), name) as one, opened(shared(), name) as other:
        await one.preset({"fund": 2})
        await one.settle(await taken(one, (fund(), 2)), {})
        assert await counted(one, fund()) == (4, 0)
        await other.preset({"fund": 3, "new": 1})
        assert await other.spent([fund(), fund("new")]) == {"fund": (4, 0), "new": (1, 0)}


async def test_nothing_is_given_out_before_this_one_has_preset_its_funds() -> None:
    name = prefix()
    async with opened(shared(), name) as one, opened(shared(), name) as other:
        await one.preset({})
        await unavailable(other, (fund("of the other's configuration"), 1))
        await says(other, "the store has lost")
        await other.lost()
        await other.preset({"of the other's configuration": 5})
        decision = await other.acquire([Take(fund("of the other's configuration"), 1)])
        assert decision.refused is not None


async def test_of_the_gateways_that_share_a_fund_one_alone_sees_it_pass_a_threshold() -> None:
    name = prefix()
    passed: list[int] = []
    async with opened(shared(), name) as one, opened(shared(), name) as other:
        for number, limiter in enumerate((one, other)):
            await limiter.preset({})

            def hear(spending: Mapping[str, Spending], number: int = number) -> None:
                passed.extend(number for each in spending.values() if each.before < 50 <= each.after)

            limiter.on_spent(hear)
        held = [(each, await taken(each, (fund(limit=100), 1))) for each in (one, other) * 50]
        await asyncio.gather(*(each.settle(lease, {}) for each, lease in held))
        for each in (one, other):
            # What each was asked for before that is done
            await counted(each, fund())
        assert await counted(one, fund()) == (100, 0)
        assert len(passed) == 1


async def test_what_a_settling_spent_is_heard_though_the_server_was_away_meanwhile(server: Valkey) -> None:
    heard: list[Mapping[str, Spending]] = []
    async with opened(server) as limiter:
        await limiter.preset({})
        limiter.on_spent(heard.append)
        lease = await taken(limiter, (fund(), 3))
        server.pause()
        await unavailable(limiter, (fund(), 1))
        await limiter.settle(lease, {"fund": 2})
        server.go_on()
        await says(limiter, "ok")
        await becomes(lambda: heard == [{"fund": (0, 2)}], "the settling is heard of")


async def test_a_release_that_counts_leases_by_when_they_were_taken_gives_back_the_same_ones() -> None:
    """What stands in the set is the moment of taking, for a lease of the usual time, whose functions may be older."""
    name, clock = prefix(), StillClock(running=5000.0)
    async with over(shared(), name, clock) as limiter:
        usual, long = await taken(limiter), (await limiter.acquire([], 3600.0)).lease
        scores: list[bytes] = shared().command("ZRANGE", f"{{{name}}}:open", 0, -1, "WITHSCORES")
        assert scores == [
            f"{{{name}}}:lease:{usual}".encode(),
            b"5000000000",
            f"{{{name}}}:lease:{long}".encode(),
            b"7700000000",
        ]


async def test_prefixes_share_nothing() -> None:
    async with opened(shared(), prefix()) as one, opened(shared(), prefix()) as other:
        for limiter in (one, other):
            await limiter.preset({})
        await taken(one, (fund(), 5), (window(), 5))
        await taken(other, (fund(), 5), (window(), 5))


async def test_every_key_has_the_one_hash_tag() -> None:
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({"preset": 1})
        await taken(limiter, (fund(), 1), (window(), 1), (calls(), 1))
        assert shared().keys(f"*{name}[:}}]*") == {
            f"{{{name}}}:{rest}"
            for rest in ("state", "open", "b:preset", "b:fund", "b:window", "b:calls", *leases(name))
        }


def leases(name: str) -> set[str]:
    return {key.removeprefix(f"{{{name}}}:") for key in shared().keys(f"{{{name}}}:lease:*")}


async def test_a_cluster_takes_the_calls() -> None:
    """One node with every slot: a step that touched another slot would be refused."""
    with Valkey(cluster_enabled="yes", cluster_port=str(free_port())) as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        await becomes(lambda: b"cluster_state:ok" in server.command("CLUSTER", "INFO"), "the cluster is one")
        async with opened(server) as limiter:
            await limiter.preset({"fund": 1})
            lease = await taken(limiter, (fund(), 2), (window(), 2), (calls(), 1))
            await limiter.settle(lease, {"fund": 1, "window": 1})
            assert await limiter.spent([fund(), window(), calls()]) == {
                "fund": (2, 0),
                "window": (1, 0),
                "calls": (0, 0),
            }


# -- what is kept, and for how long ----------------------------------------------------------------------------------


def left(name: str, key: str) -> float:
    """Seconds until the server forgets a key; -1 for never, -2 where it is gone."""
    milliseconds: int = shared().command("PTTL", f"{{{name}}}:{key}")
    return milliseconds if milliseconds < 0 else milliseconds / 1000


async def test_a_window_is_forgotten_once_nothing_in_it_counts() -> None:
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({})
        await taken(limiter, (window(), 1), (window("long", period=3600.0), 1))
        assert 60 * 61 / 60 < left(name, "b:window") <= 60 * 62 / 60 + 0.01
        assert 3600 * 61 / 60 < left(name, "b:long") <= 3600 * 62 / 60 + 0.01


async def test_the_servers_clock_counts_a_window() -> None:
    async with opened(shared(), prefix()) as limiter:
        await limiter.preset({})
        short = window(period=0.2)
        await taken(limiter, (short, 5))
        decision = await limiter.acquire([Take(short, 1)])
        assert decision.refused == short
        assert 0 < decision.retry_after <= 0.2 * 61 / 60 + 0.001

        async def whole() -> bool:
            return (await limiter.acquire([Take(short, 5)])).lease is not None

        await until(whole, "the window is whole again")


async def test_a_fund_is_forgotten_an_hour_after_its_period_and_follows_its_configuration() -> None:
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({"fund": 1, "unused": 1})
        assert left(name, "b:fund") == -1
        for until, seconds in ((NOW() + 600, 600 + 3600), (NOW() + 86_400, 86_400 + 3600)):
            await taken(limiter, (fund(until=until), 1))
            assert seconds - 5 < left(name, "b:fund") <= seconds + 1
        await taken(limiter, (fund(), 1))
        assert left(name, "b:fund") == -1


async def test_a_gateway_whose_clock_is_behind_loses_no_budget() -> None:
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({})
        yesterday = fund(until=NOW() - 86_400)
        await limiter.settle(await taken(limiter, (yesterday, 3)), {})
        for _ in range(2):
            assert (await limiter.acquire([Take(yesterday, 3)])).refused == yesterday
        assert 3500 < left(name, "b:fund") <= 3600


async def test_calls_and_leases_leave_nothing_behind() -> None:
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({})
        for settles in (False, True):
            lease = await taken(limiter, (calls(), 1), (calls(), 1))
            await (limiter.settle(lease, {}) if settles else limiter.release(lease))
            assert await counted(limiter, calls()) == (0, 0)
        assert shared().keys(f"{{{name}}}:*") == {f"{{{name}}}:state"}


async def test_an_expired_lease_leaves_what_a_late_settling_needs() -> None:
    name, clock = prefix(), StillClock()
    async with over(shared(), name, clock) as limiter:
        lease = await taken(limiter, (calls(), 1), (fund(), 1))
        clock.advance(900)
        assert await counted(limiter, calls()) == (0, 0)
        names = shared().keys()
        assert f"{{{name}}}:b:calls" not in names
        assert f"{{{name}}}:lease:{lease}" in names


async def test_a_lease_is_kept_until_it_has_been_given_back_and_a_day_longer() -> None:
    """However long nobody took a step: the server drops nothing that is still reserved."""
    name = prefix()
    async with opened(shared(), name) as limiter:
        await limiter.preset({})
        decision = await limiter.acquire([Take(calls(), 1), Take(fund(), 3)], lease_seconds=0.01)
        place = f"lease:{decision.lease}"
        assert shared().command("PTTL", f"{{{name}}}:{place}") == -1

        async def given_back() -> bool:
            return dict(await limiter.spent([calls(), fund()])) == {"calls": (0, 0), "fund": (0, 0)}

        await until(given_back, "it has expired")
        assert left(name, place) == pytest.approx(86_400, abs=5)


async def test_however_many_leases_expire_at_once_they_are_given_back_part_by_part() -> None:
    clock = StillClock()
    async with over(shared(), prefix(), clock) as limiter:
        for _ in range(300):
            await taken(limiter, (fund(limit=1000), 1))
        clock.advance(900)
        assert [(await counted(limiter, fund()))[1] for _ in range(4)] == [300 - 128, 300 - 256, 0, 0]


# -- numbers ---------------------------------------------------------------------------------------------------------


async def test_a_window_above_what_it_can_count_counts_as_the_most_that_it_can() -> None:
    most = 2**53 - 1
    async with over(shared(), prefix(), StillClock()) as limiter:
        decision = await limiter.acquire([Take(window(limit=10**30), most)])
        assert [standing.remaining for standing in decision.standings] == [0]
        assert await counted(limiter, window()) == (most, 0)
        assert (await limiter.acquire([Take(window("other", limit=10**30), most + 1)])).refused is not None
        # Nor does a call that says more than it took push it beyond
        assert decision.lease is not None
        await limiter.settle(await taken(limiter, (window("third"), 1)), {"third": 10**30})
        assert await counted(limiter, window("third")) == (most, 0)


async def test_a_fund_counts_to_24_digits_and_no_further() -> None:
    most = 10**24 - 1
    huge = fund(limit=10**30)
    async with over(shared(), prefix(), StillClock()) as limiter:
        await limiter.settle(await taken(limiter, (huge, most)), {})
        assert await counted(limiter, huge) == (most, 0)
        assert (await limiter.acquire([Take(huge, 1)])).refused == huge
        await limiter.settle(await taken(limiter, (huge, 0)), {"fund": 10**30})
        assert await counted(limiter, huge) == (most, 0)


async def test_many_funds_are_preset_and_asked_for_in_parts() -> None:
    async with opened(shared(), prefix()) as limiter:
        await limiter.preset({f"fund {number}": number for number in range(1700)})
        found = await limiter.spent([fund(f"fund {number}") for number in range(1700)])
        assert found == {f"fund {number}": (number, 0) for number in range(1700)}


# -- calls that nobody waits for -------------------------------------------------------------------------------------


async def test_a_caller_that_leaves_while_it_is_let_in_leaves_nothing_behind() -> None:
    async with opened(shared(), prefix()) as limiter:
        await limiter.preset({})
        caller = asyncio.create_task(limiter.acquire([Take(fund(), 3), Take(window(), 3)]))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await limiter.spent([fund(), window()]) == {"fund": (0, 0), "window": (0, 0)}


async def test_a_lease_that_ends_waits_for_nobody(server: Valkey) -> None:
    """Neither for a server that is paused nor for one that is gone; and it is not forgotten."""
    async with opened(server) as limiter:
        await limiter.preset({})
        held = [await taken(limiter, (fund(limit=100), 10)) for _ in range(4)]
        server.pause()
        ended_at_once(limiter.settle(held[0], {"fund": 1}))
        ended_at_once(limiter.release(held[1]))
        await says(limiter, "the store cannot be reached")
        ended_at_once(limiter.settle(held[2], {"fund": 2}))
        server.go_on()
        await says(limiter, "ok")
        assert await counted(limiter, fund()) == (3, 10)


def ended_at_once(step: Any) -> None:
    with pytest.raises(StopIteration):
        step.send(None)


async def test_a_worker_that_stops_says_first_what_has_ended() -> None:
    name = prefix()
    async with opened(shared(), name) as one, opened(shared(), name) as other:
        for limiter in (one, other):
            await limiter.preset({})
        for lease in [await taken(one, (fund(limit=100), 1)) for _ in range(50)]:
            await one.settle(lease, {"fund": 2})
        await one.aclose()
        assert await counted(other, fund()) == (100, 0)


# -- outages ---------------------------------------------------------------------------------------------------------


async def test_a_paused_server_costs_one_deadline_and_not_every_call(server: Valkey, logged: list[Any]) -> None:
    async with opened(server) as limiter:
        await limiter.preset({})
        server.pause()
        await unavailable(limiter, (fund(), 1))
        # Each by its own deadline, they would take as many quarters of a second
        async with asyncio.timeout(100 * DEADLINE):
            for _ in range(1000):
                await unavailable(limiter, (fund(), 1))
        assert (await limiter.check()).startswith("the store cannot be reached: no answer within 0.25 s")
        server.go_on()
        await says(limiter, "ok")
        await taken(limiter, (fund(), 5))
        assert [line["event"] for line in logged] == ["store_lost", "store_found"]


async def test_what_a_paused_server_took_after_all_is_given_back(server: Valkey) -> None:
    async with opened(server) as limiter:
        await limiter.preset({})
        server.pause()
        waiting = [limiter.acquire([Take(fund(), 1), Take(window(), 1)]) for _ in range(3)]
        assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [GatewayError] * 3
        server.go_on()
        await says(limiter, "ok")
        assert await limiter.spent([fund(), window()]) == {"fund": (0, 0), "window": (0, 0)}


@pytest.mark.parametrize("end", [Valkey.stop, Valkey.kill], ids=["stopped", "killed"])
async def test_a_server_that_starts_again_with_nothing_is_given_its_functions_and_the_budgets(
    server: Valkey, logged: list[Any], end: Callable[[Valkey], None]
) -> None:
    async with opened(server) as limiter:
        await limiter.preset({"fund": 1})
        earlier, later = [await taken(limiter, (fund(limit=10), 3)) for _ in range(2)]
        end(server)
        await unavailable(limiter, (fund(), 1))
        await says(limiter, "the store cannot be reached")
        await limiter.settle(earlier, {"fund": 1})
        server.start()
        async with asyncio.timeout(PATIENCE):
            await limiter.lost()
        # From here on the ledger is asked: it has what ended before, and does not have this
        await limiter.settle(later, {"fund": 2})
        await limiter.preset({"fund": 2})
        assert await counted(limiter, fund()) == (4, 0)
        assert COUNTERS.name.encode() in server.command("FUNCTION", "LIST")[0]
        await taken(limiter, (fund(), 1))
        assert [line["event"] for line in logged] == ["store_lost", "store_found"]


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(server: Valkey, logged: list[Any]) -> None:
    server.stop()
    async with opened(server) as limiter:
        with pytest.raises(GatewayError):
            await limiter.preset({"fund": 4})
        await unavailable(limiter, (fund(), 1))
        server.start()
        await rebuilt(limiter, fund=4)
        assert await counted(limiter, fund()) == (4, 0)
        assert [line["event"] for line in logged] == ["store_lost", "store_found"]


async def test_counters_that_somebody_deleted_are_rebuilt_before_anything_is_given_out(server: Valkey) -> None:
    async with opened(server) as one, opened(server) as other:
        for limiter in (one, other):
            await limiter.preset({"fund": 2})
        server.command("FLUSHALL")
        await unavailable(one, (fund(), 1))
        await unavailable(other, (fund(), 1))
        await rebuilt(one, fund=2)
        await one.settle(await taken(one, (fund(), 1)), {})
        # The other one knows of a row more
        await rebuilt(other, fund=4)
        assert await counted(one, fund()) == (4, 0)
        assert (await one.acquire([Take(fund(), 2)])).refused is not None


async def test_counters_that_come_back_from_an_old_copy_are_raised_to_the_ledgers(server: Valkey) -> None:
    """And whoever sees them first has nobody else go on with them."""
    async with opened(server) as one, opened(server) as other:
        for limiter in (one, other):
            await limiter.preset({})
        await one.settle(await taken(one, (fund(), 1), (fund("ahead"), 4)), {})
        assert await counted(one, fund()) == (1, 0)
        server.command("SAVE")
        await one.settle(await taken(one, (fund(), 3)), {})
        server.kill()
        server.start()
        for limiter in (one, other):
            await says(limiter, "the store has lost")
            await unavailable(limiter, (fund(), 1))
        await rebuilt(one, fund=4, ahead=2)
        assert await one.spent([fund(), fund("ahead")]) == {"fund": (4, 0), "ahead": (4, 0)}


async def test_a_part_of_the_funds_begins_no_new_life(server: Valkey) -> None:
    """A configuration that is read anew presets what is new, and does not know that all the rest is lost."""
    async with opened(server) as limiter:
        await limiter.preset({"fund": 2})
        await limiter.preset({"new": 1}, complete=False)
        assert await limiter.spent([fund(), fund("new")]) == {"fund": (2, 0), "new": (1, 0)}
        server.command("FLUSHALL")
        await unavailable(limiter)
        with pytest.raises(GatewayError):
            await limiter.preset({"newer": 1}, complete=False)
        await unavailable(limiter)
        await rebuilt(limiter, fund=2, new=1, newer=1)
        assert await limiter.spent([fund(), fund("newer")]) == {"fund": (2, 0), "newer": (1, 0)}


async def test_nothing_is_given_out_of_a_new_fund_before_it_could_be_preset(server: Valkey) -> None:
    """Though the counters of the others go on where they were."""
    new = fund("new", 5)
    async with opened(server) as limiter:
        await limiter.preset({})
        await taken(limiter, (fund(), 1))
        server.pause()
        with pytest.raises(GatewayError):
            await limiter.preset({"new": 4}, complete=False)
        await says(limiter, "the store cannot be reached")
        server.go_on()
        await says(limiter, "the store has lost")
        await unavailable(limiter, (new, 3))
        await limiter.preset({"newer": 1}, complete=False)
        await unavailable(limiter, (new, 3))
        await rebuilt(limiter, fund=0, new=4, newer=1)
        assert (await limiter.acquire([Take(new, 3)])).refused == new
        assert await counted(limiter, fund()) == (0, 1)


async def test_a_lease_of_lost_counters_adds_what_was_used(server: Valkey) -> None:
    async with opened(server) as limiter:
        await limiter.preset({})
        lease = await taken(limiter, (fund(), 3), (window(), 3), (calls(), 1))
        server.command("FLUSHALL")
        await unavailable(limiter)
        await rebuilt(limiter)
        await taken(limiter, (fund(), 1), (window(), 1), (calls(), 1))
        await limiter.settle(lease, {"fund": 2, "window": 2, "calls": 1})
        assert await limiter.spent([fund(), window(), calls()]) == {"fund": (2, 1), "window": (1, 0), "calls": (0, 1)}


async def test_what_an_earlier_life_left_to_be_settled_is_in_the_ledger_where_the_counters_begin_anew(
    server: Valkey,
) -> None:
    async with opened(server) as earlier:
        await earlier.preset({})
        lease = await taken(earlier, (fund(), 3))
    server.command("FLUSHALL")
    async with opened(server) as limiter:
        await limiter.settle(lease, {"fund": 2})
        await limiter.preset({"fund": 2})
        assert await counted(limiter, fund()) == (2, 0)


async def test_what_an_earlier_life_left_to_be_settled_is_settled_where_the_counters_go_on(server: Valkey) -> None:
    async with opened(server) as earlier:
        await earlier.preset({})
        lease = await taken(earlier, (fund(), 3))
    async with opened(server) as limiter:
        await limiter.settle(lease, {"fund": 2})
        await limiter.preset({"fund": 2})
        assert await counted(limiter, fund()) == (2, 0)


# -- what an operator got wrong --------------------------------------------------------------------------------------


async def test_what_a_dead_worker_has_not_settled_is_settled_by_another_and_counts_once(server: Valkey) -> None:
    async with opened(server) as dead:
        await dead.preset({"fund": 0})
        lease = await taken(dead, (fund(limit=100), 50))
        settled = await taken(dead, (fund(limit=100), 20))
        await dead.settle(settled, {"fund": 3})
        assert (await dead.spent([fund()]))["fund"] == (3, 50)
    async with opened(server) as heir:
        # Whose epoch it is nobody knows yet.
        await heir.settle_again(lease, {"fund": 7})
        await heir.settle_again(settled, {"fund": 3})
        await heir.preset({"fund": 0})
        assert (await heir.spent([fund()]))["fund"] == (10, 0)
        await heir.settle_again(lease, {"fund": 7})
        assert (await heir.spent([fund()]))["fund"] == (10, 0)


async def test_what_is_settled_again_in_a_later_life_of_the_counters_is_in_the_ledger(server: Valkey) -> None:
    async with opened(server) as dead:
        await dead.preset({"fund": 0})
        lease = await taken(dead, (fund(limit=100), 50))
    server.command("FLUSHALL")
    async with opened(server) as heir:
        await heir.settle_again(lease, {"fund": 7})
        await heir.preset({"fund": 7})
        await heir.settle_again(lease, {"fund": 7})
        assert (await heir.spent([fund()]))["fund"] == (7, 0)


async def test_counters_follow_a_correction_of_the_ledger(server: Valkey) -> None:
    """Up and down, beyond what a double tells apart, and never below nothing; what is reserved stays so."""
    async with opened(server) as gateway, opened(server) as command:
        spent = 10**20
        await gateway.preset({"fund": spent, "other": 5, "third": 5})
        await taken(gateway, (fund(limit=2 * spent), 50))
        await command.amend({"fund": 7, "other": -3, "third": -9, "unheard": 1})
        known = [fund(key) for key in ("fund", "other", "third", "unheard")]
        assert dict(await gateway.spent(known)) == {
            "fund": (spent + 7, 50),
            "other": (2, 0),
            "third": (0, 0),
            "unheard": (0, 0),
        }


async def test_counters_that_are_lost_are_counted_from_the_corrected_ledger(server: Valkey) -> None:
    async with opened(server) as command:
        await command.amend({"fund": 7})
    async with opened(server) as gateway:
        await gateway.preset({"fund": 100})
        assert (await gateway.spent([fund()]))["fund"] == (100, 0)


async def test_a_correction_that_nobody_hears_is_told() -> None:
    async with opened(shared(), url=f"valkey://127.0.0.1:{free_port()}") as command:
        with pytest.raises(GatewayError):
            await command.amend({"fund": 7})


async def test_a_wrong_password_is_told_and_never_shown(logged: list[Any]) -> None:
    with Valkey(password="right-password") as server:
        async with opened(server, url=server.url_with("wrong-password")) as limiter:
            with pytest.raises(GatewayError):
                await limiter.preset({})
            assert "WRONGPASS" in await limiter.check()
        async with opened(server, url=server.url_with(None)) as limiter:
            with pytest.raises(GatewayError):
                await limiter.preset({})
            assert "NOAUTH" in await limiter.check()
        async with opened(server) as limiter:
            await limiter.preset({})
            assert await limiter.check() == "ok"
    assert "password" not in str([line["store"] for line in logged])
    assert "wrong-password" not in str(logged)


async def test_a_full_server_refuses_calls_and_takes_what_ends(server: Valkey, logged: list[Any]) -> None:
    async with opened(server) as limiter:
        await limiter.preset({})
        lease = await taken(limiter, (fund(), 5))
        server.command("CONFIG", "SET", "maxmemory", 1)
        for _ in range(3):
            await unavailable(limiter, (fund(), 1))
        assert "OOM" in await limiter.check()
        await limiter.release(lease)
        await becomes(lambda: not server.keys("*lease*"), "the lease has ended")
        server.command("CONFIG", "SET", "maxmemory", 0)
        await says(limiter, "ok")
        await taken(limiter, (fund(), 5))
        assert [line["event"] for line in logged] == ["store_refuses", "store_accepts"]


async def test_a_server_that_takes_no_writes_for_now_hears_later_what_has_ended(server: Valkey) -> None:
    async with opened(server) as limiter:
        await limiter.preset({})
        lease = await taken(limiter, (fund(), 3))
        server.command("CONFIG", "SET", "min-replicas-to-write", 1)
        await limiter.settle(lease, {"fund": 2})
        await says(limiter, "the store cannot be reached: NOREPLICAS")
        await unavailable(limiter, (fund(), 1))
        server.command("CONFIG", "SET", "min-replicas-to-write", 0)
        await says(limiter, "ok")
        assert await counted(limiter, fund()) == (2, 0)


@pytest.mark.parametrize(
    ("memory", "policy", "warned"),
    [
        ("1gb", "allkeys-lru", True),
        ("1gb", "volatile-ttl", True),
        ("1gb", "noeviction", False),
        ("0", "allkeys-lru", False),
    ],
)
async def test_a_server_that_may_drop_counters_by_itself_is_warned_of(
    logged: list[Any], memory: str, policy: str, warned: bool
) -> None:
    with Valkey(maxmemory=memory, maxmemory_policy=policy) as server:
        async with opened(server) as limiter:
            await limiter.preset({})
    told = [(line["event"], line["maxmemory_policy"]) for line in logged]
    assert told == ([("store_may_evict", policy)] if warned else [])


async def test_a_server_that_takes_no_functions_is_told(server: Valkey) -> None:
    server.command("ACL", "SETUSER", "limited", "on", ">limited-password", "~*", "+@all", "-function")
    url = f"valkey://limited:limited-password@127.0.0.1:{server.port}"
    async with opened(server, url=url) as limiter:
        with pytest.raises(GatewayError):
            await limiter.preset({})
        assert "does not take functions" in await limiter.check()


async def test_a_server_that_does_not_say_who_it_is_will_do(server: Valkey) -> None:
    server.command("ACL", "SETUSER", "limited", "on", ">limited-password", "~*", "+@all", "-info")
    url = f"valkey://limited:limited-password@127.0.0.1:{server.port}/3"
    async with opened(server, url=url) as limiter:
        await limiter.preset({"fund": 1})
        assert await counted(limiter, fund()) == (1, 0)
    with pytest.raises(ReplyError):
        server.command("FCALL", f"{COUNTERS.name}_spent", 0)
    assert server.keys() == set()
