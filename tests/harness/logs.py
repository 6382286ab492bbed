"""The gateway's own logging, pointed at a sink for one test."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import structlog

from scaigrid.log import LineSink, Scrubber, configure


@contextmanager
def logging_to(sink: LineSink, *, level: str = "info", secrets: Sequence[str] = ()) -> Generator[None]:
    """Whoever gets a logger inside the block writes to `sink`; a module's own may be bound elsewhere already."""
    before = structlog.get_config()
    loggers = [logging.getLogger(), logging.getLogger("httpx")]
    handlers, levels = loggers[0].handlers, [logger.level for logger in loggers]
    configure(sink, level, Scrubber(secrets))
    try:
        yield
    finally:
        structlog.configure(**before)
        loggers[0].handlers = handlers
        for logger, was in zip(loggers, levels, strict=True):
            logger.setLevel(was)
