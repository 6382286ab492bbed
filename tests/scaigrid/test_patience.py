"""One timer, and the reason for which it ends a task. The deadlines are real and short; nothing asserts how short."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scaigrid.patience import Interrupted, Patience, Why

SOON = 0.02
LATER = 0.08
NEVER = 3600.0

Script = Callable[[Patience], Awaitable[None]]


def in_(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def later() -> None:
    """Returns well after SOON is over."""
    await asyncio.sleep(LATER)


async def end_of(script: Script, *, total: float = NEVER) -> Why | None:
    """Why a task that does this with its patience was interrupted; None where it was not."""
    try:
        with Patience(in_(total)) as patience:
            await script(patience)
    except Interrupted as interrupted:
        return interrupted.why
    return None


@pytest.mark.parametrize("why", [Why.FIRST_BYTE, Why.IDLE, Why.READER])
async def test_a_wait_that_is_too_long_ends_with_its_reason(why: Why) -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, why)
        await for_ever()

    assert await end_of(script) is why


@pytest.mark.parametrize("total", [SOON, 0, -1], ids=["soon over", "just over", "long over"])
async def test_the_total_bounds_every_wait(total: float) -> None:
    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.FIRST_BYTE)
        await for_ever()

    assert await end_of(script, total=total) is Why.TOTAL


async def test_a_new_wait_replaces_the_old_one() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.FIRST_BYTE)
        patience.wait(NEVER, Why.IDLE)
        await later()

    assert await end_of(script) is None


async def test_a_shorter_wait_after_a_longer_one_is_kept() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.FIRST_BYTE)
        patience.wait(SOON, Why.IDLE)
        await for_ever()

    assert await end_of(script) is Why.IDLE


async def test_waits_that_are_each_short_enough_add_up_to_any_length() -> None:
    """The timer of an early one fires in between, and finds that its time has not come."""

    async def script(patience: Patience) -> None:
        for _ in range(10):
            patience.wait(LATER, Why.IDLE)
            await asyncio.sleep(LATER / 5)

    assert await end_of(script) is None


async def test_the_reason_is_that_of_the_wait_that_ran_out() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.FIRST_BYTE)
        await asyncio.sleep(0)
        patience.wait(SOON, Why.READER)
        await for_ever()

    assert await end_of(script) is Why.READER


async def test_another_task_can_end_the_wait_and_the_first_reason_counts() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.IDLE)
        asyncio.get_running_loop().call_soon(patience.trip, Why.CLIENT_CLOSED)
        asyncio.get_running_loop().call_soon(patience.trip, Why.READER)
        await for_ever()

    assert await end_of(script) is Why.CLIENT_CLOSED


async def test_what_is_over_in_time_is_left_alone() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.IDLE)

    assert await end_of(script) is None
    await later()
    assert cancelling() == 0


async def test_after_an_interruption_the_same_task_can_wait_again() -> None:
    """It is the one that tries the next backend."""

    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.FIRST_BYTE)
        await for_ever()

    assert [await end_of(script) for _ in range(3)] == [Why.FIRST_BYTE] * 3
    await later()
    assert cancelling() == 0


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_an_error_of_the_block_passes() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.IDLE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await end_of(script)


async def test_a_cancellation_by_somebody_else_passes() -> None:
    """The server that stops, for one: it must not be taken for our own."""

    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.IDLE)
        await for_ever()

    task = asyncio.create_task(end_of(script))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_by_somebody_else_at_the_same_time_is_not_swallowed() -> None:
    made: list[Patience] = []

    async def script(patience: Patience) -> None:
        made.append(patience)
        await for_ever()

    task = asyncio.create_task(end_of(script))
    await asyncio.sleep(0)
    made[0].trip(Why.CLIENT_CLOSED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_deadline_within_still_tells_its_own_story() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.IDLE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await for_ever()

    assert await end_of(script) is None


async def test_our_own_end_passes_a_deadline_within() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(SOON, Why.IDLE)
        async with asyncio.timeout(NEVER):
            await for_ever()

    assert await end_of(script) is Why.IDLE


def test_patience_is_for_tasks() -> None:
    loop = asyncio.new_event_loop()
    said: list[str] = []

    def callback() -> None:
        try:
            Patience(0.0)
        except RuntimeError as error:
            said.append(str(error))
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    loop.close()
    assert said == ["patience is for tasks"]


async def test_a_wait_can_be_hastened_but_never_prolonged() -> None:
    async def script(patience: Patience) -> None:
        patience.wait(NEVER, Why.IDLE)
        patience.hasten(SOON)
        patience.hasten(NEVER)
        await for_ever()

    assert await end_of(script) is Why.TOTAL


async def test_a_wait_that_begins_later_is_hastened_too() -> None:
    async def script(patience: Patience) -> None:
        patience.hasten(SOON)
        patience.wait(NEVER, Why.IDLE)
        await for_ever()

    assert await end_of(script) is Why.TOTAL


async def test_a_cancellation_of_ours_can_be_taken_back() -> None:
    reasons: list[Why | None] = []
    with Patience(asyncio.get_running_loop().time() + 60) as patience:
        patience.wait(0.01, Why.READER)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reasons.append(patience.tripped)
            assert patience.forgiven()
        reasons.append(patience.tripped)
        # And the task goes on as before, with waits that end as before.
        await asyncio.sleep(0)
        patience.wait(0.01, Why.IDLE)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        reasons.append(patience.tripped)
        assert patience.forgiven()
    assert reasons == [Why.READER, None, Why.IDLE]


async def test_somebody_else_s_cancellation_is_not_taken_back() -> None:
    async def waits() -> None:
        with Patience(asyncio.get_running_loop().time() + 60) as patience:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert not patience.forgiven()
                raise

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waits_of_a_part_of_a_call_are_the_call_s() -> None:
    """Whoever waits for the call to end waits for the task that ends last."""
    call = asyncio.current_task()
    assert call is not None

    async def part() -> asyncio.Task[object]:
        with Patience(asyncio.get_running_loop().time() + 60, call) as patience:
            patience.trip(Why.OVERTAKEN)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert patience.forgiven(), "it is the part that is cancelled"
            return patience.task

    assert await asyncio.create_task(part()) is call
    assert not call.cancelling()
