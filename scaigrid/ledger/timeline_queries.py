"""The question to the timelines: what became of one request, among those that the one who asks may see."""

from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.models import request_timelines
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.reading import UsageFilter
from scaigrid.ledger.records import TimelineRow

_COLUMNS = [request_timelines.c[name] for name in TimelineRow.__struct_fields__]
_OWNERS = ("partner_id", "tenant_id", "user_id")


class Timelines:
    """Reads timelines for the control plane."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def timeline(self, request_id: str, reach: UsageFilter) -> TimelineRow | None:
        """The latest request of that id among those of whom `reach` names; None where there is none.

        Another's of the same id is neither found nor counted. Raises GatewayError(STORE_UNAVAILABLE) where the
        database cannot be read.
        """
        owners = {name: getattr(reach, name) for name in _OWNERS}
        query = (
            select(*_COLUMNS)
            .where(
                request_timelines.c.request_id == request_id,
                *(request_timelines.c[name] == id_ for name, id_ in owners.items() if id_ is not None),
            )
            .order_by(request_timelines.c.created_at.desc(), request_timelines.c.id.desc())
            .limit(1)
        )
        try:
            async with self._engine.connect() as connection:
                found: Any = (await connection.execute(query)).one_or_none()
        except (SQLAlchemyError, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, "Timelines cannot be read at the moment.") from error
        return None if found is None else msgspec.convert(("timeline", *found), TimelineRow)
