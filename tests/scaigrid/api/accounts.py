"""A house with callers of every kind and a ledger of their calls, for the tests of accounting."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.config import entities
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import declared_id
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Grouping, Position, Rank, Total, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from tests.scaigrid.api.control_plane import config, declared
from tests.scaigrid.ledger.rows import usage_row

CALLERS = {
    "viewer": ("tenant_viewer", "acme"),
    "user": ("tenant_user", "acme"),
    "admin": ("tenant_admin", "acme"),
    "reseller": ("partner_viewer", "acme"),
    "root": ("super_admin", "acme"),
    "colleague": ("tenant_user", "acme"),
    "sister": ("tenant_user", "other"),
    "stranger": ("tenant_user", "far"),
}
"""Role and tenant; `acme` and `other` are of one partner, `far` is not."""

HOUSE = config(
    partners={"north": entities.Partner(), "south": entities.Partner()},
    tenants={
        "acme": entities.Tenant(partner="north"),
        "other": entities.Tenant(partner="north"),
        "far": entities.Tenant(partner="south"),
    },
    users={name: entities.User(tenant=tenant, roles=(role,)) for name, (role, tenant) in CALLERS.items()}  # type: ignore[arg-type]  # published roles
    | {"nobody": entities.User(tenant="acme", roles=())},
    keys={name: declared(name, name) for name in (*CALLERS, "nobody")},
)
PARTNER_OF = {"acme": "north", "other": "north", "far": "south"}
NOW = 1_800_000_000.0
"""A Friday: 15 January 2027, 08:00 UTC."""


def row(number: int, user: str, **more: Any) -> UsageRow:
    """The attempt of that number, one second older than the one before."""
    tenant = CALLERS[user][1]
    own: dict[str, Any] = {
        "created_at": NOW - number,
        "request_id": f"req_{number}",
        "partner_id": declared_id("partner", PARTNER_OF[tenant]),
        "tenant_id": declared_id("tenant", tenant),
        "user_id": declared_id("user", user),
        "key_id": declared_id("apikey", user),
    }
    return usage_row(number, **{**own, **more})


class Ledger(LedgerReader):
    """The real one, over a database file of its own; it counts how often it is asked."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._store = LedgerStore(engine)
        self.asked = 0

    async def keep(self, *rows: UsageRow) -> None:
        await self._store.insert("writer", rows)

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        self.asked += 1
        return await super().usage_page(wanted, limit=limit, after=after)

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        self.asked += 1
        return await super().totals(wanted, by, limit=limit, after=after)


class Gone(LedgerReader):
    """One that cannot be read, from the second page on where `pages` is 1."""

    def __init__(self, engine: AsyncEngine, pages: int = 0) -> None:
        super().__init__(engine)
        self._pages = pages

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        self._pages -= 1
        if self._pages < 0:
            raise GatewayError(Code.STORE_UNAVAILABLE)
        return await super().usage_page(wanted, limit=limit, after=after)

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        raise GatewayError(Code.STORE_UNAVAILABLE)


EVERYBODYS = [row(number, user) for number, user in enumerate(CALLERS)]
"""One row of each caller, in their order."""
