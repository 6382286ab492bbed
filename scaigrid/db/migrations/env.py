"""Run by Alembic: migrates over the connection of `scaigrid.db.migrate`, in that connection's transaction."""

from alembic import context

from scaigrid.db.models import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
