"""Takes the body, within its limit, and decodes it once, by dialect, into the typed call."""

import asyncio
from typing import Annotated

import msgspec

from scaigrid.asgi import ASGIApp, Message, Receive, Scope, Send, header
from scaigrid.call import Call
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.held import Held
from scaigrid.lateness import Lateness
from scaigrid.middleware import Services, begin
from scaigrid.resources import find
from scaigrid.tags import HEADER as TAGS
from scaigrid.tags import tags_of


class IntakeConfig(Strict):
    """How much is taken."""

    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**31)] = 32 * 1024 * 1024
    """The largest request body; a larger one is answered REQUEST_TOO_LARGE without reading on."""
    body_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    """How long a body may take to come. One that is slower is answered VALIDATION_ERROR: whoever sends a byte now and
    then would hold its connection, and what came of its body, for ever."""


class Intake:
    """Paths that are no operation of a dialect keep their body as a stream, held to the same limit."""

    def __init__(self, app: ASGIApp, config: IntakeConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._limit = config.max_body_bytes
        self._lateness = Lateness(config.body_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "intake")
        declared = header(scope, b"content-length")
        if declared is not None and not (declared.isdigit() and len(declared) < 20 and int(declared) <= self._limit):
            raise self._too_large()
        operation = exchange.dialect.operations.get(exchange.path)
        if operation is None or exchange.method != "POST":
            kept = find(exchange.dialect.resources, exchange.path) if operation is None else None
            if kept is not None and (make := kept[0].get(exchange.method)) is not None:
                self._about(exchange, make(kept[1], (scope.get("query_string") or b"").decode("latin-1")))
            await self.app(scope, self._counted(receive), send)
            return
        _check_media_type(scope)
        body = await self._in_time(receive)
        call = exchange.dialect.decode(exchange.path, body)
        forwarded = exchange.dialect.forwarded
        query = scope.get("query_string")
        if forwarded or query:
            call = msgspec.structs.replace(
                call,
                headers=tuple(
                    [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"] if name in forwarded]
                ),
                query=(query or b"").decode("latin-1"),
            )
        if header(scope, TAGS) is not None:
            call = msgspec.structs.replace(call, tags=tags_of(scope, call.tags))
        exchange.call = call
        exchange.model = exchange.snapshot.models.get(call.model)
        if call.held is not None:
            exchange.held = self._opened(exchange, call.held)
        await self.app(scope, _Replay(body, receive), send)

    def _about(self, exchange: Exchange, call: Call) -> None:
        """Takes a call about something that a backend keeps: its name says which model it was made with."""
        exchange.call = call
        held = exchange.held = self._opened(exchange, call.held or "")
        if held is not None:
            exchange.call = msgspec.structs.replace(call, model=held.model)
            exchange.model = exchange.snapshot.models.get(held.model)

    def _opened(self, exchange: Exchange, name: str) -> Held | None:
        """What a name leads to, for who may go there: its tenant, and whoever reaches everything."""
        held, principal = self._services.names.opened(name), exchange.principal
        if held is None or (held.tenant != principal.tenant.id and principal.reach != "platform"):
            return None
        return held

    async def _in_time(self, receive: Receive) -> bytes:
        task = self._lateness.begin()
        try:
            return await self._read(receive)
        except asyncio.CancelledError:
            if not self._lateness.forgiven(task):
                raise
            late = f"The request body did not come within {self._lateness.seconds:g} s."
            raise GatewayError(Code.VALIDATION_ERROR, late) from None
        finally:
            self._lateness.end(task)

    async def _read(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            _check_present(message)
            if len(body) > self._limit:
                raise self._too_large()
            return body
        # No list: of a body that comes byte by byte its pieces would take sixty times as much as the body.
        whole = bytearray(body)
        while message.get("more_body"):
            message = await receive()
            _check_present(message)
            whole += message.get("body", b"")
            if len(whole) > self._limit:
                raise self._too_large()
        return bytes(whole)

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> GatewayError:
        return GatewayError(Code.REQUEST_TOO_LARGE, f"The request body is larger than {self._limit} bytes.")


class _Replay:
    """The body again, for an application further in that wants to read it; then whatever the client does."""

    __slots__ = ("_body", "_receive")

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


def _check_media_type(scope: Scope) -> None:
    media_type = header(scope, b"content-type")
    if media_type is not None and media_type.partition(b";")[0].strip().lower() != b"application/json":
        raise GatewayError(Code.UNSUPPORTED_MEDIA_TYPE)
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.strip().lower() != b"identity":
        raise GatewayError(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without a Content-Encoding.")


def _check_present(message: Message) -> None:
    if message["type"] == "http.disconnect":
        raise GatewayError(Code.CLIENT_CLOSED)
