"""The tables. The same ones on SQLite and PostgreSQL: text is text, money and counts are 64-bit integers.

Columns stand in the order of the fields of the Structs that they keep, so that a row is a Struct's own tuple.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

usage = Table(
    "usage",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("key_id", Text),
    Column("model", Text, nullable=False),
    Column("backend_id", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("serving", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_cache_read", BigInteger, nullable=False),
    Column("tokens_cache_write", BigInteger, nullable=False),
    Column("tokens_cache_write_1h", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("tokens_reasoning", BigInteger, nullable=False),
    Column("usage_source", Text, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("backend_cost", BigInteger, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("first_byte_us", BigInteger),
    Column("latency_us", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),  # a JSON object, as text: both databases can look into it
    Column("groups", Text, nullable=False, server_default=text("''")),  # ids, with a space between two
    Column("tokens_audio_in", BigInteger, nullable=False, server_default=text("0")),
    Column("tokens_audio_out", BigInteger, nullable=False, server_default=text("0")),
    Column("tokens_image_in", BigInteger, nullable=False, server_default=text("0")),
    Column("tokens_image_out", BigInteger, nullable=False, server_default=text("0")),
    Column("images", BigInteger, nullable=False, server_default=text("0")),
    Column("milliseconds", BigInteger, nullable=False, server_default=text("0")),
    Column("overrun", BigInteger, nullable=False, server_default=text("0")),
    Column("backend_price_version", Text, nullable=False, server_default=text("''")),
    # Every index costs every request. These answer the walks there are; the id breaks ties among few rows.
    Index(None, "created_at", "id"),
    Index(None, "request_id"),
    Index(None, "tenant_id", "created_at"),
    Index(None, "user_id", "created_at"),
)
"""`UsageRow`, one row an attempt."""

_SUMS = (
    "requests",
    "attempts",
    "errors",
    "tokens_in",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_out",
    "tokens_reasoning",
    "tokens",
    "cost",
    "backend_cost",
)
_TAG_SUMS = ("requests", "tokens_in", "tokens_out", "tokens", "cost", "backend_cost")

usage_rollup = Table(
    "usage_rollup",
    metadata,
    Column("span", BigInteger, primary_key=True, autoincrement=False),  # 3600 or 86400 seconds
    Column("start", BigInteger, primary_key=True, autoincrement=False),  # seconds since the epoch, a multiple of `span`
    # Of the columns that follow up to the sums: together they may be longer than an index takes.
    Column("digest", LargeBinary, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),  # '' for none
    Column("groups", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("backend_id", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _SUMS),
    Index(None, "tenant_id", "span", "start"),
    Index(None, "user_id", "span", "start"),
    # A span of time is read from one end to the other.
    sqlite_with_rowid=False,
)
"""Sums of `usage` by hour and by day (UTC), written with the rows themselves. `attempts`, `errors` and `backend_cost`
are of all attempts, everything else of those that served."""

usage_tag_rollup = Table(
    "usage_tag_rollup",
    metadata,
    Column("span", BigInteger, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("partner_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _TAG_SUMS),
    Index(None, "tenant_id", "span", "start"),
    sqlite_with_rowid=False,
)
"""The same by tag, and not by user: a row of `usage` counts once for each of its tags."""

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("timestamp", Double, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor_id", Text),
    Column("actor_email", Text),
    Column("actor_type", Text, nullable=False),
    Column("tenant_id", Text),
    Column("partner_id", Text),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text),
    Column("ip_address", Text),
    Column("user_agent", Text),
    Column("status", Text, nullable=False),
    Column("http_status", BigInteger, nullable=False),
    Column("error_code", Text),
    Column("request_id", Text, nullable=False),
    Column("before", Text),  # JSON, byte for byte as it was hashed
    Column("after", Text),
    Column("writer", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("writer", "seq"),  # a chain cannot fork
    Index(None, "timestamp", "id"),
    Index(None, "tenant_id", "timestamp"),
)
"""`AuditRow` and its place in its writer's hash chain (`scaigrid.ledger.chain`)."""

request_timelines = Table(
    "request_timelines",
    metadata,
    # A request id may come twice, from two tenants too: the gateway's own id tells them apart.
    Column("request_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("key_id", Text),
    Column("document", Text, nullable=False),  # JSON: a `Timeline`
    Index(None, "created_at"),
    sqlite_with_rowid=False,
)
"""`TimelineRow`: what became of each inference request, for some days."""

resources = Table(
    "resources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("name", Text),  # NULL for labels and for what was deleted: NULLs never collide
    Column("origin", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("document", Text, nullable=False),  # JSON, credentials sealed
    UniqueConstraint("kind", "scope", "name"),
    Index(None, "revision"),
)
"""`Resource`: what the control plane manages. A deleted one stays as an empty row until everyone has seen it go."""

epoch = Table(
    "epoch",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # one row, 1: also what writers queue at
    Column("epoch", BigInteger, nullable=False),
    Column("config_hash", Text),
    Column("changed_at", Double, nullable=False),
)
"""How many changes there have been, and the hash of the configuration that was applied last."""

applied = Table(
    "applied",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("applied_at", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("plan", Text, nullable=False),  # JSON: what it changed
    Column("resources", Text, nullable=False),  # JSON: all that it declared, credentials sealed
)
"""The history of applied configurations, to go back to."""

price_history = Table(
    "price_history",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("prices", Text, nullable=False),  # JSON: a `PriceList`
    Index(None, "subject_id", "version"),
)
"""Prices of models and costs of backends, each from when on it was in force."""

rerates = Table(
    "rerates",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("wanted", Text, nullable=False),  # JSON: which rows
    Column("report", Text, nullable=False),  # JSON: what it changed
)
"""Which rows of the ledger were rated again, by whom, and by how much they changed."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, primary_key=True),  # a digest of caller, path and key
    Column("fingerprint", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("headers", Text, nullable=False),  # JSON: pairs
    Column("body", LargeBinary),  # NULL: larger than is kept, or a refusal
    Column("refusal", Text),  # JSON
    Column("size", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index(None, "expires_at"),
)
"""Answers of calls that were made with an `Idempotency-Key`, to be given again."""

instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("life", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("store", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)
"""The gateways that serve from this database (`Instance`), and when each was seen last."""

key_uses = Table(
    "key_uses",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("last_used_at", Double, nullable=False),
)
"""When each key was last used, to the minute."""
