"""Sums of the ledger, prices as they were, and what a call is billed for besides text."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


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
