"""`scaigrid rollback`: goes back to a configuration that was applied before."""

import sys
from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import FAILED, Command, Failed, actor_argument, file_argument, json_argument

_AHEAD = """\
{file} is as it was. Where it says something else than the database now, the next `scaigrid serve {file}`,
`scaigrid apply {file}` or `scaigrid reload {file}` applies it again, and so does a gateway that watches it once it is
changed. Until then a gateway that runs goes on with what the database has.
"""


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--to", type=int, metavar="SEQ", help="the entry of the history; left out: the one before last")
    json_argument(parser, "what was done")
    actor_argument(parser)
    parser.add_argument("--no-color", action="store_true", help="no colour on a terminal (as NO_COLOR)")


def _run(given: Namespace) -> int:
    from scaigrid.app import ADAPTERS
    from scaigrid.cli.applied import report, report_refused
    from scaigrid.cli.configured import settings
    from scaigrid.cli.database import actor, asked, must_be_there, vault

    config = settings(given.file)
    must_be_there(config, given.file)
    from scaigrid.control import once
    from scaigrid.control.apply import Refused

    try:
        seq, done = asked(config, once.roll_back(config, vault(config), ADAPTERS, given.to, actor=actor(given)))
    except once.NoSuchEntry as error:
        asked_for = "before the last one" if given.to is None else str(given.to)
        raise Failed(f"scaigrid: there is no entry {asked_for}: {error}") from error
    except Refused as refused:
        report_refused(refused.plan, given, sys.stdout)
        return FAILED
    report(done, given, sys.stdout)
    if not given.json:
        print(f"This is what entry {seq} declared.")
    if done.seq is not None:
        print(_AHEAD.format(file=given.file), end="", file=sys.stderr)
    return 0


COMMAND = Command(
    name="rollback",
    help="apply what an entry of the history declared; the file stays as it is",
    arguments=_arguments,
    run=_run,
)
