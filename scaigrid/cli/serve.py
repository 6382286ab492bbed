"""`scaigrid serve`: the gateway."""

from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import Command, Failed, file_argument


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--host", help="address to listen on, instead of server.host")
    parser.add_argument("--port", type=int, help="port to listen on, instead of server.port")
    parser.add_argument("--workers", type=int, help="worker processes, instead of server.workers")


def _run(given: Namespace) -> int:
    from scaigrid.app import Overrides
    from scaigrid.cli.configured import told
    from scaigrid.db.migrate import NotReady
    from scaigrid.ledger.lock import DataDirTaken
    from scaigrid.serve import CannotServe, serve

    with told():
        try:
            serve(given.file, Overrides(given.host, given.port, given.workers))
        except (CannotServe, DataDirTaken, NotReady) as error:
            raise Failed(f"scaigrid: {error}") from error
    return 0


COMMAND = Command(name="serve", help="serve a configuration", arguments=_arguments, run=_run)
