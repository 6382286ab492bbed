"""What a command is. Its file is imported for every command, so it imports what it runs only when it runs."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FAILED = 1
WRONG = 2
"""The exit code where the configuration or the command line is wrong."""


class Command(NamedTuple):
    """One command of `scaigrid`."""

    name: str
    help: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    """Answers the exit code. Raises Failed."""


class Failed(Exception):
    """The command ends with `code`, and its text is what a person reads on standard error."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


def file_argument(parser: ArgumentParser) -> None:
    """Every command that is about a configuration takes its file."""
    parser.add_argument("file", type=Path, help="the configuration, YAML")


def json_argument(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"{what} as one JSON object, for programs")


def actor_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--actor", metavar="NAME", help="who is to stand in the history; left out: your user name")
