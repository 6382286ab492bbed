"""The text of an API key: made at random, told once, and kept as a digest."""

import hashlib
import secrets

from scaigrid.control.declared import PREFIX_LENGTH
from scaigrid.secrets import Secret

_RANDOM_BYTES = 32
_BEGIN = "sgk_"


def new_key() -> Secret:
    """A key that nobody has: `sgk_` and 43 random letters, digits, `-` and `_` (256 bits).

    It ends in a letter or a digit: what is copied from a text loses such signs at its end, and looks whole without.
    """
    while True:
        random = secrets.token_urlsafe(_RANDOM_BYTES)
        if random[0].isalnum() and random[-1].isalnum():
            return Secret(_BEGIN + random)


def digest(key: Secret) -> str:
    """What is kept of it: SHA-256, in hexadecimal. It is long and random, so that a slow hash would add nothing."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def prefix(key: Secret) -> str:
    """What people tell it by."""
    return key.reveal()[:PREFIX_LENGTH]
