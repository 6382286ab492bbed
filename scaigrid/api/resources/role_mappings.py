"""`/v1/role-mappings`: the roles that the members of a group have."""

from collections.abc import Iterable, Iterator
from typing import cast

from scaigrid.api.authority import Authority, judge
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.resources import examples
from scaigrid.api.resources.groups import keepers
from scaigrid.api.resources.users import MANAGING, Id, Role
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Name, RoleName
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.control.state import Gone
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.timestamps import iso


class RoleMappingGiven(RequestShape):
    """A role mapping, as it is sent: one group, one role."""

    group_id: Id
    """The group. It does not change."""
    role: RoleName | None = None
    """A published role, none that reaches farther than you do, and not `super_admin`."""
    custom_role_id: Id | None = None
    """Instead of `role`: a custom role of the group's tenant."""
    auto_revoke: bool = True
    """Take the role away from who leaves the group. `false`: who is taken out of the group over the API keeps it as a
    role of its own, and so do all members when the mapping is deleted or gets another role."""
    name: Name | None = None
    """Unique in its group. Left out: as the role is called."""


class RoleMappingItem(Kept, kw_only=True):
    """A role mapping."""

    name: str
    group_id: str
    tenant_id: str
    role: Role | None
    custom_role_id: str | None
    auto_revoke: bool


class RoleMappingsQuery(PageQuery, frozen=True, kw_only=True):
    """Which role mappings to list."""

    group_id: str | None = None
    role: RoleName | None = None
    custom_role_id: str | None = None
    origin: Origin | None = None


class RoleMappings(Collection[RoleMappingGiven, RoleMappingItem]):
    kind = "role_mapping"
    path = "/v1/role-mappings"
    area = "Tenancy"
    singular = "RoleMapping"
    plural = "RoleMappings"
    about = "Who signs in with a token is a member of those groups too that the token names."
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    given = RoleMappingGiven
    item = RoleMappingItem
    query = RoleMappingsQuery
    example_given = RoleMappingGiven(group_id=examples.id_of("group"), role="tenant_admin")
    example_item = RoleMappingItem(
        **examples.kept("rolemap"),
        name="tenant_admin",
        group_id=examples.id_of("group"),
        tenant_id=examples.id_of("tenant"),
        role="tenant_admin",
        custom_role_id=None,
        auto_revoke=True,
    )

    def described(self, view: View, resource: Resource) -> RoleMappingItem:
        mapping = view.state.document(docs.RoleMapping, resource.id)
        return RoleMappingItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=mapping.name,
            group_id=mapping.group_id,
            tenant_id=view.state.document(docs.Group, mapping.group_id).tenant_id,
            role=mapping.role,
            custom_role_id=mapping.custom_role_id,
            auto_revoke=mapping.auto_revoke,
        )

    def document(self, view: View, given: RoleMappingGiven, before: Resource | None) -> docs.RoleMapping:
        details = tuple(_faults(view, given, before))
        if details:
            raise GatewayError(Code.VALIDATION_ERROR, details=details)
        name: str | None = given.name or given.role
        if name is None and given.custom_role_id is not None:
            name = view.known("role", given.custom_role_id, "custom_role_id").name
        return docs.RoleMapping(
            name=name or "",
            group_id=given.group_id,
            role=given.role,
            custom_role_id=given.custom_role_id,
            auto_revoke=given.auto_revoke,
        )

    def may_change(self, view: View, resource: Resource) -> bool:
        mapping = view.state.document(docs.RoleMapping, resource.id)
        return Authority(view).covers(Standings(view.state).of_mapping(mapping))

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        also = tuple(self.along(view, before, after))
        changed = also if after is None else (*also, after)
        gone = (Gone("role_mapping", before.id),) if before is not None and after is None else ()
        state = view.state.after(changed, gone, view.state.epoch)
        if after is not None:
            # Whether or not anybody is in the group yet.
            Authority(view).gives(Standings(state).of_mapping(cast("docs.RoleMapping", after.document)), "this role")
        judge(view, state, _members(view, before or after))
        return ()

    def along(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Resource]:
        """The members, with the role that they keep."""
        if before is None:
            return ()
        was = cast("docs.RoleMapping", before.document)
        still = None if after is None else cast("docs.RoleMapping", after.document)
        same = still is not None and (was.role, was.custom_role_id) == (still.role, still.custom_role_id)
        return () if was.auto_revoke or same else keepers(view.state, _members(view, before), (was,))


def _faults(view: View, given: RoleMappingGiven, before: Resource | None) -> Iterator[Detail]:
    if (given.role is None) == (given.custom_role_id is None):
        yield Detail("role", "give exactly one of `role` and `custom_role_id`")
    if before is not None and given.group_id != view.state.document(docs.RoleMapping, before.id).group_id:
        yield Detail("group_id", "does not change: make another mapping")


def _members(view: View, mapping: Resource | None) -> tuple[str, ...]:
    group_id = cast("docs.RoleMapping", mapping.document).group_id if mapping else ""
    return view.state.document(docs.Group, group_id).user_ids
