"""`scaigrid apply`: brings the database to what a file declares, all of it or nothing."""

import sys
from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import FAILED, Command, actor_argument, file_argument, json_argument


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    json_argument(parser, "what was done")
    actor_argument(parser)
    parser.add_argument("--no-color", action="store_true", help="no colour on a terminal (as NO_COLOR)")


def _run(given: Namespace) -> int:
    from scaigrid.app import ADAPTERS
    from scaigrid.cli.applied import report, report_refused
    from scaigrid.cli.configured import whole
    from scaigrid.cli.database import actor, asked, is_there, vault
    from scaigrid.cli.noted import print_notes
    from scaigrid.control.declared import resources_of

    config = whole(given.file)
    is_there(config, given.file, make=True)
    from scaigrid.control import once
    from scaigrid.control.apply import Refused

    declared = resources_of(config)
    work = once.put_in_force(config, vault(config), declared, ADAPTERS, source=str(given.file), actor=actor(given))
    try:
        done = asked(config, work)
    except Refused as refused:
        report_refused(refused.plan, given, sys.stdout)
        return FAILED
    report(done, given, sys.stdout)
    print_notes(declared)
    return 0


COMMAND = Command(
    name="apply",
    help="bring the database to what a configuration declares: all of it, or nothing where one step is refused",
    arguments=_arguments,
    run=_run,
)
