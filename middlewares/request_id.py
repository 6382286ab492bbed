"""Gives every request its id, keeps a caller's own, and puts it on every answer and log line."""

from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.log import REQUEST_ID
from scaigrid.middleware import Services, begin


class RequestIdConfig(Strict):
    """Nothing to tune: an id is always there."""


class RequestId:
    def __init__(self, app: ASGIApp, config: RequestIdConfig, services: Services) -> None:
        self.app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "request_id")
        own = exchange.dialect.id_header
        names = (b"x-request-id",) if own is None else (b"x-request-id", own)
        exchange.response_headers += [(name, exchange.request_id.encode()) for name in names]
        if self._services.live.leaving and scope.get("http_version") != "2":
            # Its next request would come to a closed port. HTTP/2 has no such header, and says so itself.
            exchange.response_headers.append((b"connection", b"close"))
        token = REQUEST_ID.set(exchange.request_id)
        try:
            await self.app(scope, receive, send)
        finally:
            REQUEST_ID.reset(token)
