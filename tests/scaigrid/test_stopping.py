"""What is under way in a worker that stops, and how each of it ends. How its process ends is seen end to end."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from scaigrid import stopping as subject
from scaigrid.errors import Code, GatewayError
from scaigrid.notice import Notice
from scaigrid.patience import Interrupted, Patience, Why
from scaigrid.stopping import Live, Stopping, stopping
from tests.harness.eventually import becomes

NEVER = 3600.0


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def call(live: Live, wait: Callable[[], Awaitable[None]] = for_ever) -> str:
    """A call as the link makes one, and how it ended."""
    task = live.begin()
    try:
        await wait()
    except asyncio.CancelledError:
        return "cut" if live.forgiven(task) else "cancelled"
    except Interrupted as interrupted:
        return interrupted.why.name
    finally:
        live.end(task)
    return "done"


def waits(live: Live) -> Callable[[], Awaitable[None]]:
    """A wait with something to do when it is ended."""

    async def patient() -> None:
        with Patience(asyncio.get_running_loop().time() + NEVER) as patience:
            patience.wait(NEVER, Why.IDLE)
            live.enter(patience)
            try:
                await for_ever()
            finally:
                live.leave(patience)

    return patient


async def begun(live: Live, *calls: Callable[[], Awaitable[None]]) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(call(live, one)) for one in calls]
    await becomes(lambda: len(live) == len(tasks), "they are under way")
    return tasks


async def test_what_is_under_way_is_cut_each_in_its_own_way() -> None:
    live = Live()
    tasks = await begun(live, for_ever, waits(live))
    live.cut()
    assert [await task for task in tasks] == ["cut", "STOPPING"]
    assert len(live) == 0


async def test_a_wait_that_begins_after_the_cut_ends_at_once() -> None:
    live = Live()
    gate = asyncio.Event()

    async def late() -> None:
        # Its own cancellation taken back, as by somebody who still has to write a row
        try:
            await gate.wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        await waits(live)()

    (task,) = await begun(live, late)
    live.cut()
    assert await task == "STOPPING"


async def test_a_call_that_comes_too_late_is_refused() -> None:
    live = Live()
    live.closing = True
    with pytest.raises(GatewayError) as caught:
        _ = live.begin()
    assert (caught.value.code, caught.value.retry_after) == (Code.OVERLOADED, 1)
    assert str(stopping()) == str(caught.value)


async def test_a_cancellation_by_somebody_else_is_not_swallowed() -> None:
    live = Live()
    (task,) = await begun(live, for_ever)
    task.cancel()
    assert await task == "cancelled"


class Closing:
    """What a worker closes in the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed = 0
        self.exits: list[int] = []
        monkeypatch.setattr(os, "_exit", self.exits.append)
        monkeypatch.setattr(subject, "LINGER_SECONDS", 0.0)

    async def __call__(self) -> None:
        self.closed += 1


@pytest.fixture
def closing(monkeypatch: pytest.MonkeyPatch) -> Closing:
    return Closing(monkeypatch)


async def test_calls_have_their_time_and_then_the_process_ends(closing: Closing) -> None:
    live = Live()
    tasks = await begun(live, for_ever, waits(live))
    worker = Stopping(live, 0.02, closing)
    worker.finish_calls()
    assert live.leaving
    assert live.closing
    assert not any(task.done() for task in tasks)
    worker.finish_calls()
    assert [await task for task in tasks] == ["cut", "STOPPING"]
    await becomes(lambda: closing.exits, "it ends")
    assert (closing.closed, closing.exits) == (1, [0])


async def test_what_cannot_be_closed_does_not_hold_the_end(closing: Closing) -> None:
    async def close() -> None:
        raise OSError("the disk is gone")

    with capture_logs() as lines:
        Stopping(Live(), NEVER, close).cut()
        await becomes(lambda: closing.exits, "it ends")
    assert closing.exits == [0]
    assert [line["event"] for line in lines] == ["worker_not_closed"]


def test_being_told_once_more_when_the_loop_has_ended_is_no_failure() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    notice = Notice()

    async def listen() -> None:
        async def close() -> None:
            pass

        Stopping(Live(), NEVER, close).listen(notice)

    try:
        asyncio.run(listen())
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        notice.close()


async def test_whoever_does_not_end_when_it_is_cut_does_not_hold_the_end(
    closing: Closing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "ANSWER_SECONDS", 0.02)
    live = Live()

    async def stubborn() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            await for_ever()

    (task,) = await begun(live, stubborn)
    worker = Stopping(live, NEVER, closing)
    worker.cut()
    worker.cut()
    await becomes(lambda: closing.exits, "it ends")
    assert closing.exits == [0]
    assert not task.done()
    task.cancel()
    assert await task == "cancelled"
