"""Streams by streams.c: each connection reads one after the other, and every one to its end."""

import subprocess
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import tools
from benchmarks.chat import Target
from benchmarks.cpu import pinned_to
from benchmarks.errors import RigError
from benchmarks.histogram import Histogram

_SOURCE: Final = Path(__file__).with_suffix(".c")
_MARK: Final = "rig "
# streams.c gives up on what has not ended 30 s after its time.
_GRACE_SECONDS: Final = 60


class Summary(msgspec.Struct, frozen=True):
    """What was read: streams that came to a good end, events, those that came together with another, and faults."""

    microseconds: int
    completed: int
    events: int
    merged: int
    faults: dict[str, int]
    transit: list[tuple[int, int]]
    first_event: list[tuple[int, int]]

    def transits(self) -> Histogram:
        """From the provider's writing of an event to its being read."""
        return Histogram.of(self.transit)

    def first_events(self) -> Histogram:
        """From the call to its first event."""
        return Histogram.of(self.first_event)


def parse(output: str) -> Summary:
    """The one line that streams.c writes."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            try:
                return msgspec.json.decode(line.removeprefix(_MARK), type=Summary)
            except msgspec.DecodeError as error:
                raise RigError(f"the summary of the streams cannot be read ({error}): {line[:500]}") from error
    raise RigError(f"the streams gave no summary:\n{output[-2000:]}")


def drive(
    target: Target, *, streams: int, seconds: int, events: int, interval_ms: float, core: int, folder: Path
) -> Summary:
    """Reads so many streams at once from `target` for so many seconds, begun spread over one interval."""
    body = folder / "stream.json"
    body.write_bytes(target.body(stream=True))
    command = [
        str(tools.compiled(_SOURCE)),
        f"--port={target.port}",
        f"--path={target.path}",
        f"--body={body}",
        *(f"--header={name}: {value}" for name, value in target.headers.items()),
        f"--streams={streams}",
        f"--seconds={seconds}",
        f"--events={events}",
        f"--spread-us={round(interval_ms * 1000)}",
    ]
    limit = seconds + _GRACE_SECONDS
    with pinned_to(core):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired as late:
            raise RigError(f"the streams did not end within {limit} s") from late
    if done.returncode:
        raise RigError(f"streams ended with {done.returncode}:\n{done.stderr}{done.stdout[:2000]}")
    return parse(done.stdout)
