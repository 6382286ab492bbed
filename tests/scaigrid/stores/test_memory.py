"""What is true of the memory store alone; what is true of every store is in tests/scaigrid/test_limiter.py."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.limiter import Bucket, Decision, Spending, Take
from scaigrid.stores.memory import MemoryLimiter
from tests.harness.clock import StillClock

T = TypeVar("T")

HOUR = 3600.0
DAY = 24 * HOUR


def window(key: str = "window", limit: int = 5, period: float = 60.0) -> Bucket:
    return Bucket(key=key, level="user", kind="tokens", limit=limit, period=period)


def fund(key: str = "fund", limit: int = 5, until: float = float("inf")) -> Bucket:
    return Bucket(key=key, level="tenant", kind="cost", limit=limit, fund=True, until=until)


def done(step: Coroutine[Any, Any, T]) -> T:
    """What a step answers that waits for nothing; so every test here shows that none of them does."""
    try:
        step.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    step.close()
    raise AssertionError("it gave way to others")


def taken(limiter: MemoryLimiter, *takes: tuple[Bucket, int]) -> str:
    decision = done(limiter.acquire([Take(bucket, amount) for bucket, amount in takes]))
    assert decision.lease is not None
    return decision.lease


def fits(limiter: MemoryLimiter, bucket: Bucket, amount: int) -> bool:
    return done(limiter.acquire([Take(bucket, amount)])).lease is not None


def counted(limiter: MemoryLimiter, bucket: Bucket) -> tuple[int, int]:
    return done(limiter.spent([bucket]))[bucket.key]


def look_at_everything(limiter: MemoryLimiter, clock: StillClock, seconds: float = 120.0) -> None:
    """Lets so much time pass that every counter has had its turn, each second with some call as in operation."""
    for _ in range(int(seconds)):
        clock.advance(1.0)
        done(limiter.spent([]))


# -- against a model -------------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One take of one lease: when, of what, how much is counted now."""

    lease: str
    at: int
    bucket: Bucket
    taken: int
    counts: int
    lease_seconds: float
    state: str = "open"


