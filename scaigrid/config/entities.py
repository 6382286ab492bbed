"""What the file declares by name: each entry is one resource of the control plane, managed by the file alone.

The key of an entry is its handle: other entries refer to it by that, and it is the name of the resource unless `name`
says otherwise.
"""

from datetime import datetime
from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Any, Literal

import msgspec

from scaigrid.config.decode import Invalid
from scaigrid.config.key_budget import KeyBudget, sized
from scaigrid.config.routing import BackendDeadlines, Breaker, Capability, Route, TokenCount, room_faults
from scaigrid.config.strict import Strict
from scaigrid.config.terms import (
    KEY_PATTERN,
    Amount,
    Cost,
    HardAction,
    Limits,
    Name,
    OnDisconnect,
    OnUnsupported,
    PerMinute,
    Prices,
    RoleName,
    Seconds,
    Share,
    Slug,
)
from scaigrid.limiter import OnStoreFailure
from scaigrid.secrets import Secret
from scaigrid.types import Modality

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Permission = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+(?::[a-z0-9_-]+){1,3}(?!\n)$")]
ModulePermission = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+(?::[a-z0-9_-]+){2,3}(?!\n)$")]
"""`{module}:resource:action`: more parts than any permission of the core, so that neither is taken for the other."""
Origin = Literal["config", "api"]


class Entry(Strict):
    """What every entry may say of itself."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+_[0-9a-f]{32}(?!\n)$")] | None = None
    """The id of the resource. Left out: made from the handle. Written by `scaigrid export`; naming the id of a resource
    that the API made puts it under the file's management."""
    name: Label | None = None
    """Its name, where the handle is not it."""
    origin: Origin = "config"
    """`config`: the file manages it, and the API may only read it. `api`: the file only knows of it, so that other
    entries can refer to it: it is made where the database has never had anything, and from then on it is the API's."""


class Partner(Entry, kw_only=True):
    """A reseller, or the whole installation where nobody resells."""

    display_name: str | None = None
    """For people; the name of the entry where left out."""
    suspended: bool = False
    """Refuse every call of its tenants with TENANT_SUSPENDED."""
    limits: Limits = Limits()
    """Limits over all of its tenants."""


class Tenant(Entry, kw_only=True):
    """A customer of a partner; users belong to one."""

    partner: Name = "default"
    """The partner that it belongs to."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    suspended: bool = False
    """Refuse every call of its users with TENANT_SUSPENDED."""
    limits: Limits = Limits()
    """Limits over all of its users."""
    keep_bodies: bool = True
    """Keep the answers of calls that were made with an `Idempotency-Key`, so that a repeat gets the same one for free
    (`chain.idempotency`). `false`: nothing that a model said is ever stored, and the header means nothing."""


class User(Entry, kw_only=True):
    """A person or a service that holds keys."""

    tenant: Name = "default"
    """The tenant that it belongs to."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    email: str | None = None
    """Shown in the audit log."""
    external_id: str | None = None
    """Who it is at an identity provider: `issuer|subject`."""
    roles: tuple[RoleName, ...] = ("tenant_user",)
    """Published roles; permissions add up."""
    custom_roles: tuple[Name, ...] = ()
    """Roles of its tenant, from `roles`."""
    module_permissions: tuple[ModulePermission, ...] = ()
    """Permissions of modules, besides those of its roles (`{module}:resource:action`)."""
    disabled: bool = False
    """Refuse its keys and tokens."""
    limits: Limits = Limits()
    """Limits over all of its keys."""


class Group(Entry, kw_only=True):
    """Users of one tenant who get roles and models together."""

    tenant: Name = "default"
    """The tenant that it belongs to."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    description: str | None = None
    """For people."""
    external_name: str | None = None
    """Its name in the groups claim of an identity provider: who signs in with it is a member."""
    users: tuple[Name, ...] = ()
    """Its members."""


class CustomRole(Entry, kw_only=True):
    """A role of one tenant, on top of the published ones."""

    tenant: Name = "default"
    """The tenant that it belongs to."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    description: str | None = None
    """For people."""
    core_permissions: tuple[Permission, ...] = ()
    """Permissions of the core; none that a tenant's administrator lacks."""
    module_permissions: tuple[ModulePermission, ...] = ()
    """Permissions of modules (`{module}:resource:action`)."""


