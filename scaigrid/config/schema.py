"""The configuration's Structs. They are the manual: each key's documentation stands on its field here.

What the file declares is found by name: partners, tenants, users, keys, providers, backends, models and budgets are
mappings from the name that the rest of the file refers to. Only what one Struct can judge by itself is checked here;
references between them are checked in `references.py`.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from scaigrid.config.strict import Strict
from scaigrid.secrets import Secret
from scaigrid.types import Modality

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
Slug = Annotated[str, msgspec.Meta(pattern=r"^(?!.*//)[A-Za-z0-9](?:[A-Za-z0-9._:@/-]{0,126}[A-Za-z0-9])?$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Amount = Annotated[Decimal, msgspec.Meta(extra={"ge": 0, "le": 10**12})]
"""Money, not negative; msgspec has no bounds for decimals, the loader reads these."""
RoleName = Literal["tenant_viewer", "tenant_user", "tenant_admin", "partner_viewer", "partner_admin", "super_admin"]

KEY_PATTERN = re.compile(r"^sgk_[A-Za-z0-9_-]{32,}$")
DEMO_KEY = "sgk_demo_0123456789abcdef0123456789abcdef"
"""Published with the project, so it opens nothing but a gateway on a loopback address."""


class Server(Strict):
    """Where the gateway listens and keeps its files."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: opening it to a network is a decision to write down."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8000
    """TCP port."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Worker processes. More than one needs a store that they share (`store.type`)."""
    data_dir: str = "./data"
    """Directory of the database, the journals and the lock file; relative to where the command is run. One gateway
    owns it at a time."""
    shutdown_seconds: Seconds = 30.0
    """How long live answers may go on after SIGTERM before they are cut."""


class Database(Strict):
    """Where the ledger and the audit log are kept."""

    url: str | None = None
    """A SQLAlchemy URL (`sqlite+aiosqlite:///...`). Left out: `scaigrid.db` in the data directory."""


class Store(Strict):
    """Where the counters of limits and budgets are kept."""

    type: Literal["memory"] = "memory"
    """`memory`: in the worker, exact for one worker; rebuilt from the ledger at start."""


class Log(Strict):
    """What is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe event that is written. The line per request is `info`."""


class Forwarder(Strict):
    """The last step: calling providers."""

    expose_backend: bool = True
    """Tell callers in `x-scaigrid-backend` which backend answered."""
    max_answer_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**32)] = 64 * 1024 * 1024
    """The largest plain answer that is taken from a provider."""


class Metrics(Strict):
    """Prometheus metrics at `/metrics`."""

    enabled: bool = True
    """Serve `/metrics`, without a key, as scrapers expect; where off, the path is not found."""


class Limits(Strict):
    """Request limits of one subject. Left out: the level's default. `null`: no limit. 0: refuse everything."""

    requests_per_minute: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | msgspec.UnsetType | None = msgspec.UNSET
    """Requests in any rolling minute. Defaults: key 60, user 120, tenant 1000, partner 5000."""


class Partner(Strict):
    """A reseller, or the whole installation where nobody resells."""

    display_name: str | None = None
    """For people; the name of the entry where left out."""
    limits: Limits = Limits()
    """Request limits over all of its tenants."""


class Tenant(Strict):
    """A customer of a partner; users belong to one."""

    partner: Name = "default"
    """The partner that it belongs to."""
    display_name: str | None = None
    """For people; the name of the entry where left out."""
    suspended: bool = False
    """Refuse every call of its users with TENANT_SUSPENDED."""
    limits: Limits = Limits()
    """Request limits over all of its users."""


class User(Strict):
    """A person or a service that holds keys."""

    tenant: Name = "default"
    """The tenant that it belongs to."""
    email: str | None = None
    """Shown in the audit log."""
    roles: tuple[RoleName, ...] = ("tenant_user",)
    """Published roles; permissions add up."""
    limits: Limits = Limits()
    """Request limits over all of its keys."""


class Key(Strict):
    """An API key. Only its SHA-256 is kept in memory; give it by `key` (from the environment or a file) or `sha256`."""

    user: Name
    """The user that it belongs to."""
    key: Secret | None = None
    """The key itself, `sgk_` and at least 32 characters: `${NAME}` or `file:path`, so that it is not in this file."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Its SHA-256 in hexadecimal, where the key is known to its user alone."""
    expires_at: datetime | None = None
    """Refused with SESSION_EXPIRED from then on. ISO 8601 with an offset."""
    models: tuple[str, ...] | None = None
    """The only frontend models that it may use. Left out: all that its user may use."""
    limits: Limits = Limits()
    """Request limits of this key."""

    def __post_init__(self) -> None:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("give the key by exactly one of `key` and `sha256`")
        if self.key is not None and not KEY_PATTERN.match(self.key.reveal()):
            raise ValueError("`key` must be `sgk_` followed by at least 32 letters, digits, `_` or `-`")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("`expires_at` needs an offset from UTC, for example 2027-01-31T00:00:00Z")


class Budget(Strict):
    """A hard budget: nothing is sent to a provider once it could be overrun, not by one nano-unit."""

    scope: Literal["partner", "tenant", "user", "key", "model"]
    """Whose calls count. Several budgets on one call all apply."""
    of: str
    """The name of that partner, tenant, user, key or model."""
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

    def __post_init__(self) -> None:
        if self.cost_limit is None and self.token_limit is None and self.request_limit is None:
            raise ValueError("give at least one of `cost_limit`, `token_limit` and `request_limit`")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"`timezone`: there is no time zone {self.timezone!r}") from None


