"""Run by Alembic: migrates over the connection of `scaigrid.db.migrate`, in that connection's transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
