"""What each kind of resource says of itself, as it is kept in the database. Documents refer to each other by id.

The same Struct is what the API answers from, what the file is compared with and what the snapshot is compiled from. A
field may be added with a default at any time; none is renamed or taken away. A Secret is sealed wherever a document
leaves the process for the database.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, dataclass_transform

import msgspec

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
from scaigrid.config.terms import (
    Amount,
    Cost,
    Deadlines,
    HardAction,
    Limits,
    OnDisconnect,
    OnUnsupported,
    Prices,
    RoleName,
)
from scaigrid.limiter import OnStoreFailure
from scaigrid.roles import Reach
from scaigrid.secrets import Secret
from scaigrid.types import Modality

Period = Literal["daily", "weekly", "monthly", "total"]
Access = Literal["all", "granted"]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every kind has: a name, unique in its scope (`kinds.py`)."""

    name: str


class Partner(Document):
    display_name: str | None = None
    suspended: bool = False
    limits: Limits = Limits()


class Tenant(Document):
    partner_id: str
    display_name: str | None = None
    suspended: bool = False
    limits: Limits = Limits()
    keep_bodies: bool = True


class User(Document):
    tenant_id: str
    display_name: str | None = None
    email: str | None = None
    external_id: str | None = None
    roles: tuple[RoleName, ...] = ("tenant_user",)
    custom_role_ids: tuple[str, ...] = ()
    module_permissions: tuple[str, ...] = ()
    disabled: bool = False
    limits: Limits = Limits()


class Group(Document):
    tenant_id: str
    display_name: str | None = None
    description: str | None = None
    external_name: str | None = None
    user_ids: tuple[str, ...] = ()


class CustomRole(Document):
    """`name` is its slug."""

    tenant_id: str
    display_name: str | None = None
    description: str | None = None
    core_permissions: tuple[str, ...] = ()
    module_permissions: tuple[str, ...] = ()


class RoleMapping(Document):
    group_id: str
    role: RoleName | None = None
    custom_role_id: str | None = None
    auto_revoke: bool = True


class Amounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sizes and the period of a hard budget."""

    period: Period
    timezone: str = "UTC"
    cost_limit: Amount | None = None
    token_limit: int | None = None
    request_limit: int | None = None
    hard_action: HardAction = "block"
    soft_limit_pct: Decimal | None = Decimal("0.8")
    throttle_per_minute: int = 1
    on_store_failure: OnStoreFailure = "deny"

    @property
    def needs_bounds(self) -> bool:
        """It can be kept only where every answer has a bound."""
        return self.hard_action != "notify" and (self.cost_limit is not None or self.token_limit is not None)


class ApiKey(Document):
    user_id: str
    sha256: str
    prefix: str | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    limits: Limits = Limits()
    budget: Amounts | None = None
    revoked: bool = False
    previous_sha256: str | None = None
    previous_until: datetime | None = None
    reach: Reach | None = None
    """Roles of its user that reach farther do not count with it: somebody who reached no farther has made it, and may
    know it, whatever its user becomes."""


class Provider(Document):
    type: str
    base_url: str | None = None
    api_key: Secret | None = None
    credentials: dict[str, Secret] = {}
    headers: dict[str, Secret] = {}
    options: dict[str, Any] = {}


class Backend(Document):
    provider_id: str
    model: str
    display_name: str | None = None
    api_key: Secret | None = None
    cost: Cost = Cost()
    lacks: tuple[Capability, ...] = ()
    context_window: int | None = None
    concurrency: int | None = None
    queue: int = 0
    queue_seconds: float = 5.0
    deadlines: BackendDeadlines = BackendDeadlines()
    breaker: Breaker = Breaker()
    granted_to: tuple[str, ...] = ()
    """Ids of partners and tenants."""


class Model(Document):
    """`name` is its slug."""

    modality: Modality = Modality.CHAT
    display_name: str | None = None
    description: str | None = None
    status: Literal["active", "deprecated", "disabled"] = "active"
    access: Access = "all"
    context_window: int | None = None
    max_output_tokens: int | None = None
    max_image_tokens: int | None = None
    limits: Limits = Limits()
    prices: Prices | None = None
    unpriced: Literal["refuse", "free"] | None = None
    default_params: dict[str, Any] = {}
    system_prompt: str | None = None
    on_unsupported: OnUnsupported = "refuse"
    on_disconnect: OnDisconnect = "cancel"
    metadata: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One backend of a route."""

    backend_id: str
    weight: int = 1
    priority: int = 0
    when: When | None = None


class Route(Document):
    """One for each model; `name` is the model's id, for there is no second one."""

    model_id: str
    targets: tuple[Target, ...]
    strategy: Strategy = "weighted"
    sticky_by: StickyBy = "user"
    max_attempts: int = 3
    attempts_per_backend: int = 1
    failover_on: tuple[FailureClass, ...] = FAILURES
    when_unhealthy: Literal["try", "refuse"] = "try"
    deadlines: Deadlines = Deadlines()
    hedge: Hedge | None = None
    fallbacks: Fallbacks = Fallbacks()
    """By slug, as callers name models: an address, whichever model has it at the time of a call."""


class ModelGroup(Document):
    scope: Literal["global", "partner", "tenant"] = "global"
    scope_id: str | None = None
    description: str | None = None
    model_ids: tuple[str, ...] = ()


class ModelAccess(Document):
    subject_type: Literal["partner", "tenant", "group", "user"]
    subject_id: str
    model_id: str | None = None
    model_group_id: str | None = None


class Budget(Document):
    scope: Literal["partner", "tenant", "user", "group", "key", "model"]
    scope_id: str
    period: Period
    timezone: str = "UTC"
    cost_limit: Amount | None = None
    token_limit: int | None = None
    request_limit: int | None = None
    hard_action: HardAction = "block"
    soft_limit_pct: Decimal | None = Decimal("0.8")
    throttle_per_minute: int = 1
    on_store_failure: OnStoreFailure = "deny"

    @property
    def needs_bounds(self) -> bool:
        """It can be kept only where every answer has a bound."""
        return self.hard_action != "notify" and (self.cost_limit is not None or self.token_limit is not None)
