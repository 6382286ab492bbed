"""The database of a configuration, for commands: is it there, and what does it say when asked."""

import asyncio
import getpass
import os
from argparse import Namespace
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scaigrid.cli.command import Failed
from scaigrid.config.schema import Config

if TYPE_CHECKING:
    from scaigrid.control.vault import Vault

T = TypeVar("T")


def is_there(config: Config, file: Path, *, make: bool = False) -> bool:
    """Whether the database has tables; with `make`, one that has none gets them, as `scaigrid serve` does it.

    Raises Failed where it cannot be opened or has been written by another release.
    """
    from scaigrid.db.migrate import HEAD, NotReady, OldRevision, current, ensure_current
    from scaigrid.db.url import database_url

    url = database_url(config)
    try:
        if make:
            ensure_current(url)
            return True
        found = current(url)
        if found not in (None, HEAD):
            raise OldRevision(url, found)
    except OldRevision as error:
        raise Failed(f"scaigrid: {error}: run `scaigrid migrate {file}`") from error
    except NotReady as error:
        raise Failed(f"scaigrid: {error}") from error
    return found is not None


def must_be_there(config: Config, file: Path) -> None:
    """Raises Failed where nothing has ever been applied."""
    from scaigrid.db.url import database_url, place

    if not is_there(config, file):
        raise Failed(
            f"scaigrid: the database {place(database_url(config))} has no tables: "
            f"`scaigrid serve {file}` or `scaigrid apply {file}` makes them"
        )


def asked(config: Config, work: Coroutine[Any, Any, T]) -> T:
    """The answer of the database. Raises Failed where it gives none, or a credential cannot be opened."""
    from scaigrid.control.vault import CannotOpen
    from scaigrid.db.url import database_url, place
    from scaigrid.errors import GatewayError

    try:
        return asyncio.run(work)
    except GatewayError as error:
        why = " ".join(str(error.__cause__ or error).split())
        raise Failed(f"scaigrid: the database {place(database_url(config))} cannot be used: {why}") from error
    except CannotOpen as error:
        raise Failed(f"scaigrid: {error}") from error


def vault(config: Config, *, look: bool = False) -> "Vault":
    """What opens the credentials; who only looks makes no key. Raises Failed where the key cannot be read or made."""
    from scaigrid.control.opening import vault_of, vault_to_look

    try:
        return vault_to_look(config) if look else vault_of(config)
    except OSError as error:
        raise Failed(f"scaigrid: the encryption key in {config.server.data_dir}: {error.strerror}") from error


def actor(given: Namespace) -> str:
    """Who stands in the history."""
    if given.actor:
        return str(given.actor)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())
