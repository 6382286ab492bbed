"""`/health/detailed`: what runs here and how it is, for those who operate it; switched by the section `health`."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, route
from litestar.handlers import BaseRouteHandler

import scaigrid
from scaigrid.api.handling import READ, Connection, Provided, exchange_in
from scaigrid.api.health import Readiness
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.requirement import Requirement
from scaigrid.config.schema import Config
from scaigrid.control.follower import Control
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code, GatewayError
from scaigrid.middleware import Services
from scaigrid.timestamps import iso


class _Operators(Requirement):
    """Asks nobody who came without a key: tenancy lets nobody come so unless the configuration says so."""

    def __call__(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        if exchange_in(connection).authenticated:
            super().__call__(connection, _handler)


OPERATORS: Final = _Operators("admin:access", reach="platform")
_SECONDS = 2.0
_HEADERS = {"cache-control": "no-store"}


class DatabaseHealth(AnswerShape, kw_only=True):
    """The database, as it answered just now."""

    kind: Annotated[Literal["sqlite", "postgresql"], OPEN]
    status: str
    """`ok`, or what is wrong."""
    epoch: int | None
    """The last change that it has; null where it did not answer."""


class StoreHealth(AnswerShape, kw_only=True):
    """The store of limits and budgets."""

    type: Annotated[Literal["memory", "valkey"], OPEN]
    status: str
    """`ok`, or what is wrong."""


class BackendCounts(AnswerShape, kw_only=True):
    """How many backends are how, as the worker that answers has seen them."""

    healthy: int
    degraded: int
    unavailable: int


class DetailedHealth(AnswerShape, kw_only=True):
    """One worker, and what it depends on."""

    status: Annotated[Literal["ok", "degraded", "not_ready"], OPEN]
    """`degraded`: calls are served, but not every backend is well. `not_ready`: something that calls need is not."""
    version: str
    uptime_seconds: float
    """Of the worker that answers."""
    pid: int
    workers: int
    """As configured."""
    epoch: int
    """The last change that is in force in this worker."""
    config_hash: str | None
    """Of the configuration file that was applied last; null where none was."""
    changed_at: str
    """When this worker put its state in force; ISO 8601, UTC."""
    models: int
    checks: Mapping[str, str]
    """Those of `/health/ready`."""
    database: DatabaseHealth
    store: StoreHealth
    backends: BackendCounts


@route("/health/detailed", http_method=READ, guards=[OPERATORS])
async def health_detailed(
    request: Request[Any, Any, Any],
    *,
    services: Provided[Services],
    control: Provided[Control],
    readiness: Provided[Readiness],
    config: Provided[Config],
    since: Provided[float],
) -> Response[DetailedHealth]:
    if not config.health.detailed:
        raise GatewayError(Code.NOT_FOUND)
    if not config.health.keyless:
        # Again, whoever let them in.
        OPERATORS.check(exchange_in(request).principal)
    read_query(request, NoQuery)
    checks = await readiness.checks()
    database = await _database(control)
    now, snapshot = services.clock.monotonic(), services.current.snapshot
    counts = Counter(services.health.status(backend.id, now) for backend in snapshot.backends)
    ready = database.status == "ok" and all(found == "ok" for found in checks.values())
    well = counts["healthy"] == len(snapshot.backends)
    told = DetailedHealth(
        status="not_ready" if not ready else "ok" if well else "degraded",
        # Once, the metadata of the distribution is read from the disk.
        version=await asyncio.to_thread(_version),
        uptime_seconds=round(now - since, 3),
        pid=os.getpid(),
        workers=config.server.workers,
        epoch=snapshot.epoch,
        config_hash=control.config_hash,
        changed_at=iso(control.changed_at),
        models=len(snapshot.models),
        checks=checks,
        database=database,
        store=StoreHealth(type=config.store.type, status=checks.get("store", "ok")),
        backends=BackendCounts(
            healthy=counts["healthy"], degraded=counts["degraded"], unavailable=counts["unavailable"]
        ),
    )
    return Response(told, status_code=200 if ready else 503, headers=_HEADERS)


async def _database(control: Control) -> DatabaseHealth:
    kind = control.store.kind
    try:
        async with asyncio.timeout(_SECONDS):
            return DatabaseHealth(kind=kind, status="ok", epoch=await control.store.epoch())
    except TimeoutError:
        return DatabaseHealth(kind=kind, status=f"it did not answer within {_SECONDS:g} s", epoch=None)
    except GatewayError:
        return DatabaseHealth(kind=kind, status="it cannot be reached", epoch=None)


@cache
def _version() -> str:
    return scaigrid.__version__
