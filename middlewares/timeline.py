"""Keeps what became of each inference request, step by step, for whoever asks afterwards; refusals too.

It stands outside all that a call goes through, the settling included. Of strangers nothing is kept: nobody could ask
for it.
"""

from contextlib import suppress

from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.errors import GatewayError, told
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin
from scaigrid.timeline import timeline_row


class TimelineConfig(Strict):
    """Whether timelines are kept; for how long is said by `ledger.timeline_days`."""

    enabled: bool = True
    """Keep what became of each call, step by step, for `GET /v1/requests/{request_id}`. Where off, that answers from
    the usage rows, which know of attempts alone."""


class Timeline:
    def __init__(self, app: ASGIApp, config: TimelineConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._enabled = config.enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._enabled:
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "timeline")
        error: GatewayError | None = None
        try:
            await self.app(scope, receive, send)
            error = exchange.error
        except BaseException as raised:
            error = told(raised)
            raise
        finally:
            if exchange.authenticated and _is_call(exchange):
                # It is nobody's bill: an answer does not fail for it, and a journal that is full says so by itself.
                with suppress(GatewayError):
                    self._services.recorder.append(timeline_row(exchange, error, self._services.clock))


def _is_call(exchange: Exchange) -> bool:
    """Of a model: one that could be read, and one that was refused before it was."""
    return exchange.call is not None or (exchange.method == "POST" and exchange.path in exchange.dialect.operations)
