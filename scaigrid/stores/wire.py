"""One connection to a Valkey: commands go out in the order in which they are given, and so do answers come back.

Nobody waits for anybody: whatever is called within one turn of the loop leaves in one write, on one connection. That
costs a fraction of a pool with a connection for each call under way, and the order is a promise: what is called later
is done later.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, cast

import libvalkey

from scaigrid.stores.address import Address

Part: TypeAlias = str | bytes | int
Reply: TypeAlias = bytes | int | list["Reply"] | None

_CONNECT_SECONDS: Final = 2.0
_LOOK_AGAIN: Final = 0.005
"""At least so many seconds after its time is up, it is looked whether the answer has not come after all."""
_UNFIT: Final = (
    # Our keys are on their way to another node of a cluster
    "ASK ",
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    # It takes no writes for now, and would forget which calls have ended
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
    # Somebody has deleted our functions: the next connection loads them
    "ERR Function not found",
)
"""How errors begin that say that this connection is of no use, whatever is asked; with one of these it ends."""


class Away(Exception):
    """The server cannot be reached, or did not answer in time; the text says why."""


class Refused(Exception):
    """The server answered with an error; the text is its own."""


class Wire(asyncio.Protocol):
    """A connection for one life: once it has ended, in whatever way, every call raises Away.

    `timeout` is how long a call waits for its answer, in seconds. One that waits longer ends the connection, since
    whatever has been sent behind it would wait as well.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = libvalkey.Reader(notEnoughData=Ellipsis)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self.server = ""
        """Which one it is, for logs."""
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Done once the connection has ended: why."""

    def call(self, *command: Part) -> asyncio.Future[Reply]:
        """Sends a command; the future has the answer, or raises Away or Refused. Cancelling it cancels nothing."""
        answer: asyncio.Future[Reply] = self._loop.create_future()
        if self.ended.done():
            answer.set_exception(Away(self.ended.result()))
            return answer
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(libvalkey.pack_command(command))
        self._waiting.append((answer, self._loop.time() + self._timeout))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)
        return answer

    def close(self, reason: str) -> None:
        """Ends the connection at once; every call that has no answer yet raises Away with `reason`."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._out.clear()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(Away(reason))

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _look(self, oldest: asyncio.Future[Reply] | None = None) -> None:
        """Ends the connection where the oldest call has waited too long: where it had, when this looked last."""
        self._timer = None
        if not self._waiting:
            return
        answer, ends = self._waiting[0]
        left = ends - self._loop.time()
        if answer is oldest:
            self.close(f"no answer within {self._timeout:g} s")
        elif left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            # A loop that was busy for so long has perhaps not even sent it: the server is given that time once more.
            again = min(max(-left, _LOOK_AGAIN), self._timeout)
            self._timer = self._loop.call_later(again, self._look, answer)

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(str(exc) if exc else "the connection was closed")

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not Ellipsis:
                self._answer(reply)
        except libvalkey.ProtocolError:
            self.close("what answers there is no Valkey")

    def _answer(self, reply: Reply | libvalkey.ReplyError) -> None:
        if not self._waiting:
            # Unasked: what a server says to one connection too many before it closes it.
            self.close(str(reply))
            return
        if isinstance(reply, libvalkey.ReplyError) and str(reply).startswith(_UNFIT):
            self.close(str(reply))
            return
        answer, _ = self._waiting.popleft()
        if answer.done():
            return
        if isinstance(reply, libvalkey.ReplyError):
            answer.set_exception(Refused(str(reply)))
        else:
            answer.set_result(reply)


async def connect(address: Address, patience: float, tls: ssl.SSLContext | None = None) -> Wire:
    """A wire over which the server knows who we are; `patience` is its timeout. Raises Away, or Refused."""
    loop = asyncio.get_running_loop()

    def make() -> Wire:
        return Wire(patience)

    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            if address.path:
                _, wire = await loop.create_unix_connection(make, address.path)
            else:
                secure = tls if address.secure else None
                _, wire = await loop.create_connection(make, address.host, address.port, ssl=secure)
    except TimeoutError:
        raise Away(f"no connection within {_CONNECT_SECONDS:g} s") from None
    except OSError as error:
        raise Away(error.strerror or str(error) or type(error).__name__) from error
    wire.server = str(address)
    try:
        if address.password is not None:
            who = () if address.username is None else (address.username,)
            await wire.call("AUTH", *who, address.password.reveal())
        if address.database:
            await wire.call("SELECT", address.database)
    except BaseException:
        wire.close("it was not to be used")
        raise
    return wire


def observe(answer: asyncio.Future[Reply], done: Callable[[Reply, Exception | None], None]) -> None:
    """Has `done` called with what became of a call that nobody awaits: its answer, and None where there is one."""

    def look(ended: asyncio.Future[Reply]) -> None:
        error: BaseException | None = None
        with suppress(asyncio.CancelledError):
            error = ended.exception()
        failed = error if isinstance(error, Exception) else None
        done(None if failed or ended.cancelled() else ended.result(), failed)

    answer.add_done_callback(look)
