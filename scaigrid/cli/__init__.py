"""The commands, one file each: a new one is its file and a line here, in the order in which help lists them."""

from scaigrid.cli import (
    apply,
    check,
    explain,
    export,
    history,
    init,
    keys,
    manual,
    migrate,
    plan,
    prices,
    reload,
    rerate,
    rollback,
    serve,
    trace,
)
from scaigrid.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    init.COMMAND,
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
    keys.COMMAND,
    explain.COMMAND,
    trace.COMMAND,
    prices.COMMAND,
    rerate.COMMAND,
)
