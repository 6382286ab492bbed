"""What applying a file would do to the database: create, change, delete; and what it may not do, with the reason.

The file owns what it declares (`origin: config`) and deletes what it declared once and declares no more. What the API
made stays: the file touches it only where it names its id, and then takes it over. An entry with `origin: api` is known
to the file and nothing more: it is created where the database has never had anything, so that an export restores a
deployment, and from then on it is the API's to change and to delete. A route goes with its model.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from scaigrid.adapter import Adapter
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.kinds import KINDS
from scaigrid.control.refusals import refusals
from scaigrid.control.resource import Resource
from scaigrid.control.state import Gone, State
from scaigrid.control.stored import reference, with_stored
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret


class Field(msgspec.Struct, frozen=True):
    """One field that changes, dotted; a credential is seen by its fingerprint alone. None: not there."""

    field: str
    before: object
    after: object


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resource that is created, changed or deleted, or may not be (`reason`)."""

    kind: str
    id: str
    name: str
    fields: tuple[Field, ...] = ()
    reason: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in the order in which they are taken. It is applied only where nothing is `refused`."""

    create: tuple[Step, ...] = ()
    change: tuple[Step, ...] = ()
    delete: tuple[Step, ...] = ()
    refused: tuple[Step, ...] = ()
    absent: tuple[Step, ...] = ()
    """What the file knows of (`origin: api`) and the API has deleted since; nothing is done about it."""
    unchanged: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do and nothing to refuse."""
        return not (self.create or self.change or self.delete or self.refused)


class Planned(msgspec.Struct, frozen=True):
    """A plan, and the resources that it is about."""

    plan: Plan
    put: Sequence[Resource]
    gone: Sequence[Resource]


def planned(state: State, declared: Sequence[Resource], vault: Vault, adapters: Mapping[str, Adapter]) -> Planned:
    """What it takes to bring `state` to what is declared."""
    wanted, absent, refused = _wanted(state, declared, vault)
    gone = _gone(state, wanted)
    create: list[Resource] = []
    change: list[tuple[Resource, Resource]] = []
    for resource in wanted.values():
        there = state.get(resource.kind, resource.id)
        if there is None:
            create.append(resource)
        elif _differ(there, resource):
            change.append((there, resource))
    put = [*create, *(after for _, after in change)]
    result = state.after(put, [Gone(one.kind, one.id) for one in gone], state.epoch)
    refused += (_step(one, result, reason=reason) for one, reason in refusals(put, gone, state, result, adapters))
    plan = Plan(
        create=tuple(_step(one, result) for one in create),
        change=tuple(_step(after, result, fields=tuple(_changes(before, after, vault))) for before, after in change),
        delete=tuple(_step(one, state) for one in gone),
        refused=tuple(refused),
        absent=tuple(_step(one, state) for one in absent),
        unchanged=len(wanted) - len(put),
    )
    return Planned(plan, put, gone)


def shown(document: docs.Document, vault: Vault) -> Mapping[str, object]:
    """A document in plain values, credentials by fingerprint."""
    plain: Mapping[str, object] = _plain(document, vault)
    return plain


def _wanted(
    state: State, declared: Sequence[Resource], vault: Vault
) -> tuple[dict[str, Resource], list[Resource], list[Step]]:
    """By id, what is to be there; what only the file still knows of; and what cannot be wanted."""
    wanted: dict[str, Resource] = {}
    absent: list[Resource] = []
    refused: list[Step] = []
    for resource in declared:
        there = state.get(resource.kind, resource.id)
        if resource.id in wanted:
            refused.append(_step(resource, state, reason=f"{wanted[resource.id].name} has this id already"))
        elif resource.origin == "api" and there is None and state.epoch:
            absent.append(resource)
        elif resource.origin == "api" and there is not None and there.origin == "api":
            wanted[resource.id] = there
        else:
            try:
                wanted[resource.id] = with_stored(resource, there, vault)
            except ValueError as error:
                refused.append(_step(resource, state, reason=str(error)))
                # Refused, and therefore as it was: nothing else is to be said about it.
                if there is not None:
                    wanted[resource.id] = there
    return wanted, absent, refused


def _gone(state: State, wanted: Mapping[str, Resource]) -> list[Resource]:
    """What the file declared once and declares no more, each ahead of what it refers to."""
    gone = [
        resource
        for kind in reversed(tuple(KINDS))
        for resource in state.all(kind).values()
        if resource.origin == "config" and resource.id not in wanted
    ]
    ours = (one for one in (*wanted.values(), *gone) if one.kind == "model" and one.origin == "config")
    routes = (state.get("route", route_id(model.id)) for model in ours)
    left = (route for route in routes if route is not None and route.origin == "api" and route.id not in wanted)
    return [*left, *gone]


def _differ(there: Resource, wanted: Resource) -> bool:
    if there.origin != wanted.origin or there.document != wanted.document:
        return True
    # Only models have values of any kind in them, of which Python may take two for the same that are not.
    return isinstance(wanted.document, docs.Model) and any(True for _ in _differing(there.document, wanted.document))


def _changes(before: Resource, after: Resource, vault: Vault) -> Iterator[Field]:
    if before.origin != after.origin:
        yield Field("origin", before.origin, after.origin)
    for name, old, new in _differing(before.document, after.document):
        yield Field(name, _plain(old, vault), _plain(new, vault))


def _differing(before: object, after: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    """The innermost named parts in which two values differ."""
    old, new = _parts(before), _parts(after)
    if old is not None and new is not None and type(before) is type(after):
        for part in dict.fromkeys((*old, *new)):
            yield from _differing(old.get(part), new.get(part), f"{name}.{part}" if name else part)
    elif not _equal(before, after):
        yield name, before, after


def _parts(value: object) -> Mapping[str, object] | None:
    """What a value is made of, by name; None for one that has no names in it."""
    if isinstance(value, msgspec.Struct):
        return {field: getattr(value, field) for field in value.__struct_fields__}
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


_DEFAULT = "default"
"""A limit that is left to the level's default, which is something else than none."""


def _equal(one: object, other: object) -> bool:
    if one == other and type(one) is type(other) and not isinstance(one, list):
        return True
    # Python takes 1, 1.0 and true for the same; the provider that is sent them may not.
    return one == other and msgspec.json.encode(one) == msgspec.json.encode(other)


def _plain(value: object, vault: Vault) -> Any:
    def credential(value: object) -> object:
        if isinstance(value, Secret):
            return reference(value, vault)
        raise TypeError(f"a document has no place for {type(value).__name__}")

    if value is msgspec.UNSET:
        return _DEFAULT
    return msgspec.to_builtins(value, enc_hook=credential, str_keys=True)


def _step(resource: Resource, state: State, *, fields: tuple[Field, ...] = (), reason: str = "") -> Step:
    # A route has no name of its own; people know it by its model's.
    model = state.get("model", resource.name) if resource.kind == "route" else None
    name = resource.name if model is None else model.name
    return Step(kind=resource.kind, id=resource.id, name=name, fields=fields, reason=reason)


def with_reasons(steps: Iterable[Step]) -> str:
    """Refused steps for people, one a line."""
    return "\n".join(f"{KINDS[step.kind].title} {step.name} ({step.id}): {step.reason}" for step in steps)
