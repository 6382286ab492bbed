"""`GET /v1/requests/{request_id}`: what became of one request, step by step, as far as the caller's permissions reach.

It is told from the timeline that was kept when the request ended. Where there is none (its worker was killed, it is
still under way, nobody keeps timelines, or it is too old), the usage rows tell what the ledger knows of its attempts.
"""

import msgspec
import structlog
from litestar import route
from litestar.params import FromPath
from structlog.typing import FilteringBoundLogger

from scaigrid.api.crud import Asked
from scaigrid.api.envelope import enveloped
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.request_timeline import RequestTimeline, Telling
from scaigrid.api.usage_selection import READING, confined, reach_of
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Current, Principal
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.reading import UsageFilter, UsageReader
from scaigrid.ledger.records import TimelineRow, UsageRow
from scaigrid.ledger.timeline_reading import TimelineReader
from scaigrid.timeline import Timeline, read

PATH = "/v1/requests"
_MOST_ATTEMPTS = 64
_LONGEST_ID = 128

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Requests:
    """Finds requests that are over."""

    def __init__(self, timelines: TimelineReader, reader: UsageReader, current: Current, config: Config) -> None:
        self._timelines = timelines
        self._reader = reader
        self._current = current
        self._config = config

    async def told(self, request_id: str, principal: Principal) -> RequestTimeline:
        """The latest request of that id, for an id may come twice, among those that the caller may see.

        Raises NOT_FOUND where there is none, STORE_UNAVAILABLE where nobody can look.
        """
        if len(request_id) > _LONGEST_ID:
            raise _missing()
        telling = Telling(principal, self._config, self._current.snapshot)
        reach = reach_of(principal)
        row = await self._timelines.timeline(request_id, reach)
        rows = await self._rows(request_id, reach)
        if row is not None and (not rows or rows[0].created_at <= row.created_at):
            kept = _readable(row)
            if kept is not None:
                return telling.whole(row, kept)
        if not rows:
            raise _missing()
        return telling.of_usage(rows)

    async def _rows(self, request_id: str, reach: UsageFilter) -> list[UsageRow]:
        """The rows of the latest request of that id, its first attempt first."""
        wanted = confined(UsageFilter(request_id=request_id), reach)
        if wanted is None:
            return []
        found = await self._reader.usage_page(wanted, limit=_MOST_ATTEMPTS, after=None)
        latest = [row for row in found if _same(row, found[0])]
        return sorted(latest, key=lambda row: (row.attempt, row.id))


@route(f"{PATH}/{{request_id:str}}", http_method=READ, guards=[READING])
async def request_timeline(
    request: Asked, request_id: FromPath[str], requests: Provided[Requests]
) -> Envelope[RequestTimeline]:
    read_query(request, NoQuery)
    exchange = exchange_in(request)
    return enveloped(exchange, await requests.told(request_id, exchange.principal))


def _readable(row: TimelineRow) -> Timeline | None:
    """None for what a later version has written in words that this one does not know."""
    try:
        return read(row)
    except msgspec.DecodeError as error:
        _log.warning("timeline_unreadable", timeline=row.id, error=str(error))
        return None


def _same(row: UsageRow, other: UsageRow) -> bool:
    """Whether two rows of one request id are of one request."""
    return (row.created_at, row.tenant_id, row.user_id, row.key_id) == (
        other.created_at,
        other.tenant_id,
        other.user_id,
        other.key_id,
    )


def _missing() -> GatewayError:
    return GatewayError(Code.NOT_FOUND, "There is no such request.")
