"""One timer for many waits. The deadlines are real and short; nothing asserts how short."""

import asyncio

import pytest

from scaigrid.lateness import Lateness

SOON = 0.02
NEVER = 3600.0


async def waiting(lateness: Lateness, for_what: "asyncio.Future[None]") -> str:
    """`late` where it was ended by its lateness, `cancelled` where by somebody else."""
    task = lateness.begin()
    try:
        await for_what
    except asyncio.CancelledError:
        return "late" if lateness.forgiven(task) else "cancelled"
    finally:
        lateness.end(task)
    return "in time"


def never() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def test_each_wait_that_is_too_long_ends_and_no_other() -> None:
    lateness = Lateness(SOON)
    over = never()
    over.set_result(None)
    first, in_time, second = (asyncio.create_task(waiting(lateness, one)) for one in (never(), over, never()))
    assert await in_time == "in time"
    assert await first == await second == "late"
    # And again, once the timer has nobody left
    assert await asyncio.create_task(waiting(lateness, never())) == "late"


async def test_who_ended_in_time_may_wait_for_something_else_as_long_as_it_likes() -> None:
    lateness = Lateness(SOON)
    task = lateness.begin()
    lateness.end(task)
    assert await asyncio.create_task(waiting(lateness, never())) == "late"
    assert not lateness.forgiven(task)


async def test_a_cancellation_by_somebody_else_is_not_swallowed() -> None:
    task = asyncio.create_task(waiting(Lateness(NEVER), never()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cancelled"


def test_only_a_task_can_be_late() -> None:
    with pytest.raises(RuntimeError):
        _ = Lateness(SOON).begin()
