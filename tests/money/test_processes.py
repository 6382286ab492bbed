"""Several processes on one Valkey take, settle, release and leave at random: no budget is ever overshot."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from threading import Thread

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.checkout import ROOT
from tests.harness.eventually import PATIENCE
from tests.harness.valkey import Valkey
from tests.money import counters
from tests.money.counters import Sampler
from tests.money.hand import Outcome, Script, Step

HANDS = 3
LIMIT = 1000
_numbers = count(1)
_outcomes = msgspec.json.Decoder(list[Outcome]).decode


class Hand:
    """One process."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "tests.money.hand", url]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.outcomes: list[Outcome] = []

    def ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def play(self, script: Script) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(script) + b"\n")
        self._process.stdin.flush()
        self.outcomes = _outcomes(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0


class Table:
    """The processes, and the Valkey between them."""

    def __init__(self, store: Valkey, hands: list[Hand]) -> None:
        self.store = store
        self.hands = hands

    def play(self, scripts: list[Script]) -> list[list[Outcome]]:
        """Each of them one script, at the same time."""
        pairs = list(zip(self.hands, scripts, strict=True))
        threads = [Thread(target=hand.play, args=(script,)) for hand, script in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        return [hand.outcomes for hand in self.hands]


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    with Valkey() as store:
        hands = [Hand(store.url) for _ in range(HANDS)]
        for hand in hands:
            hand.ready()
        yield Table(store, hands)
        for hand in hands:
            hand.end()


STEPS = st.lists(
    st.builds(
        Step,
        budgets=st.sampled_from([("one",), ("two",), ("one", "two"), ("two", "one")]),
        amount=st.integers(0, 300),
        how=st.sampled_from(["settle", "settle", "settle", "release", "leave"]),
        used=st.integers(0, 300),
        pause=st.integers(0, 3),
    ).map(lambda step: msgspec.structs.replace(step, used=min(step.used, step.amount))),
    min_size=1,
    max_size=60,
).map(tuple)


def named_anew(step: Step, suffix: str) -> Step:
    return msgspec.structs.replace(step, budgets=tuple(f"{name}{suffix}" for name in step.budgets))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=st.lists(STEPS, min_size=HANDS, max_size=HANDS))
def test_nothing_that_several_processes_do_overshoots(table: Table, played: list[tuple[Step, ...]]) -> None:
    """Sampled while they do it, and in the end to the unit: spent is what was settled, reserved what was left."""
    suffix = f"-{next(_numbers)}-"
    limits = {f"one{suffix}": LIMIT, f"two{suffix}": LIMIT // 2}
    scripts = [Script(limits, tuple(named_anew(step, suffix) for step in steps)) for steps in played]

    def seen() -> dict[str, int]:
        return {key: held.spent + held.reserved for key, held in counters.funds(table.store, suffix).items()}

    with Sampler(seen, every=0.0005) as sampler:
        outcomes = table.play(scripts)
    assert sampler.wrong == []
    sampler.add(seen().items())
    done = [
        step
        for script, ended in zip(scripts, outcomes, strict=True)
        for step, outcome in zip(script.steps, ended, strict=True)
        if outcome.taken
    ]
    held = counters.funds(table.store, suffix)
    for name, limit in limits.items():
        key = f"budget:{name}:cost:0"
        mine = [step for step in done if name in step.budgets]
        spent = sum(step.used for step in mine if step.how == "settle")
        left = sum(step.amount for step in mine if step.how == "leave")
        assert sampler.peaks.get(key, 0) <= limit
        assert tuple(held.get(key, (0, 0))) == (spent, left)
        assert spent + left <= limit


def test_a_sampler_keeps_the_largest_of_what_it_sees() -> None:
    """So a moment above a limit is not forgotten."""
    sampler = Sampler(dict[str, int])
    for amount in (3, 9, 4):
        sampler.add([("one", amount)])
    assert sampler.peaks == {"one": 9}
