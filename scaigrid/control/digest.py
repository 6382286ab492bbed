"""A short name for what a file declares, by which gateways and people see whether two are the same."""

import hashlib
from collections.abc import Iterable

import msgspec

from scaigrid.control.plan import shown
from scaigrid.control.resource import Resource
from scaigrid.control.vault import Vault


def config_hash(resources: Iterable[Resource], vault: Vault) -> str:
    """Twelve hexadecimal digits that are the same for the same declarations, in whatever order they stand.

    Credentials count by their fingerprints, so that it says the same only under the same encryption key.
    """
    told = sorted(
        (resource.kind, resource.id, msgspec.json.encode(shown(resource.document, vault), order="deterministic"))
        for resource in resources
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:12]
