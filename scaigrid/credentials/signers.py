"""One signer for each set of credentials in a worker: a snapshot that changes nothing about them keeps their tokens."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakValueDictionary

import msgspec

from scaigrid.adapter import Adapter, Signer
from scaigrid.clock import Clock
from scaigrid.credentials import SCHEMES
from scaigrid.credentials.scheme import Fetch, Scheme
from scaigrid.secrets import Secret


class SignerSource(Protocol):
    """Where a snapshot has its signers from."""

    def of(self, adapter: Adapter, credentials: Mapping[str, Secret], options: Any) -> Signer | None:
        """What signs the calls of a provider; None where there is nothing to sign with."""
        ...


class NoSigners:
    """For those who compile a snapshot and call nobody."""

    def of(self, adapter: Adapter, credentials: Mapping[str, Secret], options: Any) -> None:
        return None


class Signers:
    """Signers live as long as somebody has them: the snapshot in force, or a question that is under way."""

    def __init__(self, clock: Clock, fetch: Fetch) -> None:
        self._clock = clock
        self._fetch = fetch
        self.kept: WeakValueDictionary[bytes, Scheme] = WeakValueDictionary()
        """By a digest of all that they were made from."""

    def of(self, adapter: Adapter, credentials: Mapping[str, Secret], options: Any) -> Signer | None:
        if adapter.signed is None or not credentials:
            return None
        name = _digest(adapter.signed, credentials, options)
        signer = self.kept.get(name)
        if signer is None:
            signer = self.kept[name] = SCHEMES[adapter.signed](credentials, options, self._clock, self._fetch)
        return signer


def _digest(scheme: str, credentials: Mapping[str, Secret], options: Any) -> bytes:
    told = [scheme, sorted((name, value.reveal()) for name, value in credentials.items()), options]
    return hashlib.sha256(msgspec.json.encode(told, order="deterministic")).digest()
