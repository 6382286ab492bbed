"""A Starlette application that is not ours and knows nothing of us, for links to stand around."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from middlewares import CHAIN
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.snapshot import Principal
from scaigrid.exchange import Exchange, exchange_of
from scaigrid.middleware import Link, begin
from tests.harness.asgi import Request as Asked
from tests.harness.services import Parts

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
CHAT = "/oai/v1/chat/completions"
NATIVE_CHAT = "/v1/inference/chat"
INNER = {"x-inner": "kept", "x-request-cost": "none"}
"""Headers of the application's own."""

Handler = Callable[[Request], Any]
_PATHS = ("/do", "/v1/do", "/oai/v1/do", "/anthropic/v1/do", CHAT, NATIVE_CHAT)


class Bare:
    """Starlette with a plain answer at `/plain`, a stream at `/stream`, an echo of the body at every operation's path.

    The stream is `one`, `two`, `three`, each but the first behind a gate that the test opens. `do` replaces what is
    answered at `/do` and at the paths of the operations.
    """

    def __init__(self, do: Handler | None = None, *, inside: Sequence[Middleware] = ()) -> None:
        """`inside` stands in Starlette's own list of middleware."""
        self.events: list[str] = []
        self.gates = [asyncio.Event(), asyncio.Event()]
        handler = do or _echo
        self.starlette = Starlette(
            routes=[
                Route("/plain", _plain, methods=METHODS),
                Route("/stream", self._stream, methods=METHODS),
                Route("/health", _plain, methods=METHODS),
                WebSocketRoute("/socket", self._socket),
                *(Route(path, handler, methods=METHODS) for path in _PATHS),
            ],
            middleware=list(inside),
            lifespan=self._lifespan,
        )

    @property
    def app(self) -> ASGIApp:
        return self.starlette

    def open(self) -> None:
        for gate in self.gates:
            gate.set()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[dict[str, str]]:
        self.events.append("begins")
        yield {"from": "the lifespan"}
        self.events.append("ends")

    async def _stream(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            await self.gates[0].wait()
            yield b"two"
            await self.gates[1].wait()
            yield b"three"

        return StreamingResponse(pieces(), headers=INNER)

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text((await socket.receive_text())[::-1])
        await socket.close(4000)


async def _plain(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} plain", status_code=202, headers=INNER)


async def _echo(request: Request) -> Response:
    return Response(await request.body(), headers=INNER)


def alone(name: str, app: ASGIApp, parts: Parts, **config: Any) -> ASGIApp:
    """The link of that name around `app`, with nothing else of ours."""
    link: Link[Any] = next(one for one in CHAIN if one.name == name)
    return link.make(app, link.config(**config), parts.services)


def exchange(request: Asked) -> Exchange:
    """What is known about a request."""
    found = exchange_of(request.scope)
    assert found is not None
    return found


def called(found: Exchange, **fields: Any) -> Exchange:
    """Fills in what `intake` would: a chat call with these fields, for `acme/chat` where they name no model."""
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}], **fields}
    found.call = found.dialect.decode(next(iter(found.dialect.operations)), json.dumps(body).encode())
    found.model = found.snapshot.models.get(found.call.model)
    return found


def knowing(fill: Callable[[Exchange], object]) -> Handler:
    """An application of ours: it fills in the exchange, and answers."""

    async def handler(request: Request) -> Response:
        found = exchange_of(request.scope)
        assert found is not None
        fill(found)
        return PlainTextResponse("done")

    return handler


def identified(app: ASGIApp, parts: Parts, principal: Principal | None = None) -> ASGIApp:
    """`app` inside one that says who calls: the holder of the first key, where nobody else is named."""

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        found, send = begin(scope, send, parts.services, "test")
        found.principal = principal or parts.principal
        found.authenticated = True
        await app(scope, receive, send)

    return known
