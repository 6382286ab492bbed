"""The tables. The same ones on SQLite and PostgreSQL: text is text, money and counts are 64-bit integers.

Columns stand in the order of the fields of the Structs that they keep, so that a row is a Struct's own tuple.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
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

key_uses = Table(
    "key_uses",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("last_used_at", Double, nullable=False),
)
"""When each key was last used, to the minute."""
