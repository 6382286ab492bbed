"""Loopback ports: a free one, one that refuses, and one behind which nobody ever answers."""

import errno
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from tests.harness.eventually import eventually

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that was free a moment ago. Another process can be quicker: whoever listens there has to notice."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def refusing_port() -> Generator[int]:
    """A port that stays taken and refuses every connection: bound, and never listening."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


@contextmanager
def silent_port() -> Generator[int]:
    """A port on which no new connection is ever established: its queue is full and nobody takes from it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        address = listener.getsockname()

        def full() -> bool:
            caller = stack.enter_context(socket.socket())
            caller.settimeout(0.2)
            try:
                return caller.connect_ex(address) in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ETIMEDOUT)
            except TimeoutError:
                return True

        eventually(full, "the queue of a listener is full")
        yield address[1]
