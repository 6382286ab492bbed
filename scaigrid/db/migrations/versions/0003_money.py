"""Sums of the ledger, prices as they were, and what a call is billed for besides text."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SECOND = "CAST(created_at AS BIGINT) - CASE WHEN CAST(created_at AS BIGINT) > created_at THEN 1 ELSE 0 END"
"""The whole second of a row: PostgreSQL's cast rounds, SQLite's cuts off."""
_DIGEST = {"sqlite": "randomblob(16)", "postgresql": "uuid_send(gen_random_uuid())"}
"""What tells a sum from every other one of its span. Later rows of the same subjects get a sum of their own."""
_TAGS = {
    "sqlite": "json_each(usage.tags) AS tag",
    # No text of PostgreSQL has a place for a NUL sign.
    "postgresql": "LATERAL json_each_text(CAST(CASE WHEN strpos(tags, '\\u0000') = 0 THEN tags ELSE '{}' END AS json)) "
    "AS tag",
}


def upgrade() -> None:
    op.add_column("usage", sa.Column("groups", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("usage", sa.Column("tokens_audio_in", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("tokens_audio_out", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("tokens_image_in", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("tokens_image_out", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("images", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("milliseconds", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("overrun", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("backend_price_version", sa.Text, nullable=False, server_default=sa.text("''")))
    op.create_table(
        "price_history",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("prices", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_price_history"),
    )
    op.create_index("ix_price_history_subject_id_version", "price_history", ["subject_id", "version"])
    op.create_table(
        "rerates",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_rerates"),
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("life", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
    )
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("status", sa.BigInteger, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("refusal", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])
    op.create_table(
        "usage_rollup",
        sa.Column("span", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("backend_id", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("tokens_in", sa.BigInteger, nullable=False),
        sa.Column("tokens_cache_read", sa.BigInteger, nullable=False),
        sa.Column("tokens_cache_write", sa.BigInteger, nullable=False),
        sa.Column("tokens_out", sa.BigInteger, nullable=False),
        sa.Column("tokens_reasoning", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("backend_cost", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("span", "start", "digest", name="pk_usage_rollup"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_tag_rollup",
        sa.Column("span", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("tokens_in", sa.BigInteger, nullable=False),
        sa.Column("tokens_out", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("backend_cost", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("span", "start", "digest", name="pk_usage_tag_rollup"),
        sqlite_with_rowid=False,
    )
    # What the rows that are there add up to. None of them has a group, or any usage beside text.
    dialect = op.get_context().dialect.name
    op.execute(
        f"""INSERT INTO usage_rollup (span, start, digest, partner_id, tenant_id, user_id, key_id, groups, model,
            backend_id, requests, attempts, errors, tokens_in, tokens_cache_read, tokens_cache_write, tokens_out,
            tokens_reasoning, tokens, cost, backend_cost)
        SELECT 3600, second - second % 3600, {_DIGEST[dialect]}, partner_id, tenant_id, user_id, COALESCE(key_id, ''),
            groups, model, backend_id, SUM(serves), COUNT(*), SUM(CASE WHEN outcome = 'ok' THEN 0 ELSE 1 END),
            SUM(serves * (tokens_in + tokens_cache_read + tokens_cache_write + tokens_cache_write_1h)),
            SUM(serves * tokens_cache_read), SUM(serves * (tokens_cache_write + tokens_cache_write_1h)),
            SUM(serves * tokens_out), SUM(serves * tokens_reasoning),
            SUM(serves * (tokens_in + tokens_cache_read + tokens_cache_write + tokens_cache_write_1h + tokens_out)),
            SUM(serves * cost), SUM(backend_cost)
        FROM (SELECT usage.*, {_SECOND} AS second, CASE WHEN serving THEN 1 ELSE 0 END AS serves FROM usage) AS kept
        GROUP BY second - second % 3600, partner_id, tenant_id, user_id, key_id, groups, model, backend_id"""  # noqa: S608  # made of constants
    )
    op.execute(
        f"""INSERT INTO usage_rollup (span, start, digest, partner_id, tenant_id, user_id, key_id, groups, model,
            backend_id, requests, attempts, errors, tokens_in, tokens_cache_read, tokens_cache_write, tokens_out,
            tokens_reasoning, tokens, cost, backend_cost)
        SELECT 86400, start - start % 86400, {_DIGEST[dialect]}, partner_id, tenant_id, user_id, key_id, groups, model,
            backend_id, SUM(requests), SUM(attempts), SUM(errors), SUM(tokens_in), SUM(tokens_cache_read),
            SUM(tokens_cache_write), SUM(tokens_out), SUM(tokens_reasoning), SUM(tokens), SUM(cost), SUM(backend_cost)
        FROM usage_rollup
        GROUP BY start - start % 86400, partner_id, tenant_id, user_id, key_id, groups, model, backend_id"""  # noqa: S608  # made of constants
    )
    op.execute(
        f"""INSERT INTO usage_tag_rollup (span, start, digest, partner_id, tenant_id, name, value, requests,
            tokens_in, tokens_out, tokens, cost, backend_cost)
        SELECT 3600, second - second % 3600, {_DIGEST[dialect]}, partner_id, tenant_id, name,
            CASE WHEN place > 1000 THEN '(other)' ELSE value END, SUM(serves), SUM(serves * all_in),
            SUM(serves * tokens_out), SUM(serves * (all_in + tokens_out)), SUM(serves * cost), SUM(backend_cost)
        FROM (
            SELECT counted.*, DENSE_RANK() OVER (
                PARTITION BY tenant_id, second - second % 86400, name ORDER BY value
            ) AS place
            FROM (
                SELECT partner_id, tenant_id, tag.key AS name, tag.value AS value, {_SECOND} AS second,
                    CASE WHEN serving THEN 1 ELSE 0 END AS serves, tokens_out, cost, backend_cost,
                    tokens_in + tokens_cache_read + tokens_cache_write + tokens_cache_write_1h AS all_in
                FROM usage CROSS JOIN {_TAGS[dialect]}
            ) AS counted
        ) AS ranked
        GROUP BY second - second % 3600, partner_id, tenant_id, name,
            CASE WHEN place > 1000 THEN '(other)' ELSE value END"""  # noqa: S608  # made of constants
    )
    op.execute(
        f"""INSERT INTO usage_tag_rollup (span, start, digest, partner_id, tenant_id, name, value, requests,
            tokens_in, tokens_out, tokens, cost, backend_cost)
        SELECT 86400, start - start % 86400, {_DIGEST[dialect]}, partner_id, tenant_id, name, value,
            SUM(requests), SUM(tokens_in), SUM(tokens_out), SUM(tokens), SUM(cost), SUM(backend_cost)
        FROM usage_tag_rollup
        GROUP BY start - start % 86400, partner_id, tenant_id, name, value"""  # noqa: S608  # made of constants
    )
    # An index of rows that are there is made faster than one that grows with them.
    op.create_index("ix_usage_rollup_tenant_id_span_start", "usage_rollup", ["tenant_id", "span", "start"])
    op.create_index("ix_usage_rollup_user_id_span_start", "usage_rollup", ["user_id", "span", "start"])
    op.create_index("ix_usage_tag_rollup_tenant_id_span_start", "usage_tag_rollup", ["tenant_id", "span", "start"])
