"""The configuration's Structs. They are the manual: each key's documentation stands on its field here.

What the file declares is found by name: the entries of `entities.py` stand in mappings from the name that the rest of
the file refers to. Only what one Struct can judge by itself is checked there and here; references between them are
checked in `references.py`.
"""

import re
from typing import Annotated, Any, Literal

import msgspec

from scaigrid.config.entities import (
    Backend,
    Budget,
    CustomRole,
    Group,
    Key,
    Model,
    ModelAccess,
    ModelGroup,
    Partner,
    Provider,
    RoleMapping,
    Tenant,
    User,
)
from scaigrid.config.identity import Identity
from scaigrid.config.strict import Strict
from scaigrid.config.terms import Name, Seconds, Slug
from scaigrid.secrets import Secret

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^/?#@,:\[\]]+)(?::[0-9]+)?"
_DATABASE_URL = re.compile(
    rf"postgres(?:ql)?(?:\+asyncpg)?://(?:[^/?#@]*@)?(?:{_HOST}(?:,{_HOST})*)?(?:/[^/?#@]*)?(?:\?[^#@]*)?"
    r"|sqlite(?:\+aiosqlite)?:///(?!:memory:)[^?]+(?:\?.*)?"
)


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
    drain_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0
    """How long after SIGTERM the gateway goes on as before, but for `/health/ready`, which answers 503, and for
    `connection: close` on every answer: so that no call comes to a closed port before a load balancer has noticed.
    Give it two intervals of its probe. `0`: the port is closed at once, as it always is after SIGINT (Ctrl-C)."""
    shutdown_seconds: Seconds = 30.0
    """How long live answers may go on after that, while nothing new is taken. Then each of them is ended with an error
    that its client understands (OVERLOADED), what is in the journals is written to the database, and the gateway ends
    with exit code 0. Whatever kills it in the end should wait for both times and 20 seconds more. A second SIGTERM or
    SIGINT ends them at once."""
    watch: bool = True
    """Apply this file when it changes, as `scaigrid reload` does: what it declares is swapped in place, settings wait
    for the next start, and what is wrong with it changes nothing and is told in the log. `false`: only when asked."""


class Database(Strict):
    """Where the ledger and the audit log are kept."""

    url: Secret | None = None
    """`postgresql://user:password@host:5432/name`, with what libpq takes behind a `?` (`sslmode=verify-full`), or
    `sqlite:///path`; from the environment (`${NAME}`) or a file (`file:path`) where it holds a password. With
    `pgbouncer=true` behind the `?` it goes through a pooler that may give each transaction another session. Left out:
    the SQLite file `scaigrid.db` in the data directory."""

    def __post_init__(self) -> None:
        if self.url is not None and not _DATABASE_URL.fullmatch(self.url.reveal()):
            raise ValueError(
                "`url` must be postgresql://user:password@host:5432/name or sqlite:///path, with each of / ? # @ in "
                "the password written as its code (%2F %3F %23 %40)"
            )

    encryption_key: Secret | None = None
    """What credentials are encrypted with before they are written: at least 32 characters, `${NAME}` or `file:path`.
    Left out: a key of its own in the data directory, which is made at the first start. Needed with a database server,
    whose gateways have to share it."""
    previous_encryption_keys: tuple[Secret, ...] = ()
    """Keys that still open what they encrypted. `scaigrid apply`, as well as a start, encrypts everything anew with
    `encryption_key`; then they can go."""


_Prefix = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,62}[A-Za-z0-9])?(?!\n)$")]


class Store(Strict):
    """Where the counters of limits and budgets are kept."""

    type: Literal["memory", "valkey"] = "memory"
    """`memory`: in the worker, exact for one worker. `valkey`: in a Valkey (7.2 or later; or a Redis, 7 or later),
    exact over all workers and gateways that share it. Budgets are counted anew from the ledger where either has lost
    its counters, and limits begin anew; gateways that share a store should therefore share a database."""
    url: Secret | None = None
    """`valkey://[[user]:password@]host[:6379][/database]` or `unix:///path`; from the environment (`${NAME}`) or a file
    (`file:path`) where it holds a password. Needed for `valkey`. Give it memory enough and the policy `noeviction`.

    `valkey+sentinel://[[user]:password@]host[:26379],host.../NAME[/database]` asks the sentinels named for the primary
    called NAME, and again after a failover. User and password are those of the servers; behind a `?`, `sentinel_user=`
    and `sentinel_password=` are those of the sentinels, who are asked without where they are left out.
    `valkey+cluster://[[user]:password@]host[:6379],host...` finds the one node of a cluster that has our keys, and
    follows them. Either with `valkeys` for TLS, and in every gateway with the same hosts. `docs/scale.md` says what
    each is good for."""
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.05
    """How long a call waits for the store. From one that waits longer until the store answers again, none waits: each
    is refused with STORE_UNAVAILABLE, or goes on where all of its limits and budgets say so (`on_store_failure`)."""
    local_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1
    """The part that every worker may give out by itself, while the store is away, of a limit or budget that says
    `on_store_failure: allow_bounded`: of a limit in each of its windows, of a budget once for the time that the store
    is away, out of what was left of it when the worker heard of it last. Rounded down, so 0.1 of a limit of 5 is
    nothing. With one tenth and ten workers, all of them together give out no more than the limit."""
    prefix: _Prefix = "scaigrid"
    """What its keys begin with, in braces so that all of them are on one node of a cluster. Gateways with the same
    prefix count together."""


