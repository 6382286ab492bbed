r"""The audit log's hash chains: a row that was changed, removed or put in between later is found.

Each writer has its own chain, so that workers do not wait for each other. Its rows are numbered from 1, and

    hash(n) = SHA-256( hash(n - 1) + canonical(n) ),   hash(0) = 32 zero bytes

where canonical(n) is one JSON array (RFC 8259) in UTF-8 without spaces: the writer, n, and then every field of the row
in the order of `AuditRow`. Absent values are `null`. `before` and `after` are strings that hold their JSON text.
`timestamp` is the shortest decimal that gives the same double (`1767225600.0`). In strings only `"`, `\` and the
control characters below U+0020 are escaped (`\n`, `\r`, `\t`, `\b`, `\f`, else `\u00xx`).

A chain proves nothing about rows after its last one: whoever keeps a copy of the newest hash elsewhere can tell.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.db.models import audit
from scaigrid.ledger.records import AuditRow

FIELDS = AuditRow.__struct_fields__
_PAGE = 200

_encode = msgspec.json.Encoder().encode


class Checkpoint(msgspec.Struct, frozen=True):
    """A place in a chain: the number and the hash of its row."""

    seq: int
    hash: bytes


START = Checkpoint(0, bytes(32))


def link(writer_id: str, fields: Sequence[Any], after: Checkpoint) -> Checkpoint:
    """The checkpoint of the row with these values of `FIELDS` that follows `after`."""
    seq = after.seq + 1
    return Checkpoint(seq, hashlib.sha256(after.hash + _encode((writer_id, seq, *fields))).digest())


class Piece(NamedTuple):
    """A piece of a chain that was walked."""

    last: Checkpoint
    """Of the last row that is in order."""
    first_bad: int | None
    """The number that is missing, or whose row is not as it was written."""
    more: bool
    """There may be rows behind it."""


async def follow(connection: AsyncConnection, writer_id: str, since: Checkpoint) -> Piece:
    """Some of the rows that follow a checkpoint of a writer's chain; so few that the event loop is held for no time."""
    columns = [audit.c[name] for name in (*FIELDS, "seq", "prev_hash", "hash")]
    query = select(*columns).where(audit.c.writer == writer_id, audit.c.seq > since.seq).order_by(audit.c.seq)
    rows = (await connection.execute(query.limit(_PAGE))).all()
    here = since
    for row in rows:
        values = tuple(row)
        there = link(writer_id, values[:-3], here)
        if values[-3:] != (there.seq, here.hash, there.hash):
            return Piece(here, there.seq, more=False)
        here = there
    return Piece(here, None, more=len(rows) == _PAGE)


async def verify(connection: AsyncConnection, writer_id: str, *, since: Checkpoint = START) -> int | None:
    """The first number of a writer's chain that is missing or is not as it was written; None where all are.

    `since` is a checkpoint that is known to be good, for chains whose beginning is no longer kept.
    """
    piece = await follow(connection, writer_id, since)
    while piece.more:
        piece = await follow(connection, writer_id, piece.last)
    return piece.first_bad
