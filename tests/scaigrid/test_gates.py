"""Caps and queues of backends, under a loop whose time the test owns."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.gates import Gates
from scaigrid.telemetry import Telemetry
from tests.harness.gateway import Metrics
from tests.harness.services import Parts

ONE = Parts().snapshot.backends[0]
SPINS = 4
"""Turns of the loop within which everything has happened that is due."""


class OwnedLoop(asyncio.SelectorEventLoop):
    """Its time moves when the test moves it. Something is always ready here, so it never waits for it."""

    moment = 0.0

    def time(self) -> float:
        return self.moment


class Scene:
    """Callers at the gate of one backend, by number."""

    def __init__(self, loop: OwnedLoop, *, concurrency: int, queue: int, queue_seconds: float = 5.0) -> None:
        self.loop = loop
        self.telemetry = Telemetry()
        self.gates = Gates(self.telemetry)
        self.backend = capped(concurrency, queue, queue_seconds)
        self.callers: list[asyncio.Task[float]] = []
        self.inside: list[int] = []
        """In the order in which they came in."""

    async def come(self, count: int = 1, *, seconds: float | None = None) -> None:
        for _ in range(count):
            self.begin(seconds)
            await self.turn()

    def begin(self, seconds: float | None = None) -> None:
        """A caller who has not run yet."""
        self.callers.append(self.loop.create_task(self._enter(len(self.callers), seconds)))

    async def _enter(self, number: int, seconds: float | None) -> float:
        waited = await self.gates.enter(self.backend, seconds)
        self.inside.append(number)
        return waited

    async def leave(self, number: int) -> None:
        self.inside.remove(number)
        self.gates.leave(self.backend)
        await self.turn()

    async def after(self, seconds: float) -> None:
        self.loop.moment += seconds
        await self.turn()

    async def turn(self) -> None:
        for _ in range(SPINS):
            await asyncio.sleep(0)

    @property
    def waiting(self) -> int:
        return self.gates.waiting(self.backend.id)

    def waited(self, number: int) -> float:
        return self.callers[number].result()

    def refusal(self, number: int) -> GatewayError:
        error = self.callers[number].exception()
        assert isinstance(error, GatewayError)
        return error

    @property
    def metrics(self) -> Metrics:
        return Metrics(generate_latest(self.telemetry.registry).decode())

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.value(f"scaigrid_backend_{name}", backend_id=self.backend.id, **labels)


def capped(concurrency: int | None, queue: int = 0, queue_seconds: float = 5.0) -> Backend:
    return msgspec.structs.replace(ONE, concurrency=concurrency, queue=queue, queue_seconds=queue_seconds)


def played(story: Callable[[Scene], Coroutine[Any, Any, None]], **terms: Any) -> None:
    loop = OwnedLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(story(Scene(loop, **terms)))


def test_no_more_than_the_cap_are_inside_and_the_others_come_in_as_they_came() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(5)
        assert (scene.inside, scene.waiting) == ([0, 1], 3)
        assert scene.metric("waiting_calls") == 3
        await scene.after(1.5)
        await scene.leave(1)
        assert (scene.inside, scene.waited(0), scene.waited(2)) == ([0, 2], 0.0, 1.5)
        await scene.leave(0)
        await scene.leave(2)
        assert (scene.inside, scene.waiting) == ([3, 4], 0)

    played(story, concurrency=2, queue=3)


def test_who_finds_the_queue_full_is_turned_away_at_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(3)
        refusal = scene.refusal(2)
        assert (refusal.code, refusal.retry_after) == (Code.OVERLOADED, 1)
        assert (scene.inside, scene.waiting) == ([0], 1)
        assert scene.metric("turned_away_total", why="full") == 1

    played(story, concurrency=1, queue=1)


def test_a_backend_without_a_queue_turns_away_all_beyond_its_cap() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(2)
        assert scene.refusal(1).code is Code.OVERLOADED
        await scene.leave(0)
        await scene.come()
        assert scene.inside == [2]

    played(story, concurrency=1, queue=0)


def test_nobody_waits_longer_than_the_queue_lets_him_or_than_he_can() -> None:
    async def story(scene: Scene) -> None:
        await scene.come()
        await scene.come()
        await scene.come(seconds=2.0)
        await scene.come(seconds=60.0)
        await scene.come(seconds=0.0)
        assert scene.refusal(4).code is Code.OVERLOADED
        await scene.after(1.9)
        assert scene.waiting == 3
        await scene.after(0.1)
        assert scene.refusal(2).code is Code.OVERLOADED
        await scene.after(3.0)
        assert [scene.refusal(number).code for number in (1, 3)] == [Code.OVERLOADED] * 2
        assert (scene.waiting, scene.metric("turned_away_total", why="late")) == (0, 3)
        await scene.leave(0)
        await scene.come()
        assert scene.inside == [5]

    played(story, concurrency=1, queue=9, queue_seconds=5.0)


def test_who_is_cancelled_while_he_waits_leaves_the_queue() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(3)
        scene.callers[1].cancel()
        await scene.turn()
        assert scene.waiting == 1
        await scene.leave(0)
        assert scene.inside == [2]

    played(story, concurrency=1, queue=2)


def test_who_is_cancelled_in_the_moment_of_his_turn_hands_it_on() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(3)
        scene.inside.remove(0)
        scene.gates.leave(scene.backend)
        # He has his turn and does not know it yet.
        scene.callers[1].cancel()
        await scene.turn()
        assert scene.callers[1].cancelled()
        assert (scene.inside, scene.waiting) == ([2], 0)

    played(story, concurrency=1, queue=2)


def test_a_larger_cap_takes_effect_at_once_and_a_smaller_one_as_calls_end() -> None:
    async def story(scene: Scene) -> None:
        await scene.come(3)
        assert (scene.inside, scene.waiting) == ([0], 2)
        scene.backend = capped(3, queue=2)
        await scene.come()
        assert (scene.inside, scene.waiting) == ([0, 1, 2], 1)
        scene.backend = capped(1, queue=2)
        await scene.come()
        assert scene.waiting == 2
        await scene.leave(0)
        await scene.leave(1)
        assert scene.inside == [2]
        await scene.leave(2)
        assert scene.inside == [3]

    played(story, concurrency=1, queue=2)


@pytest.mark.parametrize(("cap", "inside"), [(2, [0, 1]), (None, [0, 1, 2])])
def test_a_reload_that_makes_room_lets_those_in_who_wait_though_nobody_comes_or_leaves(
    cap: int | None, inside: list[int]
) -> None:
    async def story(scene: Scene) -> None:
        await scene.come(3)
        scene.gates.keep([capped(cap, queue=2)])
        await scene.turn()
        assert scene.inside == inside
        for number in inside:
            await scene.leave(number)
        assert scene.waiting == 0

    played(story, concurrency=1, queue=2)


def test_a_backend_without_a_cap_has_no_gate() -> None:
    async def story(scene: Scene) -> None:
        scene.backend = capped(None)
        await scene.come(100)
        assert len(scene.inside) == 100
        await scene.leave(0)
        assert scene.metrics.text.count("scaigrid_backend_waiting_calls{") == 0

    played(story, concurrency=1, queue=0)


def test_gates_of_backends_that_are_gone_are_forgotten_once_they_are_empty() -> None:
    async def story(scene: Scene) -> None:
        await scene.come()
        scene.gates.keep(())
        await scene.leave(0)
        assert scene.metric("waiting_calls") == 0
        scene.gates.keep(())
        assert scene.metrics.text.count("scaigrid_backend_waiting_calls{") == 0

    played(story, concurrency=1, queue=0)


class Crowd:
    """The same, with everything that can happen as a step: at its end, the loop has not always turned."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def comes(self, seconds: int) -> None:
        self.scene.begin(seconds or None)

    async def come_and_look(self, number: int) -> None:
        await self.scene.come(number)

    async def leaves(self, number: int) -> None:
        inside = self.scene.inside
        if inside:
            inside.pop(number % len(inside))
            self.scene.gates.leave(self.scene.backend)

    async def is_cancelled(self, number: int) -> None:
        under_way = [caller for caller in self.scene.callers if not caller.done()]
        if under_way:
            under_way[number % len(under_way)].cancel()

    async def is_cancelled_at_his_turn(self, number: int) -> None:
        await self.leaves(number)
        await self.is_cancelled(0)

    async def is_late_at_his_turn(self, number: int) -> None:
        self.scene.loop.moment += 5.0
        await self.leaves(number)

    async def is_reloaded(self, number: int) -> None:
        self.scene.backend = capped(number % 3 + 1, self.scene.backend.queue)

    async def waits(self, seconds: int) -> None:
        self.scene.loop.moment += seconds
        await asyncio.sleep(0)

    async def turns(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def ends(self) -> None:
        """All leave; then as many come as there is room for, and one more."""
        scene = self.scene
        await scene.turn()
        while scene.inside:
            await scene.leave(scene.inside[0])
        assert scene.waiting == 0
        assert all(caller.done() for caller in scene.callers)
        first, cap, queue = len(scene.callers), scene.backend.concurrency or 0, scene.backend.queue
        await scene.come(cap + queue + 1)
        assert (scene.inside, scene.waiting) == (list(range(first, first + cap)), queue)
        assert scene.refusal(first + cap + queue).code is Code.OVERLOADED
        for caller in scene.callers:
            caller.cancel()
        await scene.turn()


WHAT = (
    Crowd.comes,
    Crowd.come_and_look,
    Crowd.leaves,
    Crowd.is_cancelled,
    Crowd.is_cancelled_at_his_turn,
    Crowd.is_late_at_his_turn,
    Crowd.is_reloaded,
    Crowd.waits,
    Crowd.turns,
)


@settings(max_examples=150)
@given(
    steps=st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 5)), min_size=10, max_size=60),
    concurrency=st.integers(1, 3),
    queue=st.integers(0, 5),
)
def test_whatever_happens_no_room_is_lost_and_none_is_given_twice(
    steps: list[tuple[Callable[[Crowd, int], Coroutine[Any, Any, None]], int]], concurrency: int, queue: int
) -> None:
    """However calls come, leave, are cancelled and run out of time: at the end, all the room is there."""

    async def story(scene: Scene) -> None:
        crowd = Crowd(scene)
        for step, number in steps:
            await step(crowd, number)
            assert scene.waiting <= queue
        await crowd.ends()

    played(story, concurrency=concurrency, queue=queue)


@pytest.mark.parametrize("backend", [capped(None), capped(1)])
async def test_coming_in_where_there_is_room_does_not_give_way_to_others(backend: Backend) -> None:
    """The way of nearly every call: no other task runs in between."""
    ran = False

    async def other() -> None:
        nonlocal ran
        ran = True

    task = asyncio.ensure_future(other())
    assert await Parts().gates.enter(backend) == 0.0
    assert not ran
    await task
