"""A line to the running gateway and a line back, over a Unix socket in its data directory.

Only the user that the gateway runs as may connect (mode 0600). A socket's path has to fit into some hundred bytes
(unix(7)); where it does not, Linux lets us name the directory by a descriptor.
"""

import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "scaigrid.sock"
MAX_PATH = 100
"""Bytes; Linux has room for 107, macOS for 103."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes of an answer, for a plan may name every resource."""
_MAX_QUESTION = 4096
_QUESTION_SECONDS = 5.0
_BACKLOG = 8


class NobodyAnswers(Exception):
    """No gateway runs on that data directory, or it does not answer."""


class Channel:
    """The gateway's end, from `open` to `close`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Whoever holds the lock of the directory owns the name. Raises OSError."""
        (self._directory / NAME).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _named(self._directory) as name:
                # Nobody may come in between binding and restricting.
                before = os.umask(0o177)
                try:
                    listener.bind(name)
                finally:
                    os.umask(before)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener = listener

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with suppress(OSError):
                (self._directory / NAME).unlink(missing_ok=True)

    @property
    def listener(self) -> socket.socket | None:
        """To wait at, until somebody comes; None where it is not open."""
        return self._listener

    def take(self) -> "Question | None":
        """What is asked; None where whoever came said nothing within five seconds."""
        if self._listener is None:
            return None
        try:
            wire, _ = self._listener.accept()
        except OSError:
            return None
        wire.settimeout(_QUESTION_SECONDS)
        try:
            return Question(wire, _line(wire, _MAX_QUESTION))
        except (OSError, ValueError):
            wire.close()
            return None


class Question:
    """A line that somebody sent, and who waits for the answer."""

    def __init__(self, wire: socket.socket, text: bytes) -> None:
        self._wire = wire
        self.text = text

    def answer(self, line: bytes) -> None:
        """`line` without its newline. Whoever no longer waits gets none."""
        with suppress(OSError), self._wire:
            self._wire.sendall(line + b"\n")


def ask(directory: Path, question: bytes, *, seconds: float) -> bytes:
    """The answer of the gateway that owns the data directory, a line. Raises NobodyAnswers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.settimeout(seconds)
        try:
            with _named(directory) as name:
                wire.connect(name)
            wire.sendall(question + b"\n")
            return _line(wire, MAX_LINE)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NobodyAnswers(f"no gateway runs on {directory}") from error
        except (OSError, ValueError) as error:
            raise NobodyAnswers(f"the gateway on {directory} gave no answer: {error}") from error


@contextmanager
def _named(directory: Path) -> Generator[str]:
    """The socket's name, short enough. Raises OSError where the system knows no other one."""
    path = str(directory / NAME)
    if len(os.fsencode(path)) <= MAX_PATH:
        yield path
        return
    if sys.platform != "linux":
        raise OSError(f"the path of {NAME} is longer than {MAX_PATH} bytes: choose a shorter server.data_dir")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def _line(wire: socket.socket, most: int) -> bytes:
    """What comes before the first newline. Raises ValueError where none comes, OSError where nothing does."""
    got = bytearray()
    while not got.endswith(b"\n"):
        piece = wire.recv(65_536)
        if not piece or len(got) > most:
            raise ValueError("it ended too early")
        got += piece
    return bytes(got[:-1])
