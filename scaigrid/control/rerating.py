"""Rating again, as an operator asks for it: by names, at the prices of now or of an earlier version, on the record."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.clock import Clock, SystemClock
from scaigrid.config.schema import Config
from scaigrid.control import documents as docs
from scaigrid.control.codec import Codec
from scaigrid.control.funds import funds_of
from scaigrid.control.price_history import prices_of, versions
from scaigrid.control.spendings import Spendings
from scaigrid.control.state import State
from scaigrid.control.store import ControlStore
from scaigrid.control.vault import Vault
from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import rerates
from scaigrid.db.url import database_url
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.rerate import Report, Wanted
from scaigrid.ledger.rerate import rerate as rate
from scaigrid.pricing import PriceList


class NoSuch(Exception):
    """A name or a version that nobody knows."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator wants rated again, by the names that people use. Times are seconds since the epoch."""

    start: float
    end: float
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    stamped: str | None = None
    """Only rows that were billed at this version."""
    version: str | None = None
    """Rate them at this version; None: at the prices that hold now."""
    apply: bool = False
    actor: str = ""


Counters = Literal["untouched", "amended", "away", "own"]
"""What became of the counters of budgets: nothing had to; those in the store that workers share follow; that store is
away; or they are the gateway's own, which counts from the ledger when it starts."""


class Rerated(NamedTuple):
    """What was found, and whether it was written; the names of tenants, by their ids."""

    report: Report
    applied: bool
    tenants: Mapping[str, str]
    counters: Counters = "untouched"


async def rerate(config: Config, vault: Vault, asked: Asked) -> Rerated:
    """Rates again what is asked for. Raises NoSuch, and GatewayError(STORE_UNAVAILABLE)."""
    engine = create_engine(database_url(config))
    clock = SystemClock()
    try:
        state = await ControlStore(engine, Codec(vault), clock).load()
        wanted = _wanted(asked, state)
        prices, costs = _now(state) if asked.version is None else await _at(engine, asked.version)
        spendings = Spendings(funds_of(state), clock.now())
        report = await rate(engine, wanted, prices, costs, apply=asked.apply, changed=spendings.add)
        counters: Counters = "untouched"
        if asked.apply and report.changed.rows:
            await _keep(engine, clock.now(), asked, report)
            counters = await _count(config, clock, spendings.changes)
    except (SQLAlchemyError, OSError) as error:
        raise GatewayError(Code.STORE_UNAVAILABLE, "The database cannot be used.") from error
    finally:
        await engine.dispose()
    names = {id_: tenant.name for id_, tenant in state.documents(docs.Tenant)}
    return Rerated(report, asked.apply, names, counters)


def _wanted(asked: Asked, state: State) -> Wanted:
    return Wanted(
        start=asked.start,
        end=asked.end,
        models=tuple(_names(asked.models, [model.name for _, model in state.documents(docs.Model)], "model")),
        backends=_ids(asked.backends, {one.name: id_ for id_, one in state.documents(docs.Backend)}, "backend"),
        tenants=_ids(asked.tenants, {one.name: id_ for id_, one in state.documents(docs.Tenant)}, "tenant"),
        version=asked.stamped,
    )


def _names(given: Sequence[str], known: Sequence[str], kind: str) -> Sequence[str]:
    for name in given:
        if name not in known:
            raise NoSuch(f"there is no {kind} {name!r}")
    return given


def _ids(given: Sequence[str], known: Mapping[str, str], kind: str) -> tuple[str, ...]:
    """The ids of names; who gives an id means that."""
    ids = set(known.values())
    return tuple(name if name in ids else known[_names((name,), tuple(known), kind)[0]] for name in given)


def _now(state: State) -> tuple[Mapping[str, PriceList], Mapping[str, PriceList]]:
    """The prices that hold now: of models by slug, of backends by id."""
    models = {one.name: prices for one in state.all("model").values() if (prices := prices_of(one)) is not None}
    backends = {id_: prices for id_, one in state.all("backend").items() if (prices := prices_of(one)) is not None}
    return models, backends


async def _at(engine: AsyncEngine, version: str) -> tuple[Mapping[str, PriceList], Mapping[str, PriceList]]:
    """The prices of an earlier version, for those models and backends that ever had it."""
    async with engine.connect() as connection:
        known = await versions(connection, version=version)
    if not known:
        raise NoSuch(f"no price ever had the version {version!r}")
    models = {one.name: one.prices for one in known if one.kind == "model"}
    return models, {one.id: one.prices for one in known if one.kind == "backend"}


async def _keep(engine: AsyncEngine, now: float, asked: Asked, report: Report) -> None:
    row = {
        "at": now,
        "actor": asked.actor,
        "wanted": msgspec.json.encode(asked).decode(),
        "report": msgspec.json.encode(report).decode(),
    }
    async with writing(engine).begin() as connection:
        await connection.execute(insert(rerates), row)


async def _count(config: Config, clock: Clock, changes: Mapping[str, int]) -> Counters:
    """Has the counters follow, where somebody else than the gateway itself keeps them."""
    if not changes:
        return "untouched"
    if config.store.type == "memory":
        return "own"
    from scaigrid.stores.valkey import ValkeyLimiter

    limiter = ValkeyLimiter(config.store, clock)
    try:
        await limiter.amend(changes)
    except GatewayError:
        return "away"
    finally:
        await limiter.aclose()
    return "amended"
