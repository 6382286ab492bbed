"""The port of a ledger that is read: which usage rows, how many, from where on."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from scaigrid.ledger.records import UsageRow


class Position(NamedTuple):
    """A place among the rows: what they are sorted by, newest first."""

    created_at: float
    id: str


class UsageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. None: any. Times are seconds since the epoch; the end is not part of the span."""

    start: float | None = None
    end: float | None = None
    partner_id: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    backend_id: str | None = None
    request_id: str | None = None


class UsageReader(Protocol):
    """Who can look rows up in the ledger."""

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times.

        Raises GatewayError(STORE_UNAVAILABLE) where the ledger cannot be read.
        """
        ...
