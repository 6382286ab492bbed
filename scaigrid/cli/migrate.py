"""`scaigrid migrate`: brings the database to this release, or says how far it is from it."""

from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import FAILED, Command, Failed, file_argument


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--check", action="store_true", help="only tell; exit 1 where there is something to do")


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import settings
    from scaigrid.db.migrate import HEAD, NotReady, current, upgrade
    from scaigrid.db.url import database_url, place

    url = database_url(settings(given.file))
    try:
        found = current(url) if given.check else upgrade(url)
    except NotReady as error:
        raise Failed(f"scaigrid: {error}") from error
    if found == HEAD:
        print(f"the database {place(url)} has revision {HEAD}: there is nothing to do")
        return 0
    before = "no tables of ScaiGrid" if found is None else f"revision {found}"
    if given.check:
        print(f"the database {place(url)} has {before}: it would be brought to revision {HEAD}")
        return FAILED
    print(f"the database {place(url)} had {before}: it has revision {HEAD} now")
    return 0


COMMAND = Command(
    name="migrate",
    help="bring the database to this release (make a backup before)",
    arguments=_arguments,
    run=_run,
)
