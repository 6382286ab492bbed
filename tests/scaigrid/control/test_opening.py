"""The vault and the store that a configuration names."""

from pathlib import Path
from typing import Any

from scaigrid.control.codec import Codec
from scaigrid.control.opening import open_store, vault_of, vault_to_look
from scaigrid.control.vault import FILE, Vault, own_key
from scaigrid.db.engine import create_engine
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.harness.deployment import configured

SECRET = Secret("pk-secret")


def test_a_configured_key_opens_what_it_sealed() -> None:
    database = {"encryption_key": "n" * 32, "previous_encryption_keys": ["o" * 32]}
    config = configured(database=database)
    for vault in (vault_of(config), vault_to_look(config)):
        assert vault.open(Vault([Secret("n" * 32)]).seal(SECRET)) == SECRET
        assert vault.open(Vault([Secret("o" * 32)]).seal(SECRET)) == SECRET
        assert vault.older


def test_the_key_in_the_data_directory_is_made_where_none_is_given(tmp_path: Path) -> None:
    config = configured(server={"data_dir": str(tmp_path / "data")})
    sealed = vault_of(config).seal(SECRET)
    assert Vault([own_key(tmp_path / "data")]).open(sealed) == SECRET
    assert vault_to_look(config).open(sealed) == SECRET


def test_who_only_looks_makes_none(tmp_path: Path) -> None:
    vault = vault_to_look(configured(server={"data_dir": str(tmp_path / "data")}))
    assert not (tmp_path / "data").exists()
    assert len(vault.fingerprint(SECRET)) == 12


def test_a_key_that_is_replaced_by_a_configured_one_is_not_read(tmp_path: Path) -> None:
    config: dict[str, Any] = {"server": {"data_dir": str(tmp_path)}, "database": {"encryption_key": "n" * 32}}
    (tmp_path / FILE).write_text("o" * 32)
    assert vault_of(configured(**config)).fingerprint(SECRET) == Vault([Secret("n" * 32)]).fingerprint(SECRET)


async def test_a_store_seals_with_the_configured_key(database_url: str) -> None:
    engine = create_engine(database_url)
    store = open_store(configured(database={"encryption_key": "n" * 32}), engine, StillClock())
    assert await store.epoch() == 0
    assert isinstance(store.codec, Codec)
    await engine.dispose()