@dataclass
class Model:
    """The rules, written as a list of everything that ever happened and read from the start each time."""

    clock: StillClock
    entries: list[Entry] = field(default_factory=list[Entry])

    def now(self) -> int:
        now = int(self.clock.monotonic() * 1_000_000)
        for entry in self.entries:
            age = now - entry.at
            if entry.state == "open" and age >= int(entry.lease_seconds * 1_000_000):
                entry.state = "late"
            if entry.state == "late" and age >= int((entry.lease_seconds + DAY) * 1_000_000):
                entry.state = "forgotten"
        return now

    def leaves(self, bucket: Bucket, at: int) -> int:
        """When what was taken at `at` is out of the window: 61 slices after the beginning of its own."""
        width = int(bucket.period * 1_000_000) // 60 + 2
        return (at // width + 61) * width

    def inside(self, bucket: Bucket, now: int) -> list[Entry]:
        found = [entry for entry in self.entries if entry.bucket.key == bucket.key]
        return [entry for entry in found if entry.state != "released" and self.leaves(bucket, entry.at) > now]

    def spent(self, bucket: Bucket) -> tuple[int, int]:
        now = self.now()
        if not bucket.fund:
            return sum(entry.counts for entry in self.inside(bucket, now)), 0
        found = [entry for entry in self.entries if entry.bucket.key == bucket.key]
        return (
            sum(entry.counts for entry in found if entry.state == "settled" and bucket.kind != "concurrency"),
            sum(entry.taken for entry in found if entry.state == "open"),
        )

    def standing(self, bucket: Bucket) -> tuple[str, int, int]:
        """The key, what remains, and the microseconds until the window is whole."""
        now = self.now()
        remaining = max(bucket.limit - self.spent(bucket)[0], 0)
        counting = [entry for entry in self.inside(bucket, now) if self.in_slice(bucket, entry)]
        return bucket.key, remaining, max((self.leaves(bucket, entry.at) - now + 1 for entry in counting), default=0)

    def in_slice(self, bucket: Bucket, entry: Entry) -> bool:
        """Whether anything is left of what was taken together with `entry`."""
        together = [
            other for other in self.inside(bucket, 0) if self.leaves(bucket, other.at) == self.leaves(bucket, entry.at)
        ]
        return sum(other.counts for other in together) > 0

    def wait(self, bucket: Bucket, amount: int) -> int:
        """Microseconds until so much fits, by trying each moment at which something leaves; 0 for never."""
        now = self.now()
        inside = self.inside(bucket, now)
        for moment in sorted({self.leaves(bucket, entry.at) for entry in inside}):
            left = sum(entry.counts for entry in inside if self.leaves(bucket, entry.at) > moment)
            if left + amount <= bucket.limit:
                return moment - now + 1
        return 0

    def acquire(self, takes: Sequence[Take], lease: str, lease_seconds: float) -> tuple[Bucket, int] | None:
        """The bucket that refuses and the wait there, or None with everything taken."""
        now = self.now()
        wanted: dict[str, int] = {}
        for take in takes:
            bucket = take.bucket
            wanted[bucket.key] = wanted.get(bucket.key, 0) + take.amount
            room = bucket.limit - sum(self.spent(bucket))
            if bucket.limit <= 0 or (take.amount > 0 and wanted[bucket.key] > room):
                return bucket, 0 if bucket.fund else self.wait(bucket, wanted[bucket.key])
        self.entries += [Entry(lease, now, take.bucket, take.amount, take.amount, lease_seconds) for take in takes]
        return None

    def settle(self, lease: str, used: dict[str, int]) -> None:
        self.now()
        rest = {key: max(amount, 0) for key, amount in used.items()}
        for entry in self.entries:
            if entry.lease == lease and entry.state in {"open", "late"}:
                entry.state = "settled"
                if entry.bucket.key in used:
                    entry.counts = rest.pop(entry.bucket.key, 0)

    def release(self, lease: str) -> None:
        self.now()
        for entry in self.entries:
            if entry.lease == lease and entry.state in {"open", "late"}:
                entry.state, entry.counts = "released", 0


BUCKETS = (
    fund("key", 6),
    fund("tenant", 30),
    fund("nothing", 0),
    Bucket(key="calls", level="key", kind="concurrency", limit=2, fund=True),
    window("second", 4, period=1.0),
    window("minute", 12),
    window("hour", 40, period=HOUR),
)
LEASE_SECONDS = 90.0

CALLS = st.lists(
    st.builds(Take, st.sampled_from([bucket for bucket in BUCKETS if bucket.limit]), st.integers(0, 7)), max_size=7
)
REFUSED_CALLS = st.lists(st.builds(Take, st.sampled_from(BUCKETS), st.integers(0, 15)), max_size=4)
USED = st.dictionaries(st.sampled_from([bucket.key for bucket in BUCKETS]), st.integers(-1, 9))
WHICH = st.integers(0, 10**6)
PATIENCES = st.sampled_from([None, LEASE_SECONDS, 0.5, 60.0, HOUR])
SECONDS = st.one_of(
    st.sampled_from([0.0, 0.000001, 0.5, 1.0, 60.0, 61.0, LEASE_SECONDS, HOUR, DAY / 2]),
    st.floats(0.0, 2.0),
    st.floats(0.0, 200.0),
)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_it_answers_what_a_list_of_everything_that_happened_would(data: st.DataObject) -> None:
    """Decisions, waits, standings and counters, to the unit and to the microsecond."""
    clock = StillClock()
    limiter = MemoryLimiter(clock, lease_seconds=LEASE_SECONDS)
    model = Model(clock)
    leases: list[str] = []
    heard: list[Mapping[str, Spending]] = []
    limiter.on_spent(heard.append)

    def same_standings(takes: Sequence[Take], decision: Decision) -> None:
        expected = [model.standing(take.bucket) for take in takes if not take.bucket.fund]
        found = [(each.bucket.key, each.remaining, round(each.reset * 1e6)) for each in decision.standings]
        assert found == expected

    for step in data.draw(st.lists(st.sampled_from("aaaarssttt"), max_size=30)):
        if step in "ar":
            takes = data.draw(CALLS if step == "a" else REFUSED_CALLS)
            patience = data.draw(PATIENCES)
            decision = done(limiter.acquire(takes) if patience is None else limiter.acquire(takes, patience))
            refusal = model.acquire(takes, decision.lease or "", LEASE_SECONDS if patience is None else patience)
            if refusal is None:
                assert decision.lease is not None
                leases.append(decision.lease)
            else:
                bucket, wait = refusal
                assert (decision.lease, decision.refused) == (None, bucket)
                never = 0 if bucket.fund else round(bucket.period * 1e6)
                assert round(decision.retry_after * 1e6) == (wait or never)
            same_standings(takes, decision)
        elif step == "t":
            clock.advance(data.draw(SECONDS))
        elif leases:
            lease = leases[data.draw(WHICH) % len(leases)]
            if data.draw(st.booleans()):
                used = data.draw(USED)
                before = {bucket.key: model.spent(bucket)[0] for bucket in BUCKETS if bucket.fund}
                done(limiter.settle(lease, used))
                model.settle(lease, used)
                after = {bucket.key: model.spent(bucket)[0] for bucket in BUCKETS if bucket.fund}
                changed = {key: (before[key], after[key]) for key in after if after[key] != before[key]}
                assert heard == ([changed] if changed else [])
                heard.clear()
            else:
                done(limiter.release(lease))
                model.release(lease)
        assert done(limiter.spent(BUCKETS)) == {bucket.key: model.spent(bucket) for bucket in BUCKETS}


# -- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [0.001, 1.0, 59.999999, 60.0, HOUR, 30 * DAY])
@pytest.mark.parametrize("start", [0.0, 0.7, 12_345.678901])
def test_the_wait_of_a_refusal_is_exact_to_the_microsecond(period: float, start: float) -> None:
    clock = StillClock(running=start)
    limiter = MemoryLimiter(clock)
    taken(limiter, (window(period=period), 5))
    wait = done(limiter.acquire([Take(window(period=period), 1)])).retry_after
    assert period <= wait <= period * 61 / 60 + 0.0002
    clock.advance(wait - 0.000003)
    assert not fits(limiter, window(period=period), 1)
    clock.advance(0.000003)
    assert fits(limiter, window(period=period), 5)


@pytest.mark.parametrize(("early", "left"), [(0.000003, 0), (0.0, 5)])
def test_a_correction_reaches_the_last_microsecond_of_the_window_and_no_further(early: float, left: int) -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    lease = taken(limiter, (window(), 3))
    wait = done(limiter.acquire([Take(window(), 3)])).retry_after
    clock.advance(wait - 0.5)
    assert counted(limiter, window()) == (3, 0)
    clock.advance(0.5 - early)
    taken(limiter, (window(limit=8), left))
    done(limiter.settle(lease, {"window": 0}))
    assert counted(limiter, window()) == (left, 0)


def test_another_period_of_a_window_counts_what_is_in_it_as_taken_now() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    old = taken(limiter, (window(), 3))
    clock.advance(30)
    assert not fits(limiter, window(period=HOUR), 3)
    # What was taken of the window as it was is no longer told apart, so it is not corrected
    done(limiter.settle(old, {"window": 0}))
    assert counted(limiter, window(period=HOUR)) == (3, 0)
    clock.advance(HOUR)
    assert not fits(limiter, window(period=HOUR), 3)
    clock.advance(HOUR / 60 + 1)
    assert fits(limiter, window(period=HOUR), 5)


def test_what_has_left_the_window_does_not_come_back_with_a_longer_period() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    taken(limiter, (window(), 4))
    clock.advance(40)
    taken(limiter, (window(), 1))
    clock.advance(22)
    assert not fits(limiter, window(period=HOUR), 5)
    assert fits(limiter, window(period=HOUR), 4)


# -- clocks ----------------------------------------------------------------------------------------------------------


def test_a_monotonic_clock_that_goes_back_is_taken_to_stand_still() -> None:
    """Nothing comes back sooner, and nothing is held for the time that the clock lost."""
    clock = StillClock(running=DAY)
    limiter = MemoryLimiter(clock)
    taken(limiter, (window(), 5), (fund(), 5))
    clock.running -= DAY
    assert not fits(limiter, window(), 1)
    clock.running += 30
    assert not fits(limiter, window(), 1)
    clock.running += 32
    assert fits(limiter, window(), 5)
    clock.running += 900
    assert counted(limiter, fund()) == (0, 0)


def test_a_clock_that_jumps_far_ahead_leaves_nothing_behind_and_goes_on() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    for _ in range(1000):
        taken(limiter, (window(limit=10**9), 1), (fund(limit=10**9), 1))
    clock.running += 10**9
    assert counted(limiter, window()) == (0, 0)
    assert counted(limiter, fund()) == (0, 0)
    taken(limiter, (window(), 5), (fund(), 5))
    assert not fits(limiter, window(), 1)
    clock.running += 62
    assert fits(limiter, window(), 5)


def test_the_wall_clock_makes_no_difference_to_a_window_or_a_lease() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    taken(limiter, (window(), 5), (fund(), 5))
    for step in (10**9, -(2 * 10**9)):
        clock.wall += step
        assert counted(limiter, window()) == (5, 0)
        assert counted(limiter, fund()) == (0, 5)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_windows_are_forgotten_once_they_are_idle() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    for number in range(10_000):
        taken(limiter, (window(f"user {number}"), 1))
    clock.advance(60)
    look_at_everything(limiter, clock)
    assert limiter.counters == 0


def test_a_window_that_is_in_use_is_never_forgotten() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    taken(limiter, (window(period=HOUR), 5))
    look_at_everything(limiter, clock, HOUR)
    assert not fits(limiter, window(period=HOUR), 1)


def test_however_many_subjects_come_and_go_only_those_of_the_last_minutes_are_kept() -> None:
    """Ten new ones a second, for half an hour: a window counts for a minute, a fund that is empty for a second."""
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    most = 0
    for second in range(1800):
        clock.advance(1.0)
        for number in range(10):
            lease = taken(limiter, (window(f"{second} {number}"), 1), (fund(f"{second} {number}"), 1))
            done(limiter.settle(lease, {f"{second} {number}": 0}))
        most = max(most, limiter.counters)
    assert 10 * 60 <= most <= 10 * 90
    assert limiter.leases == 0


def test_a_fund_is_forgotten_when_its_period_has_been_over_for_an_hour() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    today = fund(until=clock.now() + HOUR)
    done(limiter.settle(taken(limiter, (today, 5)), {}))
    look_at_everything(limiter, clock, 2 * HOUR - 60)
    assert counted(limiter, today) == (5, 0)
    look_at_everything(limiter, clock, 240)
    assert limiter.counters == 0


def test_a_fund_is_not_forgotten_before_its_period_is_over_however_long_nobody_asks() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    this_year = fund(until=clock.now() + 365 * DAY)
    done(limiter.settle(taken(limiter, (this_year, 5)), {}))
    for _ in range(364):
        clock.advance(DAY)
        done(limiter.spent([]))
    look_at_everything(limiter, clock)
    assert not fits(limiter, this_year, 1)


def test_a_wall_clock_that_is_wrong_for_a_while_loses_no_budget() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    today = fund(until=clock.now() + DAY)
    done(limiter.settle(taken(limiter, (today, 5)), {}))
    for _ in range(3):
        clock.wall += 1000 * DAY
        look_at_everything(limiter, clock, 0.9 * HOUR)
        clock.wall -= 1000 * DAY
        look_at_everything(limiter, clock)
    assert not fits(limiter, today, 1)


def test_the_end_of_a_period_follows_the_configuration() -> None:
    """A daily budget that has become a monthly one begins at the same moment, and so has the same key."""
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    done(limiter.settle(taken(limiter, (fund(until=clock.now() + HOUR), 4)), {}))
    taken(limiter, (fund(until=clock.now() + 30 * DAY), 0))
    look_at_everything(limiter, clock, 3 * HOUR)
    assert counted(limiter, fund()) == (4, 0)


def test_a_fund_of_which_something_is_reserved_is_not_forgotten() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock, lease_seconds=3 * HOUR)
    over = fund(until=clock.now())
    lease = taken(limiter, (over, 3))
    look_at_everything(limiter, clock, 2 * HOUR)
    assert counted(limiter, over) == (0, 3)
    done(limiter.settle(lease, {"fund": 1}))
    assert counted(limiter, over) == (1, 0)


