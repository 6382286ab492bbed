"""Renders every failure in the client's own dialect, before or after the first byte.

Only a GatewayError's text reaches a client. Anything else is logged with its traceback and becomes INTERNAL_ERROR:
the request id on the answer finds it.
"""

import asyncio
from contextlib import suppress

import structlog

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, Detail, GatewayError, let_go
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin
from scaigrid.secrets import masked

_LONGEST_READ = 60.0
"""Seconds that a client may take for the error at the end of a stream, where no model says otherwise."""
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
        exchange, send = begin(scope, send, self._services, "errors")
        try:
            await self.app(scope, receive, send)
        except GatewayError as error:
            try:
                await _answer(exchange, error, send)
            finally:
                let_go(error)
        except Exception:  # noqa: BLE001 - the last stop: whatever it is, the client gets an answer and the log the cause
            _log.exception("unexpected_error", path=exchange.path)
            await _answer(exchange, GatewayError(Code.INTERNAL_ERROR), send)
        finally:
            for attempt in exchange.attempts:
                if attempt.error is not None:
                    let_go(attempt.error)


async def _answer(exchange: Exchange, error: GatewayError, send: Send) -> None:
    secrets = exchange.snapshot.secrets
    error.message = _scrubbed(error.message, secrets)
    # The names of fields and models in it are the caller's own words, and people paste keys into the wrong place.
    error.details = tuple(
        Detail(_scrubbed(one.field, secrets), _scrubbed(one.message, secrets)) for one in error.details
    )
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
        patience = _LONGEST_READ if exchange.model is None else exchange.model.route.idle
        # Whoever has stopped reading does not read this either, and his call ends all the same.
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await send({"type": "http.response.body", "body": frames, "more_body": False})


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        # A shorter one is no secret, and would be found within words.
        if len(secret) >= _LEAST:
            text = text.replace(secret, "***")
    return masked(text)