class RoleMapping(Entry, kw_only=True):
    """Gives the members of a group a role."""

    group: Name
    """The group."""
    role: RoleName | None = None
    """A published role."""
    custom_role: Name | None = None
    """Instead of `role`: one of `roles`."""
    auto_revoke: bool = True
    """Take the role away from who leaves the group. `false`: members taken out over the API keep it."""

    def __post_init__(self) -> None:
        if (self.role is None) == (self.custom_role is None):
            raise ValueError("give exactly one of `role` and `custom_role`")


class Key(Entry, kw_only=True):
    """An API key. Only its SHA-256 is kept; give it by `key` (from the environment or a file) or `sha256`."""

    user: Name
    """The user that it belongs to."""
    key: Secret | None = None
    """The key itself, `sgk_` and at least 32 characters: `${NAME}` or `file:path`, so that it is not in this file."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")] | None = None
    """Its SHA-256 in hexadecimal, where the key is known to its user alone."""
    prefix: str | None = None
    """The first characters of the key, by which people tell keys apart; known by itself where `key` is given."""
    expires_at: datetime | None = None
    """Refused with SESSION_EXPIRED from then on. ISO 8601 with an offset."""
    scopes: tuple[Permission, ...] | None = None
    """The only permissions of its user that it carries. Left out: all of them."""
    models: tuple[str, ...] | None = None
    """The only frontend models that it may use. Left out: all that its user may use."""
    addresses: tuple[str, ...] | None = None
    """The only addresses that it may be used from, single ones or networks (`10.0.0.0/8`)."""
    limits: Limits = Limits()
    """Limits of this key."""
    budget: KeyBudget | None = None
    """A hard budget of this key."""
    revoked: bool = False
    """Refuse it with AUTH_TOKEN_INVALID, and keep it for the record."""
    previous_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")] | None = None
    """The key that this one replaces, while both are good."""
    previous_until: datetime | None = None
    """Until when."""
    reach: Literal["platform", "partner", "tenant"] | None = None
    """Roles of its user that reach farther do not count with it. Written by `scaigrid export` for keys that somebody
    has made over the API for another user."""

    def __post_init__(self) -> None:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("give the key by exactly one of `key` and `sha256`")
        if self.key is not None and not KEY_PATTERN.match(self.key.reveal()):
            raise ValueError("`key` must be `sgk_` followed by at least 32 letters, digits, `_` or `-`")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("`expires_at` needs an offset from UTC, for example 2027-01-31T00:00:00Z")
        if self.previous_until is not None and self.previous_until.tzinfo is None:
            raise ValueError("`previous_until` needs an offset from UTC, for example 2027-01-31T00:00:00Z")
        if (self.previous_sha256 is None) != (self.previous_until is None):
            raise ValueError("`previous_sha256` and `previous_until` go together")
        networks(self.addresses)


class Budget(Entry, kw_only=True):
    """A hard budget: nothing is sent to a provider once it could be overrun, not by one nano-unit."""

    scope: Literal["partner", "tenant", "user", "group", "key", "model"]
    """Whose calls count; of a group, those of all who are in it when they call. Several budgets on one call all
    apply."""
    of: str
    """The handle of that partner, tenant, user, group, key or model."""
    period: Literal["daily", "weekly", "monthly", "total"]
    """When it starts anew, at midnight of `timezone`: each day, Monday, first of the month, or never."""
    timezone: str = "UTC"
    """IANA name of the time zone in which the period begins (`Europe/Amsterdam`)."""
    cost_limit: Amount | None = None
    """The most that may be spent in a period, in the currency of the prices."""
    token_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """The most tokens, input and output together."""
    request_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """The most requests."""
    hard_action: HardAction = "block"
    """What becomes of a call that could go beyond a limit: `block` refuses it before it is sent, `throttle` lets
    `throttle_per_minute` such calls pass, `notify` lets all of them pass. Either way it is counted, and told once a
    period when the limit is reached."""
    soft_limit_pct: Share | None = Decimal("0.8")
    """The part of a limit at which a warning is told, once a period. `null`: none."""
    throttle_per_minute: PerMinute = 1
    """With `throttle` alone: calls in any rolling minute once the limit is reached."""
    on_store_failure: OnStoreFailure = "deny"
    """What becomes of calls while the store of the counters cannot be reached: `deny` refuses them with
    STORE_UNAVAILABLE, `allow` lets them pass this budget, as `notify` does in any case, `allow_bounded` lets each
    worker go on by itself with a share of what was left. What passed counts when the store is back."""

    def __post_init__(self) -> None:
        sized(self.cost_limit, self.token_limit, self.request_limit, self.timezone)


class Provider(Entry, kw_only=True):
    """A type of provider and the connection that its backends share. None exists until it is declared."""

    type: str
    """The protocol: `openai`, `azure`, `anthropic`, `google`, `bedrock` and others (docs/reference/providers.md has
    all of them), `custom` (any endpoint that speaks the OpenAI protocol), or `simulator` (built in, for trials; says so
    in every answer)."""
    base_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#@]+(?!\n)$")] | None = None
    """Address of its API, path included (`https://api.openai.com/v1`). Left out: the provider's public one."""
    api_key: Secret | None = None
    """Its credential: `${NAME}` or `file:path`. `stored:` and a fingerprint, as `scaigrid export` writes it, keeps the
    one that the database has."""
    credentials: dict[str, Secret] = {}
    """Instead of `api_key`, where calls have to be signed or a token has to be got for them: by name, each as `api_key`
    is given. Which ones there are, by type: docs/reference/providers.md."""
    headers: dict[str, Secret] = {}
    """Headers to send besides its own (an organisation or a project, for example). Kept as credentials are."""
    options: dict[str, Any] = {}
    """What else this type of provider can be told, such as a region. Which options there are, by type:
    docs/reference/providers.md."""


