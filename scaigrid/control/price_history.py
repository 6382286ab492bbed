"""The prices that were in force, by version: rows are stamped with one, and can be rated again with another.

A price is noted in the very transaction that puts it in force. One that was there before anybody noted prices is noted
when it is changed, as of its last change before.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.control import documents as docs
from scaigrid.control.prices import price_list
from scaigrid.control.resource import Resource
from scaigrid.db.models import price_history
from scaigrid.pricing import FREE, PriceList

Kind = Literal["model", "backend"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PriceList).decode


class Priced(NamedTuple):
    """A price list of a model (what customers pay) or of a backend (what its provider charges)."""

    seq: int
    """Its place in the history."""
    kind: Kind
    id: str
    name: str
    """The model's slug, or the name of the backend, at that time."""
    since: float
    """Seconds since the epoch."""
    prices: PriceList


def prices_of(resource: Resource) -> PriceList | None:
    """The price list of a model or a backend; None for a model that has none, and for everything else."""
    document = resource.document
    if isinstance(document, docs.Backend):
        return price_list(document.cost)
    if isinstance(document, docs.Model):
        if document.unpriced == "refuse":
            return None
        return price_list(document.prices) if document.prices else FREE
    return None


async def note(connection: AsyncConnection, changed: Iterable[tuple[Resource | None, Resource]]) -> None:
    """Notes the prices that a change puts in force: each resource as it was, None for a new one, and as it will be."""
    rows: list[dict[str, object]] = []
    for before, after in changed:
        new = prices_of(after)
        old = None if before is None else prices_of(before)
        if new is None or (old is not None and old.version == new.version):
            continue
        if old is not None and before is not None and not await _known(connection, before, old.version):
            rows.append(_row(before, old, before.updated_at))
        rows.append(_row(after, new, after.updated_at))
    if rows:
        await connection.execute(insert(price_history), rows)


async def versions(
    connection: AsyncConnection,
    *,
    kind: Kind | None = None,
    name: str | None = None,
    version: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Sequence[Priced]:
    """The prices that were in force, the one that was noted last first; at most `limit`, from the one before `before`.

    A slug or a name that several had one after the other finds all of them.
    """
    query = select(price_history).order_by(price_history.c.seq.desc())
    wanted = {"kind": kind, "name": name, "version": version}
    query = query.where(*(price_history.c[column] == value for column, value in wanted.items() if value is not None))
    if before is not None:
        query = query.where(price_history.c.seq < before)
    rows = (await connection.execute(query.limit(limit))).all()
    return [Priced(row.seq, row.kind, row.subject_id, row.name, row.since, _decode(row.prices)) for row in rows]


async def _known(connection: AsyncConnection, resource: Resource, version: str) -> bool:
    query = select(price_history.c.seq).where(
        price_history.c.subject_id == resource.id, price_history.c.version == version
    )
    return (await connection.execute(query.limit(1))).first() is not None


def _row(resource: Resource, prices: PriceList, since: float) -> dict[str, object]:
    return {
        "kind": resource.kind,
        "subject_id": resource.id,
        "name": resource.name,
        "version": prices.version,
        "since": since,
        "prices": _encode(prices).decode(),
    }
