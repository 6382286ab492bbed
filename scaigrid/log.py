"""JSON log lines, each tagged with the request id: structlog for what happens, a direct line for each request.

Lines are gathered for a moment and written together, because one `write` a request is dearer than the line itself.
"""

import asyncio
import logging
import os
import re
from collections.abc import Iterable, MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog

REQUEST_ID: ContextVar[str | None] = ContextVar("scaigrid_request_id", default=None)
"""The request that the running task works for."""

_FLUSH_SECONDS = 0.02
_FLUSH_BYTES = 64 * 1024

_encode = msgspec.json.Encoder(enc_hook=str).encode


class LineSink:
    """Writes lines to a file descriptor, in batches while an event loop runs, at once where none does."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: bytes) -> None:
        """`line` without its newline."""
        self._lines.append(line)
        self._bytes += len(line) + 1
        if self._bytes >= _FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._timer = loop.call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        rest = memoryview(b"\n".join(self._lines) + b"\n")
        self._lines.clear()
        self._bytes = 0
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            # Whoever read our lines is gone or the disk is full; a log must not take the gateway down with it.
            return


_KEY = re.compile(rb"sgk_[A-Za-z0-9_-]{16,}")


class Scrubber:
    """Replaces known secrets, and what has the form of our keys, in a rendered line.

    The last guard, where the first one failed.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Takes over the secrets of a new configuration. Those under 8 characters would mangle ordinary text."""
        self._secrets = tuple(secret.encode() for secret in secrets if len(secret) >= 8)

    def __call__(self, line: bytes) -> bytes:
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, b"***")
        return _KEY.sub(b"sgk_***", line) if b"sgk_" in line else line


class _SinkLogger:
    """What structlog writes to."""

    def __init__(self, sink: LineSink, scrub: Scrubber) -> None:
        self._sink = sink
        self._scrub = scrub

    def msg(self, line: bytes) -> None:
        self._sink.write(self._scrub(line))

    debug = info = warning = error = critical = exception = fatal = log = msg


def _tag(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)


def configure(sink: LineSink, level: str, scrub: Scrubber) -> None:
    """Points structlog, and through it everything that logs by the standard library, at `sink`."""
    structlog.configure(
        processors=[
            _tag,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the values of local variables: they hold bodies and keys.
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _SinkLogger(sink, scrub),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(level.upper())
    # httpx tells every URL at INFO, and a URL can carry a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _Forward(logging.Handler):
    """Standard library records, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
