"""Opens what the configuration names: the vault of credentials, and the control plane's store in the database."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from scaigrid.clock import Clock
from scaigrid.config.schema import Config
from scaigrid.control.codec import Codec
from scaigrid.control.vault import FILE, LEAST, Vault, own_key
from scaigrid.secrets import Secret

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from scaigrid.control.store import ControlStore


def vault_of(config: Config) -> Vault:
    """The configured keys, or the one in the data directory, which is made where there is none. Raises OSError."""
    return _vault(config, own_key(Path(config.server.data_dir)) if config.database.encryption_key is None else None)


def vault_to_look(config: Config) -> Vault:
    """The same, but for who may write nothing: where there is no key yet there is nothing that it could open."""
    directory = Path(config.server.data_dir)
    if config.database.encryption_key is not None or (directory / FILE).exists():
        return vault_of(config)
    return _vault(config, Secret(secrets.token_urlsafe(LEAST)))


def open_store(config: Config, engine: "AsyncEngine", clock: Clock) -> "ControlStore":
    """Connects to nothing yet."""
    # Whoever only asks for the vault is spared the import of a database's library.
    from scaigrid.control.store import ControlStore

    return ControlStore(engine, Codec(vault_of(config)), clock)


def _vault(config: Config, own: Secret | None) -> Vault:
    first = config.database.encryption_key or own
    return Vault([key for key in (first, *config.database.previous_encryption_keys) if key is not None])
