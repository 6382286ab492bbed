"""The command `scaigrid`; its commands are in `scaigrid.cli`."""

import argparse
import os
import sys
from collections.abc import Sequence

from scaigrid.cli import COMMANDS
from scaigrid.cli.command import WRONG, Command, Failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done; 1: it failed; 2: the configuration or the command line is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Command | None = given.command
    if command is None:
        parser.print_help()
        return WRONG
    intruder = _intruder()
    if intruder is not None:
        print(intruder, file=sys.stderr)
        return WRONG
    try:
        code = command.run(given)
        sys.stdout.flush()
    except Failed as failed:
        print(failed, file=sys.stderr)
        return failed.code
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered must not fail at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scaigrid", description="A self-hosted gateway to every LLM provider.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND")
    parser.set_defaults(command=None)
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help, description=f"{command.help}.")
        command.arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from scaigrid import __version__

        print(f"scaigrid {__version__}")
        parser.exit()


def _intruder() -> str | None:
    """Names the distribution that has taken one of our top-level names, if one has: they are common words."""
    from importlib.util import find_spec

    for package, module in (("middlewares", "middlewares.route_resolve"), ("adapters", "adapters.anthropic")):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            from importlib.metadata import packages_distributions

            owners = ", ".join(set(packages_distributions().get(package, [])) - {"scaigrid"}) or "something else"
            return (
                f"scaigrid: the package `{package}` in this environment belongs to {owners}, not to ScaiGrid: "
                "install ScaiGrid into an environment of its own"
            )
    return None


if __name__ == "__main__":
    sys.exit(main())
