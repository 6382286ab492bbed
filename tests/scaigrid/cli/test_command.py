"""What a command is: its name, its arguments, and how it ends."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from scaigrid.cli import COMMANDS
from scaigrid.cli.command import FAILED, WRONG, Command, Failed, actor_argument, file_argument, json_argument


def test_a_failure_has_a_text_and_an_exit_code() -> None:
    assert (str(Failed("why")), Failed("why").code, Failed("why", WRONG).code) == ("why", FAILED, WRONG)


def test_arguments_that_several_commands_have() -> None:
    parser = ArgumentParser()
    file_argument(parser)
    json_argument(parser, "the plan")
    actor_argument(parser)
    given = parser.parse_args(["c.yaml", "--json", "--actor", "ann"])
    assert (given.file, given.json, given.actor) == (Path("c.yaml"), True, "ann")
    assert "the plan as one JSON object" in parser.format_help()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_says_what_it_does_on_one_line(command: Command) -> None:
    assert command.name.isalpha()
    assert command.name.islower()
    assert command.help
    assert not command.help.endswith(".")
    assert "\n" not in command.help


def test_names_are_given_once() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
