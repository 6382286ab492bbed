"""The configurations that were applied: what each changed, and all that it declared, to go back to."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.control.codec import Codec
from scaigrid.control.plan import Plan
from scaigrid.control.resource import Resource
from scaigrid.db.models import applied

KEPT = 50
"""Entries; the oldest goes when another comes, for each holds everything that was declared."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration that was applied, without what it declared. `applied_at` is in seconds since the epoch."""

    seq: int
    applied_at: float
    epoch: int
    config_hash: str
    source: str
    actor: str
    plan: Plan


async def write(connection: AsyncConnection, entry: Entry, resources: bytes) -> int:
    """Adds an entry behind the last one; answers its `seq`. `resources` is what Codec.encode_all made."""
    seq = await last(connection) + 1
    row = {name: getattr(entry, name) for name in entry.__struct_fields__}
    text = {"plan": msgspec.json.encode(entry.plan).decode(), "resources": resources.decode()}
    await connection.execute(insert(applied), [{**row, "seq": seq, **text}])
    await connection.execute(delete(applied).where(applied.c.seq <= seq - KEPT))
    return seq


async def last(connection: AsyncConnection) -> int:
    """The `seq` of the latest entry, 0 where there is none."""
    return int(await connection.scalar(select(func.max(applied.c.seq))) or 0)


async def entries(connection: AsyncConnection, most: int = KEPT) -> Sequence[Entry]:
    """The latest entries, latest first."""
    columns = [applied.c[name] for name in Entry.__struct_fields__]
    rows = await connection.execute(select(*columns).order_by(applied.c.seq.desc()).limit(most))
    return [
        Entry(**{**row, "plan": msgspec.json.decode(row["plan"], type=Plan)})  # pyright: ignore[reportArgumentType] - rows
        for row in rows.mappings()
    ]


async def declared_by(connection: AsyncConnection, seq: int, codec: Codec) -> Sequence[Resource] | None:
    """What an entry declared; None where there is no such entry. Raises vault.CannotOpen."""
    text = await connection.scalar(select(applied.c.resources).where(applied.c.seq == seq))
    return None if text is None else codec.decode_all(text)
