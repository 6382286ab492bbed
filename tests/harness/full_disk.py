"""A disk without room, for one gateway alone. Linux only: prlimit(2)."""

import resource
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import IO

from tests.harness.gateway import Gateway


@contextmanager
def no_room(gateway: Gateway) -> Generator[None]:
    """The worker can make no file longer, as on a full disk."""
    before = resource.prlimit(gateway.worker, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.worker, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.worker, resource.RLIMIT_FSIZE, before)


class Collected(Gateway):
    """One whose log is collected through a pipe, as a container's is: what it says of a full disk can be read."""

    def spawn(self) -> subprocess.Popen[bytes]:
        process = super().spawn()
        assert process.stdout is not None
        Thread(target=self._collect, args=(process.stdout,), daemon=True).start()
        return process

    def _log(self, files: ExitStack) -> int:
        return subprocess.PIPE

    def _collect(self, pipe: IO[bytes]) -> None:
        with pipe, self._out.open("ab") as out:
            for line in pipe:
                out.write(line)
                out.flush()