def test_a_preset_is_kept_until_somebody_says_when_its_period_ends() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    done(limiter.preset({"fund": 4}))
    look_at_everything(limiter, clock, 3 * HOUR)
    assert not fits(limiter, fund(), 2)


def test_a_call_that_reserved_nothing_of_a_fund_may_have_spent_of_it() -> None:
    """Though an empty fund is forgotten meanwhile."""
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    lease = taken(limiter, (fund(), 0))
    look_at_everything(limiter, clock)
    assert limiter.counters == 0
    done(limiter.settle(lease, {"fund": 3}))
    assert counted(limiter, fund()) == (3, 0)


def test_calls_at_the_same_time_leave_no_counter_behind() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    calls = Bucket(key="calls", level="key", kind="concurrency", limit=1, fund=True)
    done(limiter.settle(taken(limiter, (calls, 1)), {}))
    look_at_everything(limiter, clock)
    assert limiter.counters == 0


def test_a_lease_is_forgotten_when_it_ends() -> None:
    limiter = MemoryLimiter(StillClock())
    settled, released = taken(limiter, (fund(), 1)), taken(limiter, (fund(), 1))
    assert limiter.leases == 2
    done(limiter.settle(settled, {}))
    assert limiter.leases == 1
    done(limiter.release(released))
    assert limiter.leases == 0


