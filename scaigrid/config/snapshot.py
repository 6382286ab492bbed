"""The frozen object graph that requests read: everything that can be worked out before a request, worked out.

A request takes the reference once; a new configuration is compiled whole and swapped whole.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from scaigrid.adapter import Adapter, Signer, Target
from scaigrid.config.routing import (
    FAILURES,
    BackendDeadlines,
    Breaker,
    Capability,
    FailureClass,
    Fallbacks,
    Hedge,
    StickyBy,
    Strategy,
    When,
)
from scaigrid.config.terms import HardAction
from scaigrid.errors import Level
from scaigrid.identity import Claims
from scaigrid.limiter import Bucket, Kind, OnStoreFailure, Take
from scaigrid.periods import Period, bounds
from scaigrid.pricing import PriceList
from scaigrid.roles import Reach
from scaigrid.types import Modality

_ENDLESS = 10**24 - 1
"""The most that a store counts: the limit of a fund that refuses nothing."""


class Fund(msgspec.Struct, eq=False, kw_only=True):
    """One amount of one budget: a bucket that is another one in each period."""

    id: str
    name: str
    level: Level
    subject: str
    """The id of the partner, tenant, user, group or key, or the slug of the model, whose calls count."""
    kind: Kind
    limit: int
    period: Period
    zone: ZoneInfo
    action: HardAction = "block"
    soft: Fraction | None = None
    """The part of the limit at which a warning is due."""
    throttle: int = 1
    """Where `action` is throttle: requests a minute, once the limit is reached."""
    on_store_failure: OnStoreFailure = "deny"
    tenant_id: str | None = None
    """The tenant that the subject belongs to; None for what stands above tenants."""
    partner_id: str | None = None
    """Likewise the partner."""
    _since: float = 0.0
    _until: float = 0.0
    _bucket: Bucket | None = None

    @property
    def bounds(self) -> bool:
        """Whether it can be kept only where the most that a call can use is known ahead."""
        return self.kind != "requests" and self.action != "notify"

    @property
    def series(self) -> str:
        """What the keys of its buckets begin with, whatever the period: unique in the deployment."""
        return f"budget:{self.id}:{self.kind}"

    def at(self, now: float) -> Bucket:
        """The bucket of the period around `now` (seconds since the epoch). That of `notify` refuses nothing, ever."""
        bucket = self._bucket
        if bucket is None or not self._since <= now < self._until:
            self._since, self._until = bounds(self.period, self.zone, now)
            bucket = self._bucket = Bucket(
                key=f"{self.series}:{int(self._since)}",
                level=self.level,
                kind=self.kind,
                limit=_ENDLESS if self.action == "notify" else self.limit,
                fund=True,
                name=self.name,
                until=self._until,
                on_store_failure="allow" if self.action == "notify" else self.on_store_failure,
            )
        return bucket

    @property
    def window(self) -> Bucket:
        """Of `throttle`: what yet passes in a minute, the same for all the limits of a budget."""
        return Bucket(
            key=f"throttle:{self.id}",
            level=self.level,
            kind="requests",
            limit=self.throttle,
            name=self.name,
            on_store_failure=self.on_store_failure,
        )


def opened(bucket: Bucket) -> Bucket:
    """The same fund, refusing nothing."""
    return msgspec.structs.replace(bucket, limit=_ENDLESS)


class Party(msgspec.Struct, frozen=True):
    """A partner, tenant, user or key as the outside sees it."""

    id: str
    name: str
    display_name: str


class Principal(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Who calls: partner, tenant and user always, and the key where one was used."""

    partner: Party
    tenant: Party
    user: Party
    key: Party | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    """What its roles and grants allow, whatever the key carries of it."""
    scopes: frozenset[str] | None = None
    """The only permissions that the key carries; None for all."""
    reach: Reach = "tenant"
    """How far its permissions go: everything, its partner's tenants, or its own tenant."""
    suspended: bool = False
    expires_at: float | None = None
    """Seconds since the epoch."""
    models: frozenset[str] | None = None
    """The only models that the key may use; None for all."""
    subjects: frozenset[str] = frozenset()
    """Whom grants to it can name: the ids of its user, tenant, partner and groups."""
    hidden: frozenset[str] = frozenset()
    """Models that it may not see: another's own, or such as are granted and were not granted to it."""
    addresses: tuple[IPv4Network | IPv6Network, ...] | None = None
    """The only networks that the key may be used from; None for all."""
    windows: tuple[Take, ...] = ()
    """One request of each limit on requests and on calls at the same time, narrowest level first: key, user, tenant,
    partner."""
    token_windows: tuple[Bucket, ...] = ()
    """Limits on tokens, of the same levels."""
    funds: tuple[Fund, ...] = ()
    """Budgets of the same levels, and of the user's groups."""
    groups: tuple[str, ...] = ()
    """Ids of the groups that the user is in."""
    keeps_bodies: bool = True
    """Its tenant allows answers to be kept, for those who repeat a call."""

    def may(self, permission: str) -> bool:
        """Whether it has the permission, and its key carries it."""
        return permission in self.permissions and (self.scopes is None or permission in self.scopes)

    def may_use(self, slug: str) -> bool:
        """Whether it sees the model and its key is for it: who may not takes no room from those who may."""
        return slug not in self.hidden and (self.models is None or slug in self.models)


