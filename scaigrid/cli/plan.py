"""`scaigrid plan`: what applying a file would do, and nothing done."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from scaigrid.cli.command import FAILED, Command, file_argument, json_argument

if TYPE_CHECKING:
    from scaigrid.config.schema import Config
    from scaigrid.control.plan import Plan

CHANGES = 3
"""The exit code of `--exit-code` where there is something to change; 1 and 2 say what they say everywhere."""


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    json_argument(parser, "the plan")
    parser.add_argument("--no-color", action="store_true", help="no colour on a terminal (as NO_COLOR)")
    parser.add_argument(
        "--exit-code", action="store_true", help=f"end with {CHANGES} where there is something to change"
    )


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import whole
    from scaigrid.cli.paint import Paint
    from scaigrid.cli.plan_text import counts, plan_lines, plan_object

    config = whole(given.file)
    plan = _planned(config, given)
    if given.json:
        print(plan_object(plan))
    else:
        for line in plan_lines(plan, Paint(sys.stdout, never=given.no_color)):
            print(line)
        print(counts(plan))
    if plan.refused:
        return FAILED
    return CHANGES if given.exit_code and not plan.empty else 0


def _planned(config: "Config", given: Namespace) -> "Plan":
    from scaigrid.app import ADAPTERS
    from scaigrid.cli.database import asked, is_there, vault
    from scaigrid.control.declared import resources_of

    declared = resources_of(config)
    opener = vault(config, look=True)
    if is_there(config, given.file):
        from scaigrid.control import once

        return asked(config, once.plan(config, opener, declared, ADAPTERS))
    from scaigrid.control.plan import planned
    from scaigrid.control.state import State

    return planned(State.of(()), declared, opener, ADAPTERS).plan


COMMAND = Command(
    name="plan",
    help="show what applying a configuration would change, and change nothing",
    arguments=_arguments,
    run=_run,
)
