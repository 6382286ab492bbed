"""Encrypts anew what an older key has encrypted, so that the key can be taken out of the configuration.

Nothing that anybody reads changes by it: no epoch, no revision, no time.
"""

from collections.abc import Callable
from typing import ParamSpec

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.control.codec import Codec
from scaigrid.control.vault import CannotOpen, Vault
from scaigrid.db.models import applied, resources

P = ParamSpec("P")


async def reseal(connection: AsyncConnection, vault: Vault, codec: Codec) -> int:
    """How many rows were written: resources, and entries of the history. Raises CannotOpen for what no key opens."""
    if not vault.older:
        return 0
    current = Codec(vault.first())
    return await _documents(connection, current, codec) + await _history(connection, current, codec)


async def _documents(connection: AsyncConnection, current: Codec, codec: Codec) -> int:
    count = 0
    columns = resources.c.id, resources.c.kind, resources.c.document
    for row in (await connection.execute(select(*columns).where(~resources.c.deleted))).all():
        if not _opens(current.decode, row.kind, row.document):
            document = codec.encode(codec.decode(row.kind, row.document)).decode()
            await connection.execute(update(resources).where(resources.c.id == row.id).values(document=document))
            count += 1
    return count


async def _history(connection: AsyncConnection, current: Codec, codec: Codec) -> int:
    count = 0
    for seq in (await connection.scalars(select(applied.c.seq))).all():
        # One at a time: each holds everything that was declared.
        text = await connection.scalar(select(applied.c.resources).where(applied.c.seq == seq))
        if text is not None and not _opens(current.decode_all, text):
            anew = codec.encode_all(codec.decode_all(text)).decode()
            await connection.execute(update(applied).where(applied.c.seq == seq).values(resources=anew))
            count += 1
    return count


def _opens(decode: Callable[P, object], *text: P.args, **more: P.kwargs) -> bool:
    try:
        decode(*text, **more)
    except CannotOpen:
        return False
    return True
