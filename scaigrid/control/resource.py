"""A resource: one document of the control plane, with who manages it and when it last changed."""

import msgspec

from scaigrid.config.entities import Origin
from scaigrid.control.documents import Document
from scaigrid.control.kinds import KINDS, Kind


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since the epoch. `revision` is the deployment's epoch at its last change."""

    kind: str
    id: str
    origin: Origin
    document: Document
    revision: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def is_a(self) -> Kind:
        return KINDS[self.kind]

    @property
    def owner(self) -> str:
        """The id within which the name is unique; empty where that is the deployment."""
        field = self.is_a.owner
        return "" if field is None else getattr(self.document, field) or ""
