"""Waiting for what another thread or process does: asked again and again up to a deadline, never slept through."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from scaigrid.clock import SystemClock

PATIENCE: Final = 20.0
"""Seconds. Generous, because a deadline only matters where the test is about to fail anyway."""
_BETWEEN: Final = 0.01

T = TypeVar("T")
_clock = SystemClock()


def eventually(ask: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
    """The first answer that is true. Raises AssertionError with `what` was awaited and the last answer."""
    ends = _clock.monotonic() + seconds
    pause = Event()
    while not (answer := ask()):
        if _clock.monotonic() > ends:
            raise AssertionError(f"not within {seconds:g} s: {what}; last answer: {answer!r}")
        pause.wait(_BETWEEN)
    return answer


async def becomes(ask: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
    """`eventually` for a test that has a loop to keep turning."""
    ends = _clock.monotonic() + seconds
    while not (answer := ask()):
        if _clock.monotonic() > ends:
            raise AssertionError(f"not within {seconds:g} s: {what}; last answer: {answer!r}")
        await asyncio.sleep(_BETWEEN)
    return answer
