"""The control plane: resources, the epoch, the history of applied configurations, when keys were used."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "resources",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resources"),
        sa.UniqueConstraint("kind", "scope", "name", name="uq_resources_kind_scope_name"),
    )
    op.create_index("ix_resources_revision", "resources", ["revision"])
    epoch = op.create_table(
        "epoch",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("config_hash", sa.Text),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_epoch"),
    )
    op.bulk_insert(epoch, [{"id": 1, "epoch": 0, "config_hash": None, "changed_at": 0.0}])
    op.create_table(
        "applied",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("applied_at", sa.Double, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("config_hash", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("resources", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_applied"),
    )
    op.create_table(
        "key_uses",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("last_used_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_key_uses"),
    )
