"""What is true of the store in memory alone; what is true of every store is in test_port.py."""

import pytest

from scaigrid.repeats.memory import MemoryRuns
from scaigrid.repeats.port import End, Own
from tests.harness.clock import StillClock

pytestmark = pytest.mark.anyio


async def end(runs: MemoryRuns, scope: str, stays: float) -> None:
    found = await runs.claim(scope, "body", 30)
    assert isinstance(found, Own)
    found.claim.end(End(whole=True), stays)


async def test_what_stays_is_forgotten_in_time() -> None:
    clock = StillClock()
    runs = MemoryRuns(clock)
    await end(runs, "key", 60)
    clock.advance(59.9)
    assert not isinstance(await runs.claim("key", "body", 30), Own)
    clock.advance(0.1)
    assert isinstance(await runs.claim("key", "body", 30), Own)


async def test_no_more_stay_than_memory_has_room_for() -> None:
    runs = MemoryRuns(StillClock())
    for number in range(300):
        await end(runs, f"key {number}", 60)
    assert isinstance(await runs.claim("key 0", "body", 30), Own)
    assert not isinstance(await runs.claim("key 299", "body", 30), Own)
