"""Keeps the sums of the ledger right where rows that they hold come to cost something else."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.rollups import Rollups
from scaigrid.ledger.tag_bounds import TagBounds


async def recost(connection: AsyncConnection, changes: Iterable[tuple[UsageRow, int, int]]) -> None:
    """Takes over new costs, in the transaction that writes them: rows as they were, with the new cost and backend cost.

    Raises what SQLAlchemy and its driver raise.
    """
    rollups = Rollups(TagBounds())
    for row, cost, backend_cost in changes:
        rollups.change(row, cost - row.cost if row.serving else 0, backend_cost - row.backend_cost)
    await rollups.write(connection)
