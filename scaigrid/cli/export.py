"""`scaigrid export`: the database as a file."""

import sys
from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import WRONG, Command, Failed, file_argument


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument(
        "--origin",
        choices=("all", "config", "api"),
        default="all",
        help="whose: `config`, what the file manages and what that refers to; `api`, what the API made, as entries to "
        "add to a file; left out: all of it",
    )


def _run(given: Namespace) -> int:
    from scaigrid.app import Composed
    from scaigrid.cli.configured import settings
    from scaigrid.cli.database import asked, must_be_there, vault
    from scaigrid.config.nodes import read_nodes

    config = settings(given.file)
    must_be_there(config, given.file)
    from scaigrid.control import once
    from scaigrid.control.export import exported

    root, problems = read_nodes(given.file.read_text())
    if problems:
        # Read a moment ago without any: somebody is writing it.
        raise Failed(f"{given.file}: is being changed", WRONG)
    opener = vault(config)
    state = asked(config, once.load(config, opener))
    text = exported(state, root, opener, Composed.__struct_fields__, given.origin)
    sys.stdout.write(_head(given, state.epoch) + text)
    return 0


def _head(given: Namespace, epoch: int) -> str:
    lines = [f"Exported by ScaiGrid: the database at epoch {epoch}, and the settings of {given.file.name}."]
    if given.origin == "api":
        lines = [f"Exported by ScaiGrid: what the API made, at epoch {epoch}, to be added to {given.file.name}."]
    lines.append("Credentials are those that the database keeps: `stored:` and a fingerprint stand for each.")
    return "".join(f"# {line}\n" for line in lines)


COMMAND = Command(
    name="export",
    help="write the database as a configuration, which would change nothing if it were applied",
    arguments=_arguments,
    run=_run,
)