class Deadlines(Strict):
    """How long to wait for a provider, in seconds. None is infinite."""

    connect: Seconds = 5.0
    """For a connection, TLS included."""
    first_byte: Seconds = 60.0
    """From the start of an attempt, connecting included, to the first piece of a stream or the head of an answer."""
    idle: Seconds = 60.0
    """Between two pieces of a streamed answer; for a plain one, from its head to its end."""
    total: Seconds = 600.0
    """For one call, every attempt included."""


class Provider(Strict):
    """A type of provider and the connection that its backends share. None exists until it is declared."""

    type: str
    """The protocol: `openai`, `custom` (any endpoint that speaks the OpenAI protocol), `anthropic`, or `simulator`
    (built in, for trials; says so in every answer)."""
    base_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#@]+$")] | None = None
    """Address of its API, path included (`https://api.openai.com/v1`). Left out: the provider's public one."""
    api_key: Secret | None = None
    """Its credential: `${NAME}` or `file:path`."""
    headers: dict[str, str] = {}
    """Headers to send besides its own (an organisation or a project, for example)."""


class Cost(Strict):
    """What a backend charges you, in the currency of the prices, per million tokens. Decimal numbers."""

    input: Amount = Decimal(0)
    """Input tokens that were not cached."""
    output: Amount = Decimal(0)
    """Output tokens, reasoning included."""
    cached_input: Amount | None = None
    """Input tokens read from the provider's cache. Left out: as `input`."""
    cache_write: Amount | None = None
    """Input tokens written to the provider's cache (kept 5 minutes). Left out: as `input`."""
    cache_write_1h: Amount | None = None
    """Input tokens written to the provider's cache for an hour. Left out: as `cache_write`."""


class Prices(Cost):
    """What a model costs your users, per million tokens, and for each request. Decimal numbers."""

    request: Amount = Decimal(0)
    """Each answered request, besides its tokens."""


class Backend(Strict):
    """One deployment of one model at one provider."""

    provider: Name
    """The provider that it is reached through."""
    model: str
    """The provider's own name of the model."""
    cost: Cost = Cost()
    """What the provider charges."""


class RouteTarget(Strict):
    """One backend that a model may be answered by."""

    backend: Name
    """Its name under `backends`."""
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """Its share among the targets of the same priority. 0: only when the others of its tier have failed."""
    priority: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """Its tier: 0 is tried first, higher ones when every target of the lower ones has failed."""


class Route(Strict):
    """How a frontend model reaches its backends."""

    targets: Annotated[tuple[RouteTarget, ...], msgspec.Meta(min_length=1)]
    """The backends, at least one."""
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=16)] = 3
    """How many calls to providers one request may cause; each backend is tried once."""
    deadlines: Deadlines = Deadlines()
    """How long to wait."""


class Model(Strict):
    """A frontend model: the address that code names, and that you point at backends."""

    route: Route
    """Where calls go."""
    modality: Modality = Modality.CHAT
    """chat | embedding | image | audio | rerank."""
    display_name: str | None = None
    """For people; the slug where left out."""
    description: str | None = None
    """For people."""
    status: Literal["active", "deprecated", "disabled"] = "active"
    """`deprecated` still answers; `disabled` answers MODEL_UNAVAILABLE."""
    context_window: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None
    """Tokens of input and output together. Needed where budgets must bound images, audio or files."""
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None
    """The most that one answer may have: callers' bounds are cut down to it, and it is sent where they give none and a
    budget has to be kept."""
    prices: Prices | None = None
    """What your users pay."""
    unpriced: Literal["refuse", "free"] | None = None
    """Instead of `prices`: answer for nothing, or not at all."""
    default_params: dict[str, Any] = {}
    """Request fields for callers who leave them out, in the words of the dialect that the caller speaks."""
    system_prompt: str | None = None
    """Put ahead of the caller's messages."""
    metadata: dict[str, str] = {}
    """Yours; shown in `/v1/models`."""

    def __post_init__(self) -> None:
        if (self.prices is None) == (self.unpriced is None):
            raise ValueError("declare `prices`, or say `unpriced: free` or `unpriced: refuse`")


class Config(Strict):
    """The whole file. The section `chain` is added from the chain itself (see `scaigrid.app`)."""

    server: Server = Server()
    """Where the gateway listens and keeps its files."""
    database: Database = Database()
    """Where the ledger and the audit log are kept."""
    store: Store = Store()
    """Where the counters of limits and budgets are kept."""
    log: Log = Log()
    """What is written to standard output."""
    metrics: Metrics = Metrics()
    """Prometheus metrics."""
    forwarder: Forwarder = Forwarder()
    """The last step: calling providers."""
    partners: dict[Name, Partner] = {}
    """Resellers. Left out: one, `default`."""
    tenants: dict[Name, Tenant] = {}
    """Customers. Left out: one, `default`, of partner `default`."""
    users: dict[Name, User] = {}
    """People and services that hold keys."""
    keys: dict[Name, Key] = {}
    """API keys."""
    budgets: dict[Name, Budget] = {}
    """Hard budgets."""
    providers: dict[Name, Provider] = {}
    """Connections to providers."""
    backends: dict[Name, Backend] = {}
    """Deployments of models at providers."""
    models: dict[Slug, Model] = {}
    """Frontend models: what code names."""

    def links(self) -> dict[str, Strict]:
        """The sections of the chain's links, by name, outermost first."""
        chain: Any = getattr(self, "chain", None)
        return {} if chain is None else msgspec.structs.asdict(chain)
