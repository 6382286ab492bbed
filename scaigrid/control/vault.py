"""Seals credentials before they are written to the database, and opens them again.

Fernet (AES-128-CBC with an HMAC-SHA256) under a key that is not in the database: configured, or a file of its own in
the data directory. Older keys still open what they sealed, so that a key can be changed.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scaigrid.secrets import Secret

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

FILE = "encryption.key"
LEAST = 32
"""Characters that a configured key must have."""


class CannotOpen(Exception):
    """A credential in the database was sealed under another key."""

    def __init__(self) -> None:
        super().__init__(
            "a credential in the database was encrypted with another key: give that key as database.encryption_key, "
            "or among database.previous_encryption_keys"
        )


class Vault:
    """`keys`: the one that seals first, then older ones. The library is loaded at the first credential."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        self._given = tuple(keys)
        self._keys = [hashlib.sha256(key.reveal().encode()).digest() for key in keys]

    def seal(self, secret: Secret) -> str:
        return self._fernet.encrypt(secret.reveal().encode()).decode("ascii")

    def open(self, sealed: str) -> Secret:
        """Raises CannotOpen for what was sealed under a key that is not among ours."""
        from cryptography.fernet import InvalidToken

        try:
            return Secret(self._fernet.decrypt(sealed.encode()).decode())
        except InvalidToken:
            raise CannotOpen from None

    def fingerprint(self, secret: Secret) -> str:
        """Twelve hexadecimal digits that tell credentials apart, and tell nothing to who lacks the key."""
        return self.fingerprints(secret)[0]

    def fingerprints(self, secret: Secret) -> Sequence[str]:
        """Those under every key: an older one may still stand in a file."""
        text = secret.reveal().encode()
        return [hmac.new(key, text, hashlib.sha256).hexdigest()[:12] for key in self._keys]

    def derived(self, purpose: str) -> Sequence[bytes]:
        """A key for something else than sealing, from each of ours in their order; none of them tells ours."""
        return [hmac.digest(key, purpose.encode(), "sha256") for key in self._keys]

    def first(self) -> "Vault":
        """A vault that opens only what the key that seals has sealed."""
        return Vault(self._given[:1])

    @property
    def older(self) -> bool:
        """Whether there are keys besides the one that seals."""
        return len(self._given) > 1

    @cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet

        return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in self._keys])


def own_key(directory: Path) -> Secret:
    """The key in the data directory's own file, made where there is none; readable for its owner alone."""
    path = directory / FILE
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Linked once it is whole: whoever comes at the same time reads all of it or makes none.
        draft = directory / f"{FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_urlsafe(LEAST).encode())
            os.fsync(descriptor)
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.close(descriptor)
            draft.unlink()
    return Secret(path.read_text().strip())
