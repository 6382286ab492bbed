"""`scaigrid reload`: asks the running gateway to read its own file again, in its own environment."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from scaigrid.cli.command import FAILED, WRONG, Command, Failed, file_argument, json_argument

if TYPE_CHECKING:
    from scaigrid.reloading.outcome import Reloaded

_SECONDS = 330.0
"""A little longer than applying may take."""


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="that of the gateway, instead of server.data_dir")
    json_argument(parser, "what came of it")
    parser.add_argument("--no-color", action="store_true", help="no colour on a terminal (as NO_COLOR)")


def _run(given: Namespace) -> int:
    import msgspec

    from scaigrid.cli.configured import settings
    from scaigrid.reloading.channel import NobodyAnswers, ask
    from scaigrid.reloading.outcome import Reloaded

    directory: Path = given.data_dir or Path(settings(given.file).server.data_dir)
    try:
        answer = ask(directory, b"reload", seconds=_SECONDS)
        done = msgspec.json.decode(answer, type=Reloaded)
    except NobodyAnswers as error:
        raise Failed(f"scaigrid: {error}") from error
    if given.json:
        print(answer.decode())
    else:
        _tell(done, given)
    if done.outcome == "invalid":
        return WRONG
    return 0 if done.in_force else FAILED


def _tell(done: "Reloaded", given: Namespace) -> None:
    from scaigrid.cli.paint import Paint
    from scaigrid.cli.plan_text import counts, plan_lines

    if done.plan is not None:
        for line in plan_lines(done.plan, Paint(sys.stdout, never=given.no_color)):
            print(line)
        print(f"{done.outcome}: {counts(done.plan, done=done.in_force)}")
    for error in done.errors:
        print(error, file=sys.stderr)
    if not done.in_force:
        print("The gateway goes on with what it had.", file=sys.stderr)
    if done.restart_needed:
        print(f"Waits for the next start of the gateway: {', '.join(done.restart_needed)}")


COMMAND = Command(
    name="reload",
    help="have the running gateway read its configuration again; what is wrong leaves it as it is",
    arguments=_arguments,
    run=_run,
)
