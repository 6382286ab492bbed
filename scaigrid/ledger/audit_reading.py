"""The port of an audit log that is read: which rows, from where on; and whether a writer's chain holds."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from scaigrid.ledger.reading import Position
from scaigrid.ledger.records import AuditRow


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. None: any. Times are seconds since the epoch; the end is not part of the span."""

    start: float | None = None
    end: float | None = None
    action: str | None = None
    actor_id: str | None = None
    actor_email: str | None = None
    actor_type: str | None = None
    tenant_id: str | None = None
    partner_id: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    status: Literal["SUCCESS", "FAILURE"] | None = None
    request_id: str | None = None
    ip_address: str | None = None


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one writer's chain."""

    writer: str
    first_bad: int | None
    """The first number that is missing, or whose row is not as it was written; None where all are in order."""
    last: int
    """The number of the last row that is in order; 0 for none."""
    hash: bytes
    """Of that row: what follows is hashed onto it."""


class AuditReader(Protocol):
    """Who can look rows up in the audit log. Raises GatewayError(STORE_UNAVAILABLE) where it cannot be read."""

    async def audit_page(self, wanted: AuditFilter, *, limit: int, after: Position | None) -> Sequence[AuditRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times."""
        ...

    async def writers(self, *, limit: int, after: str | None) -> Sequence[str]:
        """At most `limit` of those who have written to the log, by name, from the one that follows `after`."""
        ...

    async def verified(self, writer: str) -> ChainState:
        """A writer's chain, walked from its beginning to its end. As long as it may be, nobody waits for it."""
        ...
