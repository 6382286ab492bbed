"""The command `scaigrid`: serve | check | manual."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done; 1: it failed; 2: the configuration or the command line is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return EXIT_USAGE
    intruder = _intruder()
    if intruder is not None:
        print(intruder, file=sys.stderr)
        return EXIT_USAGE
    return _run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scaigrid", description="A self-hosted gateway to every LLM provider.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a configuration")
    serve.add_argument("file", type=Path, help="the configuration, YAML")
    serve.add_argument("--host", help="address to listen on, instead of server.host")
    serve.add_argument("--port", type=int, help="port to listen on, instead of server.port")
    serve.add_argument("--workers", type=int, help="worker processes, instead of server.workers")
    check = commands.add_parser("check", help="validate a configuration without serving it")
    check.add_argument("file", type=Path, help="the configuration, YAML")
    commands.add_parser("manual", help="print every key of the configuration, with its documentation")
    return parser


def _run(given: argparse.Namespace) -> int:
    from scaigrid.app import Composed, Overrides, Unfit, load_config
    from scaigrid.config.load import ConfigErrors
    from scaigrid.ledger.lock import DataDirTaken

    try:
        if given.command == "manual":
            from scaigrid.config.manual import manual

            print(manual(Composed), end="")
            return 0
        if given.command == "check":
            config = load_config(given.file)
            print(f"{given.file}: valid ({len(config.models)} models, {len(config.keys)} keys)")
            return 0
        from scaigrid.serve import CannotServe, serve

        try:
            serve(given.file, Overrides(given.host, given.port, given.workers))
        except (CannotServe, DataDirTaken) as error:
            print(f"scaigrid: {error}", file=sys.stderr)
            return 1
    except (ConfigErrors, Unfit) as errors:
        print(errors, file=sys.stderr)
        return EXIT_USAGE
    return 0


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
