"""Reads the configuration that a command is about, whole or as much of it as says where its database is."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from scaigrid.cli.command import WRONG, Failed
from scaigrid.config.schema import Config, Database, Server, Store


class _Settings(msgspec.Struct, frozen=True):
    """The sections that say where things are. The others may hold what they like: a file can be repaired with it."""

    server: Server = Server()
    database: Database = Database()
    store: Store = Store()


def whole(file: Path) -> Config:
    """The configuration as it would be served. Raises Failed with every error of the file."""
    from scaigrid.app import load_config

    with told():
        return load_config(file)


def settings(file: Path) -> Config:
    """A configuration with the sections of `_Settings` alone. Raises Failed with every error in those."""
    import os

    from scaigrid.config.load import load

    with told():
        found = load(file, _Settings, env=os.environ)
        return Config(server=found.server, database=found.database, store=found.store)


@contextmanager
def told() -> Generator[None]:
    """What is wrong with the file, or with the command line, ends the command."""
    from scaigrid.app import Unfit
    from scaigrid.config.load import ConfigErrors

    try:
        yield
    except (ConfigErrors, Unfit) as errors:
        raise Failed(str(errors), WRONG) from errors