class Backend(Entry, kw_only=True):
    """One deployment of one model at one provider."""

    provider: Name
    """The provider that it is reached through."""
    model: str
    """The provider's own name of the model."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    api_key: Secret | None = None
    """A credential of this backend alone, instead of its provider's."""
    cost: Cost = Cost()
    """What the provider charges."""
    lacks: tuple[Capability, ...] = ()
    """What the deployment cannot, of what its provider's protocol has words for: calls that use it pass it by."""
    context_window: TokenCount | None = None
    """Tokens of input and output together that the deployment takes: longer calls pass it by, as far as their length
    can be counted or guessed. Left out: calls of any length are sent."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """Calls at the same time that each worker sends to it, at the most. Left out: any number."""
    queue: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """With `concurrency`: how many more calls of a worker wait for their turn. Further ones go to another backend at
    once, or are answered OVERLOADED."""
    queue_seconds: Seconds = 5.0
    """How long each of these waits."""
    deadlines: BackendDeadlines = BackendDeadlines()
    """How long to wait for it, where that differs from what its routes say."""
    breaker: Breaker = Breaker()
    """When calls to it stop for a while."""
    granted_to: tuple[str, ...] = ()
    """Who may point models of their own at it: `partner/NAME` and `tenant/NAME`."""

    def __post_init__(self) -> None:
        faults = list(room_faults(self.concurrency, self.queue))
        if faults:
            raise Invalid(((field,), reason) for field, reason in faults)


class Model(Entry, kw_only=True):
    """A frontend model: the address that code names, and that you point at backends."""

    route: Route | None
    """Where calls go. `null`: nowhere yet; calls answer MODEL_UNAVAILABLE."""
    modality: Modality = Modality.CHAT
    """chat | embedding | image | audio | rerank."""
    display_name: str | None = None
    """For people; the slug where left out."""
    description: str | None = None
    """For people."""
    status: Literal["active", "deprecated", "disabled"] = "active"
    """`deprecated` still answers; `disabled` answers MODEL_UNAVAILABLE."""
    access: Literal["all", "granted"] = "all"
    """`granted`: only those may see and use it to whom `model_access` gives it. Models whose slug begins with
    `tenant/NAME/` or `partner/NAME/` belong to that tenant, or to that partner's tenants, in any case."""
    context_window: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None
    """Tokens of input and output together. Needed where budgets or limits on tokens must bound images, audio or
    files."""
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None
    """The most that one answer may have: callers' bounds are cut down to it, and it is sent where they give none and a
    budget or a limit on tokens has to be kept."""
    max_image_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None
    """The most tokens that one image counts as, by what the provider says of its largest. Left out: an image may fill
    the context window, as far as budgets and limits on tokens are concerned."""
    limits: Limits = Limits()
    """Limits over all calls of this model, whoever makes them."""
    prices: Prices | None = None
    """What your users pay."""
    unpriced: Literal["refuse", "free"] | None = None
    """Instead of `prices`: answer for nothing, or not at all."""
    default_params: dict[str, Any] = {}
    """Request fields for callers who leave them out, in the words of the dialect that the caller speaks."""
    system_prompt: str | None = None
    """Put ahead of the caller's messages."""
    on_unsupported: OnUnsupported = "refuse"
    """A field that a backend's provider has no word for: `refuse` answers UNSUPPORTED_BY_MODEL and names it.
    `drop_with_header` leaves it out, where it only shapes the answer, and names it in `x-scaigrid-dropped`.
    Either way `user` is left out and named: it changes no answer."""
    on_disconnect: OnDisconnect = "cancel"
    """A client who leaves in the middle of a call: `cancel` closes the provider's connection at once and bills what was
    counted until then. `drain` reads the answer to its end, within the bounds in `forwarder`, and bills what the
    provider says that it was."""
    metadata: dict[str, str] = {}
    """Yours; shown in `/v1/models`."""

    def __post_init__(self) -> None:
        if self.prices is not None and self.unpriced is not None:
            raise ValueError("`prices` and `unpriced` exclude each other: leave out one of them")
        if self.prices is None and self.unpriced is None:
            raise ValueError("declare `prices`, or say `unpriced: free` or `unpriced: refuse`")


class ModelGroup(Entry, kw_only=True):
    """Models that are granted together."""

    scope: Literal["global", "partner", "tenant"] = "global"
    """Whose it is: everybody's, or one partner's or tenant's."""
    of: str | None = None
    """The handle of that partner or tenant."""
    description: str | None = None
    """For people."""
    models: tuple[Slug, ...] = ()
    """The models."""

    def __post_init__(self) -> None:
        if (self.scope == "global") != (self.of is None):
            raise ValueError("`of` names the partner or tenant where `scope` is one of them, and is left out elsewhere")


class ModelAccess(Entry, kw_only=True):
    """Grants a model, or a group of models, whose `access` is `granted`."""

    subject: Literal["partner", "tenant", "group", "user"]
    """What kind of party gets it."""
    of: str
    """The handle of that party."""
    model: Slug | None = None
    """The model."""
    model_group: Name | None = None
    """Instead of `model`: a group of them."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.model_group is None):
            raise ValueError("give exactly one of `model` and `model_group`")


def networks(addresses: tuple[str, ...] | None) -> None:
    """Raises ValueError for what is neither an address nor a network."""
    for text in addresses or ():
        try:
            ip_network(text)
        except ValueError as error:
            raise ValueError(f"`addresses`: {error}") from None
