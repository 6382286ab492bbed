"""How the process that keeps the workers is told to stop, and tells them: ahead of the signal that ends their serving.

The server closes its port as soon as it is told to stop, while load balancers go on sending to it until their next
probe. So the first SIGTERM only leaves word for the workers, who say from then on that they are not ready; the server
hears of it when the time for that is over.
"""

import os
import select
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

Handler = Callable[[int, FrameType | None], object]

_TOLD: Final = (signal.SIGTERM, signal.SIGINT)


class Word:
    """Said once, by one process, to all that it has forked and to all that it will fork.

    A byte in a pipe, which nobody takes out: whoever looks, and whenever, finds it there.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._said = False

    def say(self) -> None:
        """Again is no error. Safe in a signal handler."""
        if not self._said:
            self._said = True
            os.write(self._write, b".")

    @property
    def said(self) -> bool:
        return bool(select.select([self._read], [], [], 0)[0])

    def fileno(self) -> int:
        """To wait at, until it is readable; nobody reads."""
        return self._read

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Notice:
    """What a gateway tells its workers."""

    def __init__(self) -> None:
        self.leaving = Word()
        """It will stop: say so to load balancers, and serve on."""
        self.hurry = Word()
        """End now what is under way."""

    def close(self) -> None:
        self.leaving.close()
        self.hurry.close()


class Parting:
    """Between the system's signals and the server that is to hear them."""

    def __init__(self, notice: Notice, drain_seconds: float) -> None:
        self._notice = notice
        self._seconds = drain_seconds
        self._before: Handler | None = None
        self._told = False

    def listen(self) -> None:
        """Stands ahead of the handler that the server has for SIGTERM and SIGINT. For the main thread.

        SIGTERM, from a supervisor: the workers are told, and the server `drain_seconds` later. SIGINT, from a person at
        a terminal: both at once. Either one again: what is under way ends now.
        """
        before = signal.getsignal(signal.SIGTERM)
        if not callable(before):
            raise TypeError("the server listens first")
        self._before = before
        for number in _TOLD:
            signal.signal(number, self._hear)
        # A timer of the process and no thread: one cannot be started wherever a signal may come in between.
        signal.signal(signal.SIGALRM, self._over)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._notice.leaving.say()
        if self._told:
            self._notice.hurry.say()
        elif number == signal.SIGTERM and self._seconds > 0:
            self._told = True
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            return
        self._told = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._over(number, frame)

    def _over(self, number: int, frame: FrameType | None) -> None:
        if self._before is not None:
            self._before(number, frame)
