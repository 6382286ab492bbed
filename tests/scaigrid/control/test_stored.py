"""Credentials that a file keeps without saying them."""

import pytest

from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.stored import reference, refers, with_stored
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret

OLD, NEW = Secret("o" * 32), Secret("n" * 32)
VAULT = Vault([NEW, OLD])
KEPT = Secret("pk-kept")


def provider(api_key: str | None = None, **headers: str) -> Resource:
    document = docs.Provider(
        name="up",
        type="custom",
        api_key=None if api_key is None else Secret(api_key),
        headers={name: Secret(value) for name, value in headers.items()},
    )
    return Resource(kind="provider", id="prov_1", origin="config", document=document)


def signing(**credentials: str) -> Resource:
    document = docs.Provider(
        name="up", type="bedrock", credentials={name: Secret(value) for name, value in credentials.items()}
    )
    return Resource(kind="provider", id="prov_1", origin="config", document=document)


def backend(api_key: str | None) -> Resource:
    document = docs.Backend(
        name="one", provider_id="prov_1", model="m", api_key=None if api_key is None else Secret(api_key)
    )
    return Resource(kind="backend", id="be_1", origin="config", document=document)


def test_a_reference_stands_for_what_the_database_has() -> None:
    asked = provider(reference(KEPT, VAULT), org=reference(Secret("acme"), VAULT), other="said")
    found = with_stored(asked, provider("pk-kept", org="acme"), VAULT)
    assert found == provider("pk-kept", org="acme", other="said")


def test_credentials_are_kept_one_by_one() -> None:
    asked = signing(access_key_id="AKID2", secret_access_key=reference(KEPT, VAULT))
    found = with_stored(asked, signing(access_key_id="AKID", secret_access_key="pk-kept"), VAULT)
    assert found == signing(access_key_id="AKID2", secret_access_key="pk-kept")
    with pytest.raises(ValueError, match=r"credentials\.secret_access_key: the database has no credential to keep"):
        with_stored(asked, signing(access_key_id="AKID"), VAULT)


def test_a_backend_keeps_its_own() -> None:
    assert with_stored(backend(reference(KEPT, VAULT)), backend("pk-kept"), VAULT) == backend("pk-kept")


def test_what_asks_for_nothing_is_left_alone() -> None:
    asked = provider("pk-new", org="acme")
    assert with_stored(asked, None, VAULT) is asked
    assert not refers(asked)
    assert refers(provider(org="stored:x"))
    assert refers(signing(secret_access_key="stored:x"))
    assert not refers(signing(secret_access_key="said"))
    assert refers(backend("stored:x"))
    assert not refers(backend(None))


def test_a_fingerprint_under_an_older_key_still_holds() -> None:
    asked = provider(reference(KEPT, Vault([OLD])))
    assert with_stored(asked, provider("pk-kept"), VAULT) == provider("pk-kept")


@pytest.mark.parametrize("there", [None, provider()])
def test_there_has_to_be_one(there: Resource | None) -> None:
    with pytest.raises(ValueError, match="api_key: the database has no credential to keep"):
        with_stored(provider(reference(KEPT, VAULT)), there, VAULT)


def test_it_has_to_be_that_one() -> None:
    with pytest.raises(ValueError, match=r"headers\.org: the database has another credential"):
        with_stored(provider(org=reference(KEPT, VAULT)), provider(org="acme"), VAULT)
