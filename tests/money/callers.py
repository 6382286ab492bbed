"""Callers of the real gateway: threads with a connection each, who write down what became of every call."""

import http.client
import json
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any, Final, Self

import msgspec

from scaigrid.clock import SystemClock
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.lanes import CHAT_URL, secret
from tests.harness.ports import LOOPBACK
from tests.money.orders import Order

Dialect = str
DONE: Final = b"data: [DONE]\n\n"
_IN_STREAM: Final = re.compile(rb'data: \{"error":.*"code":"(\w+)"')

_clock = SystemClock()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller got. `status` is 0 where the connection broke before there was one."""

    order: Order
    status: int
    code: str = ""
    """The error's code, where there is one."""
    finished: bool
    """The whole of an answer came, to its last byte."""
    began: float
    """Monotonic seconds."""
    seconds: float
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sent: bool = True
    """False where nobody took the connection, so that nothing was asked of anybody."""

    @property
    def served(self) -> bool:
        return self.finished and self.status == 200 and not self.code

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Caller:
    """One connection, kept from call to call."""

    def __init__(self, port: int, *, key: str | None = None, dialect: Dialect = "openai", timeout: float = PATIENCE):
        self._port = port
        self._key = key
        self._dialect = dialect
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, order: Order, *, body: Any = None, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """Makes the call of an order, once; `body` is sent instead of the order's own."""
        given = {
            "authorization": f"Bearer {self._key or secret(order.purse)}",
            "content-type": "application/json",
            "x-request-id": order.id,
            **dict(headers),
        }
        payload = json.dumps(order.body if body is None else body)
        began = _clock.monotonic()
        status, got, sent = 0, b"", False
        told: tuple[tuple[str, str], ...] = ()
        try:
            connection = self._connected()
            sent = True
            connection.request("POST", CHAT_URL[self._dialect], payload, given)
            response = connection.getresponse()
            status = response.status
            told = tuple((name.lower(), value) for name, value in response.getheaders())
            got = response.read()
            whole = True
        except (OSError, http.client.HTTPException):
            self.close()
            whole = False
        code = _code(got) if whole and status != 200 else ""
        if whole and order.stream and status == 200 and not got.endswith(DONE):
            # Either cut off, or told of a failure: nothing else ends a stream.
            told_of = _IN_STREAM.search(got)
            whole, code = told_of is not None, told_of[1].decode() if told_of is not None else ""
        seconds = _clock.monotonic() - began
        return Answer(
            order=order,
            status=status,
            code=code,
            finished=whole,
            began=began,
            seconds=seconds,
            headers=told,
            body=got,
            sent=sent,
        )

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=self._timeout)
            connection.connect()
            self._connection = connection
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Leaver:
    """A client who asks, and may leave at any time: leaving the block closes its connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)

    def ask(self, order: Order) -> None:
        """Sends the whole request, and reads nothing."""
        headers = {
            "authorization": f"Bearer {secret(order.purse)}",
            "content-type": "application/json",
            "x-request-id": order.id,
        }
        self._connection.request("POST", CHAT_URL["openai"], json.dumps(order.body), headers)

    def to_the_end(self) -> bytes:
        """Reads the whole answer."""
        return self._connection.getresponse().read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _code(got: bytes) -> str:
    try:
        code: str = json.loads(got)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return "?"
    return code


def together(
    ports: Sequence[int],
    orders: Iterable[Order],
    at_once: int,
    answers: list[Answer] | None = None,
    *,
    body: Any = None,
    headers: Sequence[tuple[str, str]] = (),
) -> list[Answer]:
    """Each order called once, so many at the same time, each on a connection of its own, spread over the ports.

    `answers` is told of each as it comes; `body` is sent instead of the orders' own.
    """
    told: list[Answer] = [] if answers is None else answers

    def one(numbered: tuple[int, Order]) -> None:
        with Caller(ports[numbered[0] % len(ports)]) as caller:
            told.append(caller.ask(numbered[1], body=body, headers=headers))

    with ThreadPoolExecutor(at_once) as pool:
        for done in pool.map(one, enumerate(orders)):
            assert done is None
    return told


class Crowd:
    """Callers who call without a pause until each of them has had enough, or all are told to stop."""

    def __init__(
        self,
        ports: Sequence[int],
        order: Callable[[], Order],
        *,
        callers: int,
        enough: Callable[[Answer], bool] = lambda answer: False,
        timeout: float = PATIENCE,
    ) -> None:
        """`order` makes the next call, in any thread; a caller goes when `enough` is true of its last answer."""
        self.answers: list[Answer] = []
        self.asked: dict[str, Order] = {}
        """Every call that was begun, by its id."""
        self._order = order
        self._enough = enough
        self._timeout = timeout
        self._lock = Lock()
        self._over = Event()
        self._pool = ThreadPoolExecutor(callers)
        self._running = [self._pool.submit(self._call, ports[place % len(ports)]) for place in range(callers)]

    def _call(self, port: int) -> None:
        with Caller(port, timeout=self._timeout) as caller:
            while not self._over.is_set():
                with self._lock:
                    order = self._order()
                    self.asked[order.id] = order
                answer = caller.ask(order)
                if not answer.sent:
                    del self.asked[order.id]
                self.answers.append(answer)
                if self._enough(answer):
                    return
                if not answer.status:
                    # Nobody listens for a moment; the next try finds out.
                    self._over.wait(0.03)

    def comes_to(self, answers: int, *, seconds: float = PATIENCE) -> None:
        """Returns once so many have been served."""
        eventually(lambda: self.served >= answers, f"{answers} answers", seconds=seconds)

    @property
    def served(self) -> int:
        return sum(answer.served for answer in tuple(self.answers))

    def ended(self, *, seconds: float = 3 * PATIENCE) -> list[Answer]:
        """Waits until each of them has had enough; the answers."""
        for one in self._running:
            one.result(timeout=seconds)
        self._pool.shutdown()
        return self.answers

    def stop(self) -> list[Answer]:
        """Tells them to stop after the call that each of them is making; the answers."""
        self._over.set()
        return self.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
