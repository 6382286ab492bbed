"""Names under which resources stand in a file: what other entries refer to, each unique in its section."""

import re
from collections.abc import Iterable, Mapping

from scaigrid.config.nodes import Entries, Node, Scalar
from scaigrid.control.kinds import KINDS, Kind
from scaigrid.control.resource import Resource
from scaigrid.ids import declared_id

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_SLUG = re.compile(r"(?!.*//)[A-Za-z0-9](?:[A-Za-z0-9._:@/-]{0,126}[A-Za-z0-9])?")
"""As `config.terms` has them: handles of models, and of all others."""
_SUFFIXES = (8, 16, 32)
"""Characters of an id that set two of one name apart."""


def handles_of(resources: Iterable[Resource], known: Mapping[str, str]) -> dict[str, str]:
    """A handle for each resource, by id; `known` are those that a file gives already, by id.

    Where it can be, the handle is the name, and one from which the id follows.
    """
    found: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    by_rank: list[list[Resource]] = [[], [], []]
    for resource in resources:
        by_rank[_rank(resource, known)].append(resource)
    for rank in by_rank:
        for resource in sorted(rank, key=_id):
            for handle in _candidates(resource, known.get(resource.id)):
                if (resource.kind, handle) not in taken:
                    found[resource.id] = handle
                    taken.add((resource.kind, handle))
                    break
    return found


def handles_in(root: Node | None) -> dict[str, str]:
    """The handles of a file, by the id of what they stand for."""
    found: dict[str, str] = {}
    if not isinstance(root, Entries):
        return found
    for kind in KINDS.values():
        section = root.values.get(kind.section or "")
        if section is None or not isinstance(section.value, Entries):
            continue
        for handle, entry in section.value.values.items():
            found[_id_of(kind, handle, entry.value)] = handle
    return found


def _id_of(kind: Kind, handle: str, entry: Node) -> str:
    said = entry.values.get("id") if isinstance(entry, Entries) else None
    if said is not None and isinstance(said.value, Scalar) and said.value.type == "str":
        return said.value.text
    return declared_id(kind.prefix, handle)


def _rank(resource: Resource, known: Mapping[str, str]) -> int:
    if resource.id in known:
        return 0
    return 1 if declared_id(resource.is_a.prefix, resource.name) == resource.id else 2


def _candidates(resource: Resource, known: str | None) -> Iterable[str]:
    if known is not None:
        yield known
    pattern, most = (_SLUG, 128) if resource.kind == "model" else (_NAME, 64)
    name = resource.name
    if not pattern.fullmatch(name):
        name = _made(resource, most)
    yield name
    tail = resource.id.rpartition("_")[2]
    for length in _SUFFIXES:
        yield f"{name[: most - length - 1]}-{tail[-length:]}"


def _made(resource: Resource, most: int) -> str:
    """A handle that is like a name that cannot be one."""
    words = re.sub(r"[^a-z0-9]+", "-", resource.name.lower())[:most].strip("-")
    return words or resource.kind.replace("_", "-")


def _id(resource: Resource) -> str:
    return resource.id
