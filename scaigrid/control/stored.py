"""Credentials that a file does not say but keeps: `stored:` and the fingerprint of the one that the database has."""

from collections.abc import Mapping

import msgspec

from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret

STORED = "stored:"
"""Ahead of a fingerprint."""


def reference(secret: Secret, vault: Vault) -> str:
    """What stands for a credential wherever people read."""
    return STORED + vault.fingerprint(secret)


def refers(resource: Resource) -> bool:
    """Whether it asks to keep a credential, so that only the database can say what is declared."""
    document = resource.document
    if isinstance(document, docs.Provider):
        named = (*document.headers.values(), *document.credentials.values())
        return _asks(document.api_key) or any(map(_asks, named))
    return isinstance(document, docs.Backend) and _asks(document.api_key)


def with_stored(resource: Resource, there: Resource | None, vault: Vault) -> Resource:
    """The resource with the credentials of `there` where it asks to keep them.

    Raises ValueError where the database has none, or another one than the fingerprint says.
    """
    if not refers(resource):
        return resource
    document = resource.document
    old = None if there is None else there.document
    if isinstance(document, docs.Provider | docs.Backend) and _asks(document.api_key):
        kept = old.api_key if isinstance(old, docs.Provider | docs.Backend) else None
        document = msgspec.structs.replace(document, api_key=_kept("api_key", document.api_key, kept, vault))
    if isinstance(document, docs.Provider):
        known = old if isinstance(old, docs.Provider) else docs.Provider(name="", type="")
        document = msgspec.structs.replace(
            document,
            headers=_named("headers", document.headers, known.headers, vault),
            credentials=_named("credentials", document.credentials, known.credentials, vault),
        )
    return msgspec.structs.replace(resource, document=document)


def _named(field: str, asked: Mapping[str, Secret], kept: Mapping[str, Secret], vault: Vault) -> dict[str, Secret]:
    return {
        name: _kept(f"{field}.{name}", value, kept.get(name), vault) if _asks(value) else value
        for name, value in asked.items()
    }


def _asks(secret: Secret | None) -> bool:
    return secret is not None and secret.reveal().startswith(STORED)


def _kept(field: str, asked: Secret | None, kept: Secret | None, vault: Vault) -> Secret:
    if kept is None:
        raise ValueError(f"{field}: the database has no credential to keep: give the credential itself")
    if asked is None or asked.reveal().removeprefix(STORED) not in vault.fingerprints(kept):
        raise ValueError(f"{field}: the database has another credential than the one that is to be kept")
    return kept
