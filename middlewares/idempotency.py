"""Makes a call once, however often it is asked for with the same `Idempotency-Key`; whoever repeats it gets its answer.

The first one goes on inwards. What it is sent is noted on the way, and kept before the last byte leaves. A repeat goes
nowhere: it is answered from what was kept, or reads along with the first. So it takes from no limit and no budget, and
there is no row of it in the ledger.
"""

import asyncio
from collections import deque
from typing import Final

from scaigrid.asgi import ASGIApp, Message, Receive, Scope, Send, header
from scaigrid.call import Call
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.idempotency import Answer, Head, Reader, Reading, Run, Terms, fingerprint, head_of, place
from scaigrid.middleware import Services, begin
from scaigrid.types import FREE

HEADER: Final = b"idempotency-key"
_LONGEST: Final = 255
_VISIBLE: Final = frozenset(range(0x21, 0x7F))
_RETRY_AFTER: Final = 2
"""Seconds after which the first call may be over."""
_UNHEARD_SECONDS: Final = 60.0
"""How long a call goes on unheard, for the sake of the answer. After that it is the forwarder's to end, or to read on
for the sake of its usage."""
_MOST_UNHEARD: Final = 100
_PASSING: Final = frozenset({408, 409, 425, 429, 499})
"""Refusals that are none the next time."""


class IdempotencyConfig(Terms):
    """Whether `Idempotency-Key` has a meaning; what of such calls is kept, and for how long."""

    enabled: bool = True
    """Heed the header. Where off, it is ignored, and each call is made anew."""