def test_what_is_over_keeps_no_place_among_the_leases_that_may_expire() -> None:
    """However long those last that are open meanwhile."""
    limiter = MemoryLimiter(StillClock())
    held = [done(limiter.acquire([], 30 * DAY)).lease for _ in range(10)]
    for _ in range(10_000):
        done(limiter.settle(taken(limiter, (fund(), 0)), {}))
    assert limiter.leases == 10
    assert limiter.expiries < 100
    assert None not in held


def test_a_lease_that_nobody_ends_is_forgotten_a_day_after_it_has_expired() -> None:
    clock = StillClock()
    limiter = MemoryLimiter(clock)
    lease = taken(limiter, (fund(), 1))
    clock.advance(900 + DAY - 1)
    done(limiter.spent([]))
    assert limiter.leases == 1
    clock.advance(1)
    done(limiter.spent([]))
    assert limiter.leases == 0
    done(limiter.settle(lease, {"fund": 5}))
    assert counted(limiter, fund()) == (0, 0)


def test_the_takes_of_a_lease_do_not_change_with_the_callers_list() -> None:
    limiter = MemoryLimiter(StillClock())
    takes = [Take(fund(), 3)]
    lease = done(limiter.acquire(takes)).lease
    assert lease is not None
    takes.append(Take(fund("another"), 5))
    done(limiter.release(lease))
    assert done(limiter.spent([fund(), fund("another")])) == {"fund": (0, 0), "another": (0, 0)}
