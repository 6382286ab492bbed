"""A start that changes nothing is seen to change nothing, by one question to the database."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaigrid.control.declared import resources_of
from scaigrid.control.unchanged import stands
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT, Deployment, configured

PROVIDER = {"type": "custom", "base_url": "http://up", "api_key": "pk-secret"}


@pytest.fixture
def plane(database_url: str) -> Deployment:
    return Deployment(database_url)


def applied(plane: Deployment, **sections: Any) -> None:
    async def run() -> None:
        await plane.apply(**sections)
        await plane.engine.dispose()

    asyncio.run(run())


def asked(url: str, vault: Vault = VAULT, **sections: Any) -> bool:
    config = configured(database={"url": url}, **sections)
    return stands(config, resources_of(config), vault)


def test_nothing_stands_in_a_new_database(database_url: str) -> None:
    assert not asked(database_url)


def test_what_was_applied_last_stands(plane: Deployment, database_url: str) -> None:
    applied(plane, providers={"up": PROVIDER})
    assert asked(database_url, providers={"up": PROVIDER})
    assert not asked(database_url, providers={"up": {**PROVIDER, "api_key": "pk-other"}})
    assert not asked(database_url)
    applied(plane)
    assert asked(database_url)


def test_what_the_file_only_knows_of_does_not_count(plane: Deployment, database_url: str) -> None:
    users = {"bob": {"id": "user_" + "b" * 32, "origin": "api"}}
    applied(plane, users=users)
    assert asked(database_url, users=users)
    assert asked(database_url)


def test_a_credential_that_is_to_be_kept_has_to_be_looked_at(plane: Deployment, database_url: str) -> None:
    applied(plane, providers={"up": PROVIDER})
    stored = f"stored:{VAULT.fingerprint(Secret('pk-secret'))}"
    assert not asked(database_url, providers={"up": {**PROVIDER, "api_key": stored}})


def test_an_older_key_has_to_be_looked_for(plane: Deployment, database_url: str) -> None:
    applied(plane)
    first = Secret("the key of a test, long enough for it")
    assert not asked(database_url, Vault([first, Secret("o" * 32)]))


def test_a_database_without_tables_says_nothing(empty_database_url: str) -> None:
    assert not asked(empty_database_url)


def test_a_file_is_asked_without_the_library_of_databases(tmp_path: Path) -> None:
    """Importing it takes longer than all the rest of a start."""
    code = (
        "import sys, scaigrid.control.unchanged, scaigrid.control.opening, scaigrid.control.declared, scaigrid.serve;"
        "print([name for name in ('sqlalchemy', 'alembic', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
