"""The database as a file: a configuration from which `plan` would change nothing.

What the file manages stands in it as it was declared; what the API made has its id and `origin: api`, so that the file
knows of it and no more. Credentials stand as fingerprints of those that the database keeps, keys as their SHA-256.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import yaml

from scaigrid.config.emit import mapping, of_node, of_value, written
from scaigrid.config.nodes import Entries, Node
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.entries import Writer
from scaigrid.control.handles import handles_in, handles_of
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.vault import Vault

Wanted = Literal["config", "api", "all"]

SECTIONS = frozenset(kind.section for kind in KINDS.values() if kind.section is not None)


def exported(state: State, root: Node | None, vault: Vault, order: Iterable[str], wanted: Wanted = "all") -> str:
    """The YAML text. `root` is the file that the settings and the handles come from, `order` that of the sections.

    `config` leaves out what the API made, but for what the file's own entries refer to. `api` is what the API made
    alone: entries to be put into a file that has the others, and no settings.
    """
    handles = handles_of((one for one in state if one.is_a.section is not None), handles_in(root))
    chosen = _chosen(state, wanted)
    writer = Writer(state, handles, vault)
    sections: dict[str, yaml.Node] = {}
    if isinstance(root, Entries) and wanted != "api":
        sections |= {name: of_node(entry.value) for name, entry in root.values.items() if name not in SECTIONS}
    for kind in KINDS.values():
        if kind.section is None:
            continue
        entries = {handles[one.id]: one for one in state.all(kind.name).values() if one.id in chosen}
        if entries:
            made = {handle: of_value(writer.entry(entries[handle])) for handle in sorted(entries)}
            sections[kind.section] = mapping(made)
    places = {name: place for place, name in enumerate(order)}
    return written(mapping(dict(sorted(sections.items(), key=lambda pair: places.get(pair[0], len(places))))))


def _chosen(state: State, wanted: Wanted) -> Mapping[str, Resource]:
    """By id, what is written."""
    chosen = {one.id: one for one in state if wanted in ("all", one.origin)}
    if wanted != "config":
        return chosen
    for kind in ("partner", "tenant"):
        if not any(one.kind == kind for one in chosen.values()):
            # A file without any would declare the implicit one.
            chosen |= state.all(kind)
    waiting = list(chosen.values())
    while waiting:
        for found in _needed(waiting.pop(), state):
            if found is not None and found.id not in chosen:
                chosen[found.id] = found
                waiting.append(found)
    return chosen


def _needed(one: Resource, state: State) -> Iterable[Resource | None]:
    """What has to stand in the same file: all that an entry names."""
    for reference in one.is_a.references(one.document):
        yield state.get(reference.kind, reference.id)
    match one.document:
        case docs.Model():
            yield state.get("route", route_id(one.id))
            scope, _, rest = one.name.partition("/")
            if scope in ("partner", "tenant"):
                yield state.named(scope, rest.partition("/")[0])
        case docs.ApiKey(models=models):
            yield from (state.named("model", slug) for slug in models or ())
        case _:
            return
