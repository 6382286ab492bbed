"""What every resource's example says of itself."""

from typing import TypedDict

from scaigrid.config.entities import Origin


class KeptFields(TypedDict):
    id: str
    origin: Origin
    created_at: str
    updated_at: str


def id_of(prefix: str) -> str:
    """An id that stands for one of that kind in every example."""
    return f"{prefix}_019ab3d0c2c8" + "5e1f0a7b3c4d5e6f7a8b"


def kept(prefix: str) -> KeptFields:
    return {
        "id": id_of(prefix),
        "origin": "api",
        "created_at": "2026-11-02T09:30:00.000Z",
        "updated_at": "2026-11-02T09:30:00.000Z",
    }
