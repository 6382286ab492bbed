"""The commands, one file each: a new one is its file and a line here, in the order in which help lists them."""

from scaigrid.cli import apply, check, export, history, manual, migrate, plan, reload, rollback, serve
from scaigrid.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    serve.COMMAND,
    check.COMMAND,
    migrate.COMMAND,
    manual.COMMAND,
    plan.COMMAND,
    apply.COMMAND,
    export.COMMAND,
    history.COMMAND,
    rollback.COMMAND,
    reload.COMMAND,
)
