"""Whether a file says what stands in the database already, asked in a way that costs next to nothing.

A gateway is started far more often than its file is changed. What was applied last has left its hash, and nobody but
`apply` changes what a file manages: where the hash is the same there is nothing to plan.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

from scaigrid.config.schema import Config
from scaigrid.control.digest import config_hash
from scaigrid.control.resource import Resource
from scaigrid.control.stored import refers
from scaigrid.control.vault import Vault
from scaigrid.db.url import database_url, sqlite_path

_HASH = "SELECT config_hash FROM epoch"


def stands(config: Config, declared: Sequence[Resource], vault: Vault) -> bool:
    """Whether applying would change nothing; False also where only applying can say.

    The database is at the revision that this release knows. A file is asked without the library that asks databases
    everywhere else: importing that takes longer than all the rest of a start.
    """
    if vault.older or any(map(refers, declared)):
        return False
    found = _applied(database_url(config))
    ours = (resource for resource in declared if resource.origin == "config")
    return found is not None and found == config_hash(ours, vault)


def _applied(url: str) -> str | None:
    """The hash of what was applied last; None where it cannot be told so."""
    path = sqlite_path(url)
    if path is None:
        return asyncio.run(_asked(url))
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            row = connection.execute(_HASH).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else row[0]


async def _asked(url: str) -> str | None:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from scaigrid.db.engine import create_engine

    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            found: str | None = await connection.scalar(text(_HASH))
            return found
    except (SQLAlchemyError, OSError):
        return None
    finally:
        await engine.dispose()
