"""`scaigrid export`: the database as a file."""

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scaigrid.cli.command import WRONG, Command, Failed, file_argument

if TYPE_CHECKING:
    from scaigrid.config.nodes import Node

_SECRETS = (
    ("database", "url"),
    ("database", "encryption_key"),
    ("database", "previous_encryption_keys"),
    ("store", "url"),
)
_ELSEWHERE = re.compile(r"file:|.*(?<!\$)\$\{", re.DOTALL)
"""What says where a secret is, and not the secret."""
_PASSWORD = re.compile(r".*://[^/]*:[^/]*@|.*[?&]\w*password=", re.DOTALL)


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
    sys.stdout.write(_head(given, state.epoch, list(_plain(root))) + text)
    return 0


def _plain(root: "Node | None") -> Iterator[str]:
    """The settings that hold a secret as it is: in the file too, and `plan` cannot do without them."""
    from scaigrid.config.nodes import Entries, Items, Scalar

    for section, name in _SECRETS:
        settings = root.values.get(section) if isinstance(root, Entries) else None
        found = (
            settings.value.values.get(name) if settings is not None and isinstance(settings.value, Entries) else None
        )
        if found is None:
            continue
        texts = [
            one.text
            for one in (found.value.values if isinstance(found.value, Items) else [found.value])
            if isinstance(one, Scalar) and one.type == "str" and not _ELSEWHERE.match(one.text)
        ]
        if any(name != "url" or _PASSWORD.match(text) for text in texts):
            yield f"{section}.{name}"


def _head(given: Namespace, epoch: int, plain: Sequence[str]) -> str:
    lines = [f"Exported by ScaiGrid: the database at epoch {epoch}, and the settings of {given.file.name}."]
    if given.origin == "api":
        plain = ()
        lines = [f"Exported by ScaiGrid: what the API made, at epoch {epoch}, to be added to {given.file.name}."]
    lines.append("Credentials are those that the database keeps: `stored:` and a fingerprint stand for each.")
    if plain:
        lines.append(
            f"But {', '.join(plain)}: here as plain text, as in {given.file.name}. Write `${{NAME}}` there instead."
        )
    return "".join(f"# {line}\n" for line in lines)


COMMAND = Command(
    name="export",
    help="write the database as a configuration, which would change nothing if it were applied",
    arguments=_arguments,
    run=_run,
)
