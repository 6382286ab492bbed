"""The port of a ledger that is read: which usage rows, how many, from where on, and what they add up to."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from scaigrid.ledger.records import Outcome, UsageRow, UsageSource

Grouping = Literal["model", "user", "backend", "tenant", "partner", "key", "group", "tag", "day"]
"""What is told apart in sums. A row counts for each of its groups and each of its tags; days are those of UTC."""


class Position(NamedTuple):
    """A place among the rows: what they are sorted by, newest first."""

    created_at: float
    id: str


class Tag(NamedTuple):
    """A tag of that name; of that value, where there is one."""

    name: str
    value: str | None = None


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
    tag: Tag | None = None
    outcome: Outcome | None = None
    usage_source: UsageSource | None = None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What rows of one kind add up to. Money is in nano-units.

    What providers charged is of all attempts, everything else of those that served.
    """

    key: str
    """Of what: a slug, an id ('' for no key), `name:value` of a tag, `2026-01-31`."""
    requests: int
    tokens_in: int
    tokens_out: int
    tokens: int
    cost: int
    backend_cost: int


class Rank(NamedTuple):
    """A place among totals: the dearest first, and of two as dear the one whose key comes first."""

    cost: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    """In nano-units, as a database can compare it."""
    key: str


class UsageReader(Protocol):
    """Who can look rows up in the ledger."""

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times.

        Raises GatewayError(STORE_UNAVAILABLE) where the ledger cannot be read.
        """
        ...

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        """What the rows add up to, by something of theirs: at most `limit`, from the one that follows `after`.

        The dearest first. Raises GatewayError(STORE_UNAVAILABLE) where the ledger cannot be read.
        """
        ...
