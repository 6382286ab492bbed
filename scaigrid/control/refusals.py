"""What a plan may not do: take another's name or key, refer to nothing, delete what is in use, break a rule."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from scaigrid.adapter import Adapter
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.rules import faults
from scaigrid.control.state import State
from scaigrid.errors import GatewayError

_MOST_NAMED = 5


class Refusal(NamedTuple):
    """A resource, and why the step about it may not be taken."""

    resource: Resource
    reason: str


def refusals(
    put: Sequence[Resource], gone: Sequence[Resource], before: State, after: State, adapters: Mapping[str, Adapter]
) -> Iterator[Refusal]:
    """Every refusal of a step from one state to the other, which puts some resources in place and takes some out."""
    yield from _names(put, after)
    yield from _keys(put, after)
    lost = list(_lost(put, after))
    yield from lost
    yield from _in_use(gone, after)
    if not lost:
        yield from _rules(put, before, after, adapters)


def _names(put: Sequence[Resource], after: State) -> Iterator[Refusal]:
    ours = {resource.id for resource in put}
    holders: dict[tuple[str, str, str], list[Resource]] = {}
    for resource in after:
        if resource.is_a.unique:
            holders.setdefault((resource.kind, resource.owner, resource.name), []).append(resource)
    for resource in put:
        for other in holders.get((resource.kind, resource.owner, resource.name), ()):
            if other.id == resource.id:
                continue
            if other.origin == "api":
                yield Refusal(
                    resource,
                    f"the name belongs to {other.id}, which is managed over the API: give that id to take it over, "
                    "or choose another name",
                )
            elif resource.id > other.id or other.id not in ours:
                yield Refusal(resource, f"the file declares another {resource.is_a.title} of this name")


def _keys(put: Iterable[Resource], after: State) -> Iterator[Refusal]:
    """Two entries of one key: nobody could say whose it is."""
    holders: dict[str, str] = {}
    for id_, key in after.documents(docs.ApiKey):
        holders.setdefault(key.sha256, id_)
    for resource in put:
        if isinstance(resource.document, docs.ApiKey):
            other = holders[resource.document.sha256]
            if other != resource.id:
                yield Refusal(resource, f"the same key as {other}: each needs a key of its own")


def _lost(put: Iterable[Resource], after: State) -> Iterator[Refusal]:
    for resource in put:
        for reference in resource.is_a.references(resource.document):
            if after.get(reference.kind, reference.id) is None:
                yield Refusal(resource, f"{reference.field}: there is no {reference.kind} {reference.id}")


def _in_use(gone: Iterable[Resource], after: State) -> Iterator[Refusal]:
    for resource in gone:
        users = after.users_of(resource.kind, resource.id)
        if users:
            names = ", ".join(f"{user.is_a.title} {user.name} ({user.id})" for user in users[:_MOST_NAMED])
            more = f" and {len(users) - _MOST_NAMED} more" if len(users) > _MOST_NAMED else ""
            yield Refusal(resource, f"in use by {names}{more}")


def _rules(put: Sequence[Resource], before: State, after: State, adapters: Mapping[str, Adapter]) -> Iterator[Refusal]:
    """What the kinds demand, of what is put and of those who refer to it."""
    ours = {resource.id for resource in put}
    for resource in put:
        for fault in _faults(resource, after, adapters):
            yield Refusal(resource, fault)
    referring = {
        user.id: user for resource in put for user in after.users_of(resource.kind, resource.id) if user.id not in ours
    }
    for user in referring.values():
        # What was wrong already is not this plan's doing.
        known = set(_faults(user, before, adapters))
        for fault in _faults(user, after, adapters):
            if fault not in known:
                yield Refusal(user, fault)


def _faults(resource: Resource, state: State, adapters: Mapping[str, Adapter]) -> Sequence[str]:
    try:
        return [f"{fault.field}: {fault.message}" for fault in faults(resource, state, adapters)]
    except GatewayError:
        # A name that is taken: told above, of everything that is put.
        return ()
