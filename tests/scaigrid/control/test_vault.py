"""Credentials are sealed under a key that is not in the database."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.control.vault import FILE, LEAST, CannotOpen, Vault, own_key
from scaigrid.secrets import Secret

OLD, NEW = Secret("o" * 32), Secret("n" * 32)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(text: str) -> None:
    vault = Vault([NEW])
    sealed = vault.seal(Secret(text))
    assert vault.open(sealed) == Secret(text)
    assert len(text) < 4 or text not in sealed


def test_an_older_key_opens_and_the_first_one_seals() -> None:
    sealed = Vault([OLD]).seal(Secret("pk"))
    both = Vault([NEW, OLD])
    assert both.open(sealed) == Secret("pk")
    assert Vault([NEW]).open(both.seal(Secret("pk"))) == Secret("pk")
    assert (both.older, Vault([NEW]).older) == (True, False)
    with pytest.raises(CannotOpen, match="previous_encryption_keys"):
        both.first().open(sealed)


@pytest.mark.parametrize("sealed", ["", "pk-in-the-clear", "gAAAAA"])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(CannotOpen):
        Vault([NEW]).open(sealed)


def test_a_fingerprint_is_the_same_for_the_same_credential_under_the_same_key() -> None:
    vault = Vault([NEW, OLD])
    assert vault.fingerprint(Secret("pk")) == Vault([NEW]).fingerprint(Secret("pk"))
    assert vault.fingerprint(Secret("pk")) != vault.fingerprint(Secret("pk2"))
    assert vault.fingerprints(Secret("pk")) == [
        Vault([NEW]).fingerprint(Secret("pk")),
        Vault([OLD]).fingerprint(Secret("pk")),
    ]


def test_the_own_key_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    key = own_key(directory)
    assert len(key.reveal()) >= LEAST
    assert own_key(directory) == key
    assert stat.S_IMODE((directory / FILE).stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == [FILE]


def test_who_comes_at_the_same_time_gets_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(own_key, [tmp_path / "data"] * 32))
    assert len(set(found)) == 1


def test_a_derived_key_is_of_its_purpose_and_its_key_and_is_neither() -> None:
    both, new = Vault([NEW, OLD]), Vault([NEW])
    assert list(both.derived("names")) == [*new.derived("names"), *Vault([OLD]).derived("names")]
    assert new.derived("names") == Vault([NEW]).derived("names")
    assert new.derived("names") != new.derived("others")
    assert {len(key) for key in both.derived("names")} == {32}