class Idempotency:
    """Requests without the header pass untouched."""

    def __init__(self, app: ASGIApp, config: IdempotencyConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._repeats = services.repeats if config.enabled else None
        self._wait = config.wait_seconds
        self._unheard = 0
        """Calls that go on although nobody listens."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "idempotency")
        repeats, given = self._repeats, header(scope, HEADER)
        if repeats is None or given is None:
            await self.app(scope, receive, send)
            return
        call = _meant(exchange)
        if call is None:
            await self.app(scope, receive, send)
            return
        where, what = _where(exchange, given), fingerprint(call)
        inbox = _Inbox(receive)
        while True:
            found = await repeats.begin(where, what, exchange.request_id)
            if isinstance(found, Run):
                await self._first(found, scope, inbox, send, exchange)
                return
            if isinstance(found, Answer):
                await _give(found, exchange, send)
                return
            if await self._along(found, exchange, call, inbox, send):
                return
            # Whoever made it is gone, and nothing of it was given on.

    async def _first(self, run: Run, scope: Scope, inbox: "_Inbox", send: Send, exchange: Exchange) -> None:
        told: GatewayError | None = None
        try:
            await self.app(scope, self._staying(inbox, run, exchange), _noting(run, send, exchange.dialect.keep_alive))
        except GatewayError as error:
            told = error
            if not run.told and _is_final(error, exchange):
                await run.refuse(error)
            raise
        except BaseException:
            told = GatewayError(Code.INTERNAL_ERROR)
            raise
        finally:
            await run.close(told)

    def _staying(self, inbox: "_Inbox", run: Run, exchange: Exchange) -> Receive:
        """A client who leaves is not missed while others read along.

        Nor for a while where the model's answers are read to their end without anybody: this one can then be kept.
        """
        drains = exchange.model is not None and exchange.model.on_disconnect == "drain"

        async def staying() -> Message:
            message = await inbox.receive()
            if message["type"] == "http.disconnect" and not run.whole:
                if drains and self._unheard < _MOST_UNHEARD:
                    self._unheard += 1
                    try:
                        await run.unheard(_UNHEARD_SECONDS)
                    finally:
                        self._unheard -= 1
                await run.deserted()
            return message

        return staying

    async def _along(self, reader: Reader, exchange: Exchange, call: Call, inbox: "_Inbox", send: Send) -> bool:
        """Gives what the first caller gets; False where there is nothing to be had of it."""
        read = _read_stream if call.stream else self._read_plain
        giving = asyncio.create_task(read(reader, exchange, send))
        leaving = asyncio.create_task(inbox.left())
        try:
            await asyncio.wait((giving, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not giving.done():
                raise GatewayError(Code.CLIENT_CLOSED)
            return giving.result()
        finally:
            giving.cancel()
            leaving.cancel()
            await asyncio.gather(giving, leaving, return_exceptions=True)
            reader.leave()

    async def _read_plain(self, reader: Reader, exchange: Exchange, send: Send) -> bool:
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._wait):
                while True:
                    reading = await reader.read()
                    pieces += reading.pieces
                    if (over := _over(reading, begun=False)) is not None:
                        break
        except TimeoutError:
            raise _in_progress() from None
        if not over:
            return False
        await _begin(exchange, head_of(pieces[0]), send)
        await send({"type": "http.response.body", "body": b"".join(pieces[1:]), "more_body": False})
        return True


async def _read_stream(reader: Reader, exchange: Exchange, send: Send) -> bool:
    send, begun = _bounded(send, exchange), False
    while True:
        reading = await reader.read()
        for piece in reading.pieces:
            if begun:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            else:
                begun = True
                await _begin(exchange, head_of(piece), send)
        if (over := _over(reading, begun=begun)) is not None:
            if over:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            return over


def _bounded(send: Send, exchange: Exchange) -> Send:
    """A client who stops reading is given up after as long as the model's own would be."""
    patience = None if exchange.model is None else exchange.model.route.idle

    async def bounded(message: Message) -> None:
        try:
            async with asyncio.timeout(patience):
                await send(message)
        except TimeoutError:
            raise GatewayError(Code.CLIENT_CLOSED, "The client stopped reading.") from None

    return bounded


def _over(reading: Reading, *, begun: bool) -> bool | None:
    """None while there is more to come, True with the last of a whole answer, False where none was given.

    Raises what the first caller was told, and where this one was given a part and will not have the rest.
    """
    if reading.lost == "outrun" and not begun:
        raise _in_progress()
    end = reading.end
    if not reading.lost and (end is None or end.whole):
        return None if end is None else True
    refusal = None if end is None else end.refusal
    if refusal is not None and refusal.code is not Code.CLIENT_CLOSED:
        raise refusal.error()
    if begun:
        raise GatewayError(Code.INTERNAL_ERROR, "The call whose answer this is was broken off.")
    return False


async def _give(answer: Answer, exchange: Exchange, send: Send) -> None:
    """An answer that was kept. Raises what was said instead of one, and CONFLICT where it was too large to be kept."""
    head = answer.head
    if answer.refusal is not None:
        _tell(exchange, head)
        raise answer.refusal.error()
    if answer.body is None:
        raise GatewayError(
            Code.CONFLICT,
            f"The call with this Idempotency-Key was made, and its answer given, as request {head.request_id}. It was "
            "larger than what is kept. To make the call again, use a new key.",
        )
    await _begin(exchange, head, send)
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _begin(exchange: Exchange, head: Head, send: Send) -> None:
    _tell(exchange, head)
    await send({"type": "http.response.start", "status": head.status, "headers": list(head.headers)})


def _tell(exchange: Exchange, head: Head) -> None:
    exchange.repeats = head.request_id
    exchange.response_headers += [
        (b"idempotent-replayed", b"true"),
        (b"x-scaigrid-original-request-id", head.request_id.encode()),
    ]


def _in_progress() -> GatewayError:
    return GatewayError(Code.IDEMPOTENCY_IN_PROGRESS, retry_after=_RETRY_AFTER)


# -- the first caller --------------------------------------------------------------------------------------------------


def _noting(run: Run, send: Send, keep_alive: bytes) -> Send:
    """Notes an answer of status 2xx on its way, and holds its last byte until it is kept.

    What keeps a silent stream alive does so for those who read along; it is no part of the answer.
    """
    noted = False

    async def noting(message: Message) -> None:
        nonlocal noted
        if message["type"] == "http.response.start":
            status: int = message["status"]
            noted = 200 <= status < 300
            if noted:
                run.started(status, list(message.get("headers", ())))
        elif noted:
            body: bytes = message.get("body", b"")
            if body:
                run.piece(body, kept=body != keep_alive)
            if not message.get("more_body", False):
                await run.finish()
        await send(message)

    return noting


def _is_final(error: GatewayError, exchange: Exchange) -> bool:
    """The provider said it, and would say it again. What was refused here can be another matter a minute later."""
    if not exchange.attempts or exchange.for_now:
        return False
    return 400 <= error.status < 500 and error.status not in _PASSING


class _Inbox:
    """What the client says: kept for whoever asks next where it was read only to see whether the client is there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: deque[Message] = deque()

    async def receive(self) -> Message:
        return self._read.popleft() if self._read else await self._receive()

    async def left(self) -> None:
        """Returns when the client has left."""
        while not self._read or self._read[-1]["type"] != "http.disconnect":
            self._read.append(await self._receive())


# -- which call it is --------------------------------------------------------------------------------------------------


def _meant(exchange: Exchange) -> Call | None:
    """A call that costs something, by somebody who may make it, in a tenant that lets answers be kept; None for others.

    Whoever may not is refused further in, in the words for that.
    """
    call, model, principal = exchange.call, exchange.model, exchange.principal
    if call is None or model is None or call.operation in FREE or not principal.keeps_bodies:
        return None
    permitted = not exchange.authenticated or principal.may("models:use")
    return call if permitted and model.status != "disabled" and principal.may_use(model.slug) else None


def _where(exchange: Exchange, given: bytes) -> str:
    """Where the key is known. Raises VALIDATION_ERROR for one that is none."""
    if not 0 < len(given) <= _LONGEST or not _VISIBLE.issuperset(given):
        fault = Detail("Idempotency-Key", f"must be 1 to {_LONGEST} visible ASCII characters")
        raise GatewayError(Code.VALIDATION_ERROR, details=(fault,))
    principal = exchange.principal
    caller = principal.user.id if principal.key is None else principal.key.id
    return place(f"{principal.tenant.id} {caller}", exchange.path, given.decode())
