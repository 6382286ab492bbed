"""Identifiers: a prefix that says what is named, and 128 bits that sort by the time they were made."""

import hashlib
import os
import re

from scaigrid.clock import Clock

_ACCEPTED = re.compile(rb"[A-Za-z0-9._:-]{8,128}")


def new_id(prefix: str, clock: Clock) -> str:
    """`prefix_` and 32 hexadecimal digits: 48 bits of milliseconds since the epoch, then 80 random ones."""
    return prefix + "_" + int(clock.now() * 1000).to_bytes(6, "big").hex() + os.urandom(10).hex()


def declared_id(prefix: str, name: str) -> str:
    """The id of something that the configuration declares by name: the same in every process and after a restart."""
    return f"{prefix}_{hashlib.sha256(f'{prefix}/{name}'.encode()).hexdigest()[:32]}"


def accepted(inbound: bytes | None) -> str | None:
    """A caller's own request id where it is one that we keep (contract, section 2), else None."""
    # An id is in every log line; a key that was put there by mistake must not be.
    if inbound is not None and _ACCEPTED.fullmatch(inbound) and b"sgk_" not in inbound:
        return inbound.decode("ascii")
    return None
