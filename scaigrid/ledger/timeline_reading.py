"""The port of timelines that are read: what became of one request."""

from typing import Protocol

from scaigrid.ledger.reading import UsageFilter
from scaigrid.ledger.records import TimelineRow


class TimelineReader(Protocol):
    """Who can look timelines up."""

    async def timeline(self, request_id: str, reach: UsageFilter) -> TimelineRow | None:
        """The latest request of that id among those of whom `reach` names; None where there is none.

        Of `reach`, the partner, the tenant and the user count. Raises GatewayError(STORE_UNAVAILABLE) where they cannot
        be read.
        """
        ...
