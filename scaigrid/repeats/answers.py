"""Answers that were given, in the database: they outlive restarts, and every worker and instance finds them there."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog
from sqlalchemy import Delete, Select, Update, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.db import faults
from scaigrid.db.engine import writing
from scaigrid.db.models import idempotency
from scaigrid.errors import Code, GatewayError
from scaigrid.repeats.port import Answer, Head, Refusal

_PATIENCE: Final = 5.0
"""Seconds that a call waits for the database."""
_STEP: Final = 200
"""Rows that one transaction of the tidying takes."""
_BETWEEN: Final = 60.0
"""Seconds between two tidyings."""

_column = idempotency.c
_pairs: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_refusal: Final = msgspec.json.Decoder(Refusal).decode
_json: Final = msgspec.json.Encoder().encode
_log: FilteringBoundLogger = structlog.get_logger(__name__)


class DatabaseAnswers:
    """The table `idempotency`. `most` bounds the bytes of all bodies together."""

    def __init__(self, engine: AsyncEngine, clock: Clock, most: int) -> None:
        self._engine = engine
        self._writing = writing(engine)
        self._clock = clock
        self._most = most

    async def find(self, scope: str) -> Answer | None:
        """One whose time is over is none. Raises STORE_UNAVAILABLE."""
        wanted = (
            _column.fingerprint,
            _column.request_id,
            _column.status,
            _column.headers,
            _column.body,
            _column.refusal,
        )
        query = select(*wanted).where(_column.scope == scope, _column.expires_at > self._clock.now())
        with _told():
            async with asyncio.timeout(_PATIENCE), self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in _pairs(row.headers))
        return Answer(
            fingerprint=row.fingerprint,
            head=Head(row.request_id, row.status, headers),
            body=row.body,
            refusal=None if row.refusal is None else _refusal(row.refusal),
        )

    async def keep(self, scope: str, answer: Answer, seconds: float) -> None:
        """One that is there and whose time is not over stays as it is. Raises STORE_UNAVAILABLE."""
        now = self._clock.now()
        head = answer.head
        values = {
            "scope": scope,
            "fingerprint": answer.fingerprint,
            "request_id": head.request_id,
            "status": head.status,
            "headers": _json(
                [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
            ).decode(),
            "body": answer.body,
            "refusal": None if answer.refusal is None else _json(answer.refusal).decode(),
            "size": len(answer.body or b""),
            "created_at": now,
            "expires_at": now + seconds,
        }
        with _told():
            try:
                async with asyncio.timeout(_PATIENCE), self._writing.begin() as connection:
                    old = delete(idempotency).where(_column.scope == scope, _column.expires_at <= now)
                    await connection.execute(old)
                    await connection.execute(insert(idempotency).values(values))
            except IntegrityError:
                # Somebody was first: its answer is the one that was given.
                return

    async def tidy(self) -> None:
        """Removes what is over, and the bodies of the oldest while there is too much; in small steps."""
        over = delete(idempotency).where(_column.scope.in_(self._over()))
        while await self._step(over) == _STEP:
            pass
        empty = update(idempotency).where(_column.scope.in_(_oldest())).values(body=None, size=0)
        while await self._is_too_much() and await self._step(empty):
            pass

    async def tend(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Tidies for as long as the worker lives."""
        while True:
            await sleep(_BETWEEN)
            try:
                await self.tidy()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("answers_not_tidied", error=faults.told(error))

    def _over(self) -> Select[tuple[str]]:
        return select(_column.scope).where(_column.expires_at <= self._clock.now()).limit(_STEP)

    async def _step(self, change: Delete | Update) -> int:
        async with self._writing.begin() as connection:
            return (await connection.execute(change)).rowcount

    async def _is_too_much(self) -> bool:
        async with self._engine.connect() as connection:
            return (await connection.scalar(select(func.sum(_column.size))) or 0) > self._most


def _oldest() -> Select[tuple[str]]:
    return select(_column.scope).where(_column.size > 0).order_by(_column.expires_at).limit(_STEP)


@contextmanager
def _told() -> Generator[None]:
    """A database that is away is a store that is unavailable."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        if isinstance(error, IntegrityError):
            raise
        raise GatewayError(
            Code.STORE_UNAVAILABLE, "The store of answers to be repeated is unavailable.", retry_after=1
        ) from error
