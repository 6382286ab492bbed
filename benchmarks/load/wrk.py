"""Plain calls at full speed by wrk, in slices of whole seconds."""

import subprocess
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import tools
from benchmarks.chat import Target
from benchmarks.cpu import pinned_to
from benchmarks.errors import RigError
from benchmarks.histogram import Histogram

_SCRIPT: Final = Path(__file__).with_name("chat.lua")
_MARK: Final = "rig "
# wrk waits for nothing at its end; this is for a machine that stands still.
_GRACE_SECONDS: Final = 30


class Summary(msgspec.Struct, frozen=True):
    """What wrk counted. `requests` are all whole answers, `refused` those of them with a status over 399.

    wrk leaves with up to one call open on each connection, which whoever is called may or may not have answered. Its
    latencies are corrected for coordinated omission: a call that took long stands for those that would have been made
    meanwhile, so there are a few more of them than requests.
    """

    microseconds: int
    requests: int
    refused: int
    connect: int
    read: int
    write: int
    timeout: int
    latency: list[tuple[int, int]]

    @property
    def answered(self) -> int:
        return self.requests - self.refused

    @property
    def faults(self) -> dict[str, int]:
        """What must not happen, by name; empty where nothing did."""
        named = {
            "answers that are no success": self.refused,
            "failed connects": self.connect,
            "failed reads": self.read,
            "failed writes": self.write,
            "timeouts": self.timeout,
        }
        return {name: number for name, number in named.items() if number}

    def histogram(self) -> Histogram:
        return Histogram.of(self.latency)


def parse(output: str) -> Summary:
    """The line that the script writes after wrk's own report."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            try:
                return msgspec.json.decode(line.removeprefix(_MARK), type=Summary)
            except msgspec.DecodeError as error:
                raise RigError(f"wrk's summary cannot be read ({error}): {line[:500]}") from error
    raise RigError(f"wrk wrote no summary:\n{output[-2000:]}")


def drive(target: Target, *, connections: int, seconds: int, core: int, folder: Path) -> Summary:
    """Calls `target` for so many seconds over so many connections, from one thread on `core`."""
    body = folder / "call.json"
    body.write_bytes(target.body())
    headers = [f"-H{name}: {value}" for name, value in target.headers.items()]
    command = [
        tools.require("wrk")["wrk"],
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        f"-s{_SCRIPT}",
        *headers,
        target.url,
        "--",
        str(body),
    ]
    with pinned_to(core):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise RigError(f"wrk did not end within {seconds + _GRACE_SECONDS} s") from late
    if done.returncode:
        raise RigError(f"wrk ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return parse(done.stdout)
