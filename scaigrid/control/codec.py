"""Documents as JSON text and back. A Secret is sealed on the way out and opened on the way in."""

from collections.abc import Sequence
from typing import Any

import msgspec

from scaigrid.config.entities import Origin
from scaigrid.control.documents import Document
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret


class _Kept(msgspec.Struct, frozen=True):
    """A resource in the history of applied configurations."""

    kind: str
    id: str
    origin: Origin
    document: msgspec.Raw


class Codec:
    """Writes and reads documents under one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._encoder = msgspec.json.Encoder(enc_hook=self._sealed, order="deterministic")
        self._decoders = {
            kind.name: msgspec.json.Decoder(kind.document, dec_hook=self._opened) for kind in KINDS.values()
        }

    def encode(self, document: Document) -> bytes:
        return self._encoder.encode(document)

    def decode(self, kind: str, text: str | bytes) -> Document:
        """Raises vault.CannotOpen for a credential under another key, msgspec.ValidationError for another shape."""
        return self._decoders[kind].decode(text)

    def encode_all(self, resources: Sequence[Resource]) -> bytes:
        return self._encoder.encode(
            [
                _Kept(resource.kind, resource.id, resource.origin, msgspec.Raw(self.encode(resource.document)))
                for resource in resources
            ]
        )

    def decode_all(self, text: str | bytes) -> list[Resource]:
        kept = msgspec.json.decode(text, type=list[_Kept])
        return [
            Resource(kind=one.kind, id=one.id, origin=one.origin, document=self.decode(one.kind, bytes(one.document)))
            for one in kept
        ]

    def _sealed(self, value: Any) -> str:
        if isinstance(value, Secret):
            return self._vault.seal(value)
        raise TypeError(f"a document has no place for {type(value).__name__}")

    def _opened(self, target: type[Any], value: Any) -> Secret:
        if target is not Secret or not isinstance(value, str):
            raise TypeError(f"a document has no place for {target.__name__}")
        return self._vault.open(value)
