"""Renders every failure in the client's own dialect, before or after the first byte.

Only a GatewayError's text reaches a client. Anything else is logged with its traceback and becomes INTERNAL_ERROR:
the request id on the answer finds it.
"""

import structlog

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin
from scaigrid.secrets import masked

_LEAST = 8
"""Characters of a secret that is looked for, as in the log."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ErrorsConfig(Strict):
    """Nothing to tune: there is one right way to say what failed."""


class Errors:
    def __init__(self, app: ASGIApp, config: ErrorsConfig, services: Services) -> None:
        self.app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services)
        try:
            await self.app(scope, receive, send)
        except GatewayError as error:
            await _answer(exchange, error, send)
        except Exception:  # noqa: BLE001 - the last stop: whatever it is, the client gets an answer and the log the cause
            _log.exception("unexpected_error", path=exchange.path)
            await _answer(exchange, GatewayError(Code.INTERNAL_ERROR), send)


async def _answer(exchange: Exchange, error: GatewayError, send: Send) -> None:
    error.message = _scrubbed(error.message, exchange.snapshot.secrets)
    if not exchange.response_started:
        headers, body = exchange.dialect.error(error, exchange.request_id)
        await respond(send, error.status, headers, body)
    elif exchange.streaming and not exchange.response_complete and error.code is not Code.CLIENT_CLOSED:
        # There is no second answer: the stream itself has to say that it failed.
        own = None if exchange.call is None else exchange.call.stream_error
        if own is None:
            frames = exchange.dialect.stream_error(error, exchange.request_id)
        else:
            frames = own(error, exchange.request_id, exchange.frames_sent)
        await send({"type": "http.response.body", "body": frames, "more_body": False})


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        # A shorter one is no secret, and would be found within words.
        if len(secret) >= _LEAST:
            text = text.replace(secret, "***")
    return masked(text)
