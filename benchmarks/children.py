"""Starts what the rig needs, waits until it answers, and stops it again: nothing outlives the rig."""

import http.client
import os
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from benchmarks import tools
from benchmarks.cpu import pinned_to
from benchmarks.errors import RigError

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout: children run in it, so that they find the gateway, installed or not."""

_STOP_SECONDS: Final = 10.0
_TAIL: Final = 4000


class Child(msgspec.Struct, frozen=True):
    """A process of ours, with where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def complaint(self) -> str:
        """The end of what it wrote, for an error message."""
        texts = (path.read_text(errors="replace")[-_TAIL:].strip() for path in (self.stderr, self.stdout))
        return "\n".join(text for text in texts if text)

    def pause(self, seconds: float) -> None:
        """Waits; a child that ends meanwhile is a RigError."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise RigError(f"{self.name} ended with {code}:\n{self.complaint()}")


@contextmanager
def running(
    name: str, command: Sequence[str | Path], *, core: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Generator[Child]:
    """`command` on `core`, its output in `folder`; stopped at the end.

    It is told to go (SIGTERM) when this process dies, however that happens.
    """
    stdout, stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
    leash = [tools.require("setpriv")["setpriv"], "--pdeathsig", "TERM", "--"]
    with stdout.open("wb") as out, stderr.open("wb") as err, pinned_to(core):
        process = subprocess.Popen(
            [*leash, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
        )
    child = Child(name, process, stdout, stderr)
    try:
        yield child
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    # Its session is its own, so this reaches what it started and nobody else.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_line(child: Child, prefix: str, seconds: float) -> str:
    """What follows `prefix` on the first whole line of the child's output that begins with it."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        for line in child.stdout.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(prefix) and line.endswith("\n"):
                return line.removeprefix(prefix).strip()
        child.pause(0.02)
    raise RigError(f"{child.name} did not say {prefix!r} within {seconds:g} s:\n{child.complaint()}")


def await_answer(child: Child, port: int, path: str, seconds: float) -> float:
    """Asks until the answer is 200; the seconds that took."""
    begun = monotonic()
    while monotonic() < begun + seconds:
        try:
            if get(port, path, timeout=5)[0] == 200:
                return monotonic() - begun
        except OSError:
            pass
        child.pause(0.02)
    raise RigError(f"{child.name} did not answer {path} within {seconds:g} s:\n{child.complaint()}")


def get(port: int, path: str, timeout: float = 10.0) -> tuple[int, bytes]:
    """Status and body of one GET on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as broken:
        raise OSError(f"GET {path}: {broken!r}") from broken
    finally:
        connection.close()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
