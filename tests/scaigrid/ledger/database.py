"""A real SQLite ledger for a test."""

from pathlib import Path

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine
from scaigrid.db.models import metadata


def make_tables(path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()


def ledger(path: Path) -> AsyncEngine:
    """An engine on a new ledger with all tables. Made outside of the event loop, as the gateway makes its own."""
    make_tables(path)
    return create_engine(f"sqlite+aiosqlite:///{path}")