class Ledger(Strict):
    """How long usage is kept. What it adds up to by day is kept for good."""

    usage_days: Annotated[int, msgspec.Meta(ge=32, le=36_500)] | None = None
    """Days after which the rows of usage, one for each attempt, go; in small steps, in the background. No fewer than
    32, so that a month's budgets can be counted again. `null`: they stay."""
    hourly_days: Annotated[int, msgspec.Meta(ge=32, le=36_500)] | None = None
    """Days after which what usage adds up to by hour goes: of what is older, whole days can be asked for. No fewer than
    `usage_days`. `null`: it stays."""

    timeline_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = 7
    """Days after which the timelines of requests go (`GET /v1/requests/{request_id}`); in small steps, in the
    background. What their attempts used stays, as usage does. `null`: they stay; `chain.timeline` says whether there
    are any. One is about 1 KB: at a steady 100 requests a second, seven days of them are about 60 GB."""

    def __post_init__(self) -> None:
        if self.hourly_days is not None and (self.usage_days is None or self.hourly_days < self.usage_days):
            raise ValueError("`hourly_days` must be no fewer than `usage_days`: rows go before their sums do")


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
    keep_alive_seconds: Seconds | None = 15.0
    """A streamed answer that is silent for so long has a comment sent, and again after every further silence of that
    length, so that nobody on the way takes its connection for dead. Ahead of the first content that is a trade: with
    the first comment the status 200 is out, so that a call which fails after that says so inside the stream, where no
    client tries again by itself. The gateway still asks other backends, for nothing of an answer has been sent. `null`:
    nothing is ever sent but the answer."""
    retry_share: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.2
    """How many further calls to providers a worker makes because others have failed, as a part of the calls that come
    in: of one second, minute or hour as of the next, so that a provider's bad minute is not doubled. Once that is used
    up, callers are told at once what went wrong. It counts whatever a route's `max_attempts` adds, in all routes
    together."""
    retries_per_second: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 10.0
    """How many of them each second has beside that, for gateways that have few calls. With both at 0 nothing is ever
    tried again."""
    drain_seconds: Seconds = 60.0
    """How long an answer is read on whose client has left, where its model says `on_disconnect: drain`; never past the
    route's total deadline."""
    drain_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**32)] = 16 * 1024 * 1024
    """How many bytes of a stream are read then. A plain answer is held to `max_answer_bytes`, as always."""
    drain_at_once: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100
    """How many such answers a worker reads at the same time. Those of further clients who leave are cut off, as with
    `cancel`."""


class Metrics(Strict):
    """Prometheus metrics at `/metrics`."""

    enabled: bool = True
    """Serve `/metrics`, without a key, as scrapers expect; where off, the path is not found."""


class Health(Strict):
    """`/health/detailed`, beside `/health` and `/health/ready`, which are always there."""

    detailed: bool = True
    """Serve `/health/detailed`: the version, the state in force, the database, the store, how the backends are. Where
    off, the path is not found."""
    keyless: bool = False
    """Answer it without a key, for monitors in a network of your own. Otherwise it takes the key of somebody who has
    `admin:access` for the whole platform."""

    @property
    def open_paths(self) -> frozenset[str]:
        """What callers without a key may ask for by this section."""
        return frozenset({"/health/detailed"} if self.detailed and self.keyless else ())


class Config(Strict):
    """The whole file. The section `chain` is added from the chain itself (see `scaigrid.app`)."""

    server: Server = Server()
    """Where the gateway listens and keeps its files."""
    database: Database = Database()
    """Where the ledger and the audit log are kept."""
    store: Store = Store()
    """Where the counters of limits and budgets are kept."""
    ledger: Ledger = Ledger()
    """How long usage is kept."""
    log: Log = Log()
    """What is written to standard output."""
    metrics: Metrics = Metrics()
    """Prometheus metrics."""
    health: Health = Health()
    """What is told of the gateway's own state."""
    forwarder: Forwarder = Forwarder()
    """The last step: calling providers."""
    identity: Identity = Identity()
    """Who may sign in with a token instead of an API key."""
    partners: dict[Name, Partner] = {}
    """Resellers. Left out: one, `default`."""
    tenants: dict[Name, Tenant] = {}
    """Customers. Left out: one, `default`, of partner `default`."""
    users: dict[Name, User] = {}
    """People and services that hold keys."""
    groups: dict[Name, Group] = {}
    """Users who get roles and models together."""
    roles: dict[Name, CustomRole] = {}
    """Roles of tenants, on top of the published ones."""
    role_mappings: dict[Name, RoleMapping] = {}
    """Roles that the members of a group have."""
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
    model_groups: dict[Name, ModelGroup] = {}
    """Models that are granted together."""
    model_access: dict[Name, ModelAccess] = {}
    """Who may use the models whose `access` is `granted`."""

    def links(self) -> dict[str, Strict]:
        """The sections of the chain's links, by name, outermost first."""
        chain: Any = getattr(self, "chain", None)
        return {} if chain is None else msgspec.structs.asdict(chain)
