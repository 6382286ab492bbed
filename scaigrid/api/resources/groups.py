"""`/v1/groups`: users of one tenant who get roles and models together."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from scaigrid.api.authority import Authority, judge
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.resources import examples
from scaigrid.api.resources.users import MANAGING, Id, once
from scaigrid.api.view import View
from scaigrid.config.entities import Label, Origin
from scaigrid.config.terms import Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.control.state import Gone, State
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.timestamps import iso


class GroupGiven(RequestShape):
    """A group, as it is sent."""

    name: Name
    """Unique in its tenant."""
    display_name: Label | None = None
    """For people; the name where left out."""
    description: Annotated[str, Meta(max_length=1024)] | None = None
    """For people."""
    external_name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """Its name in the groups claim of an identity provider: who signs in with it is a member."""
    user_ids: Annotated[tuple[Id, ...], Meta(max_length=10_000)] = ()
    """Its members, users of its tenant."""


class GroupItem(Kept, kw_only=True):
    """A group."""

    name: str
    tenant_id: str
    display_name: str
    description: str | None
    external_name: str | None
    user_ids: tuple[str, ...]


class GroupsQuery(PageQuery, frozen=True, kw_only=True):
    """Which groups to list."""

    tenant_id: str | None = None
    name: str | None = None
    origin: Origin | None = None


class Groups(Collection[GroupGiven, GroupItem]):
    kind = "group"
    path = "/v1/groups"
    area = "Tenancy"
    singular = "Group"
    plural = "Groups"
    about = (
        "Its members have the roles that role mappings give it, and the models that are granted to it. Who is taken "
        "out of a group keeps the roles of those mappings that say `auto_revoke: false`: they become its own."
    )
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    given = GroupGiven
    item = GroupItem
    query = GroupsQuery
    example_given = GroupGiven(name="engineers", display_name="Engineers", user_ids=(examples.id_of("user"),))
    example_item = GroupItem(
        **examples.kept("group"),
        name="engineers",
        tenant_id=examples.id_of("tenant"),
        display_name="Engineers",
        description=None,
        external_name=None,
        user_ids=(examples.id_of("user"),),
    )

    def described(self, view: View, resource: Resource) -> GroupItem:
        group = view.state.document(docs.Group, resource.id)
        return GroupItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=group.name,
            tenant_id=group.tenant_id,
            display_name=group.display_name or group.name,
            description=group.description,
            external_name=group.external_name,
            user_ids=group.user_ids,
        )

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        group = view.state.document(docs.Group, resource.id)
        return {**super().given_of(view, resource), "display_name": group.display_name}

    def document(self, view: View, given: GroupGiven, before: Resource | None) -> docs.Group:
        tenant_id = view.acting_tenant
        if before is not None:
            tenant_id = view.state.document(docs.Group, before.id).tenant_id
        return docs.Group(
            name=given.name,
            tenant_id=tenant_id,
            display_name=given.display_name,
            description=given.description,
            external_name=given.external_name,
            user_ids=once(given.user_ids),
        )

    def may_change(self, view: View, resource: Resource) -> bool:
        # By `external_name` alone anybody may be made a member.
        authority, standings = Authority(view), Standings(view.state)
        given = (standings.of_mapping(mapping) for _, mapping in standings.mappings.get(resource.id, ()))
        return all(map(authority.covers, given))

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        also = tuple(self.along(view, before, after))
        changed = also if after is None else (*also, after)
        gone = (Gone("group", before.id),) if before is not None and after is None else ()
        judge(view, view.state.after(changed, gone, view.state.epoch), sorted(_members(before) ^ _members(after)))
        return ()

    def along(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Resource]:
        """Those who leave, with the roles that they keep."""
        if before is None:
            return ()
        standings = Standings(view.state)
        kept = [mapping for _, mapping in standings.mappings.get(before.id, ()) if not mapping.auto_revoke]
        return keepers(view.state, sorted(_members(before) - _members(after)), kept)


def keepers(state: State, users: Iterable[str], mappings: Iterable[docs.RoleMapping]) -> Iterator[Resource]:
    """The users who lose these mappings, as they are with the roles for their own; those who have them are left out.

    Raises MANAGED_BY_CONFIG for one whom the file declares: there the role would have to be given.
    """
    given = list(mappings)
    for user_id in users:
        resource = state.all("user")[user_id]
        user = cast("docs.User", resource.document)
        roles = (mapping.role for mapping in given if mapping.role is not None)
        custom = (mapping.custom_role_id for mapping in given if mapping.custom_role_id is not None)
        becomes = msgspec.structs.replace(
            user, roles=once((*user.roles, *roles)), custom_role_ids=once((*user.custom_role_ids, *custom))
        )
        if becomes == user:
            continue
        if resource.origin == "config":
            raise GatewayError(
                Code.MANAGED_BY_CONFIG,
                "A role mapping has members keep its role, and a member of this group is declared in the configuration "
                "file: give the role there first, or set auto_revoke to true.",
                details=(Detail("user_ids", f"{user.name} ({user_id}) would keep a role"),),
            )
        yield msgspec.structs.replace(resource, document=becomes)


def _members(group: Resource | None) -> frozenset[str]:
    return frozenset() if group is None else frozenset(cast("docs.Group", group.document).user_ids)
