"""`scaigrid history`: which configurations were applied, when, from where and by whom."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from scaigrid.cli.command import Command, file_argument, json_argument

if TYPE_CHECKING:
    from scaigrid.control.history import Entry


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    json_argument(parser, "every entry, with its plan,")


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import settings
    from scaigrid.cli.database import asked, must_be_there

    config = settings(given.file)
    must_be_there(config, given.file)
    from scaigrid.control import once

    entries = asked(config, once.entries(config))
    if given.json:
        import msgspec

        print(msgspec.json.encode({"entries": entries}).decode())
    else:
        for line in _table([("SEQ", "WHEN", "CHANGES", "ACTOR", "SOURCE"), *map(_row, entries)]):
            print(line)
    return 0


def _row(entry: "Entry") -> tuple[str, ...]:
    from scaigrid.cli.paint import harmless
    from scaigrid.timestamps import iso

    plan = entry.plan
    changes = f"+{len(plan.create)} ~{len(plan.change)} -{len(plan.delete)}"
    return str(entry.seq), iso(entry.applied_at), changes, harmless(entry.actor), harmless(entry.source)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


COMMAND = Command(
    name="history",
    help="list the configurations that were applied, the latest first (the last fifty are kept)",
    arguments=_arguments,
    run=_run,
)
