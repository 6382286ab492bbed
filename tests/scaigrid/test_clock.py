from pathlib import Path

from scaigrid.clock import Clock, SystemClock
from tests.harness.clock import StillClock


def test_now_is_in_seconds_since_the_epoch(tmp_path: Path) -> None:
    """A file that is written now says so; file systems may round its time to two seconds."""
    clock: Clock = SystemClock()
    before = clock.now()
    (tmp_path / "now").write_bytes(b"")
    assert before - 2.0 <= (tmp_path / "now").stat().st_mtime <= clock.now() + 2.0


def test_the_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()
    read = [clock.monotonic() for _ in range(10_000)]
    assert read == sorted(read)
    assert read[-1] > read[0]


def test_a_test_may_own_the_clock() -> None:
    own = StillClock(wall=10.0, running=1.0)
    clock: Clock = own
    own.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (12.5, 3.5)