class Backend(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One deployment, ready to be called."""

    id: str
    name: str
    provider: str
    adapter: Adapter
    target: Target
    cost: PriceList
    signer: Signer | None = None
    """What signs its calls; None where the headers of `target` are enough."""
    lacks: frozenset[Capability] = frozenset()
    """What the deployment cannot, of what its adapter can."""
    context_window: int | None = None
    """Tokens of input and output together; None where nobody has said it."""
    concurrency: int | None = None
    """Calls at the same time of one worker; None for any number."""
    queue: int = 0
    """How many more of them wait for a turn."""
    queue_seconds: float = 5.0
    deadlines: BackendDeadlines = BackendDeadlines()
    """Where they differ from the route's."""
    breaker: Breaker = Breaker()
    credentials: tuple[bytes, ...] = ()
    """What it is called with, and what no answer of its may hold: nobody else is to have it."""


class Candidate(msgspec.Struct, frozen=True, eq=False):
    """A backend on a route, with its share in its tier and the requests that it is for; None for all."""

    backend: Backend
    weight: int
    when: When | None = None


class Route(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Tiers in the order in which they are tried, and the patience of one request."""

    tiers: tuple[tuple[Candidate, ...], ...]
    max_attempts: int
    connect: float
    first_byte: float
    idle: float
    total: float
    strategy: Strategy = "weighted"
    sticky_by: StickyBy = "user"
    attempts_per_backend: int = 1
    failover_on: frozenset[FailureClass] = frozenset(FAILURES)
    when_unhealthy: Literal["try", "refuse"] = "try"
    hedge: Hedge | None = None
    fallbacks: Fallbacks | None = None
    """Slugs of other models; None where there are none."""
    asks_facts: bool = False
    """Whether any of its candidates is left out by what a request is: only then is it looked at."""


class Model(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A frontend model."""

    id: str
    slug: str
    display_name: str
    description: str | None
    modality: Modality
    status: str
    context_window: int | None
    max_output_tokens: int | None
    price: PriceList | None
    """None: unpriced, and to be refused."""
    bounded: bool
    """A cost or token budget exists that could apply, so that every call needs an output bound."""
    defaults: Mapping[str, msgspec.Raw]
    system_prompt: str | None
    metadata: Mapping[str, str]
    route: Route
    funds: tuple[Fund, ...]
    backend_count: int
    windows: tuple[Take, ...] = ()
    """As a principal's: the limits of the model itself."""
    token_windows: tuple[Bucket, ...] = ()
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    """A client that leaves: the provider's answer is cut off, or read to its end for the sake of its usage."""
    max_image_tokens: int | None = None
    """The most tokens that one image of a request counts as; None where nobody has said it."""
    drops_unsupported: bool = False
    """Fields that a backend has no word for are left out and named in a header, instead of refused."""


class Snapshot(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One whole configuration. `keys` is by SHA-256 of the key."""

    epoch: int
    """Of the deployment: how many changes it knows."""
    keys: Mapping[bytes, Principal]
    sign_in: Callable[[Claims], Principal]
    """Who a verified token speaks for. Raises GatewayError for those who are not let in."""
    models: Mapping[str, Model]
    backends: tuple[Backend, ...]
    funds: tuple[Fund, ...]
    anonymous: Principal
    """The implicit partner, tenant and user, without a key: what a link sees that stands alone, without tenancy."""
    secrets: tuple[str, ...]
    """Values that must never appear in a text that leaves the process."""


class Current:
    """Holds the snapshot that is in force."""

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
