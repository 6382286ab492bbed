"""`/v1/iam/custom-roles`: roles of one tenant, on top of the published ones."""

from collections.abc import Iterable, Iterator
from typing import Annotated, cast

from msgspec import Meta

from scaigrid import roles
from scaigrid.api.authority import Authority, judge
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.resources import examples
from scaigrid.api.resources.naming import free_name, name_of
from scaigrid.api.resources.users import MANAGING, GivenPermissions, once
from scaigrid.api.view import View
from scaigrid.config.entities import Label, Origin, Permission
from scaigrid.config.terms import Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standing, Standings
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Detail
from scaigrid.timestamps import iso


class CustomRoleGiven(RequestShape):
    """A custom role, as it is sent."""

    name: Label
    """For people."""
    slug: Name | None = None
    """Unique in its tenant, and none of the published roles; what an identity provider's roles are mapped to. Left out:
    as it was; of a new one made from the name."""
    description: Annotated[str, Meta(max_length=1024)] | None = None
    """For people."""
    core_permissions: Annotated[tuple[Permission, ...], Meta(max_length=64)] = ()
    """None that a tenant's administrator lacks."""
    module_permissions: GivenPermissions = ()
    """`{module}:resource:action`."""


class CustomRoleItem(Kept, kw_only=True):
    """A custom role."""

    name: str
    slug: str
    tenant_id: str
    description: str | None
    core_permissions: tuple[str, ...]
    module_permissions: tuple[str, ...]


class CustomRolesQuery(PageQuery, frozen=True, kw_only=True):
    """Which custom roles to list."""

    tenant_id: str | None = None
    slug: str | None = None
    origin: Origin | None = None


class CustomRoles(Collection[CustomRoleGiven, CustomRoleItem]):
    kind = "role"
    path = "/v1/iam/custom-roles"
    area = "Tenancy"
    singular = "CustomRole"
    plural = "CustomRoles"
    about = "Permissions add up. What a custom role gives reaches no farther than its tenant."
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    given = CustomRoleGiven
    item = CustomRoleItem
    query = CustomRolesQuery
    example_given = CustomRoleGiven(name="Help desk", slug="help-desk", core_permissions=("users:manage",))
    example_item = CustomRoleItem(
        **examples.kept("role"),
        name="Help desk",
        slug="help-desk",
        tenant_id=examples.id_of("tenant"),
        description=None,
        core_permissions=("users:manage",),
        module_permissions=(),
    )

    def described(self, view: View, resource: Resource) -> CustomRoleItem:
        role = view.state.document(docs.CustomRole, resource.id)
        return CustomRoleItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=role.display_name or role.name,
            slug=role.name,
            tenant_id=role.tenant_id,
            description=role.description,
            core_permissions=role.core_permissions,
            module_permissions=role.module_permissions,
        )

    def document(self, view: View, given: CustomRoleGiven, before: Resource | None) -> docs.CustomRole:
        if before is not None:
            was = view.state.document(docs.CustomRole, before.id)
            tenant_id, slug = was.tenant_id, given.slug or was.name
        else:
            tenant_id = view.acting_tenant
            slug = given.slug or free_name(view.state, "role", tenant_id, name_of(given.name) or view.new_id)
        return docs.CustomRole(
            name=slug,
            tenant_id=tenant_id,
            display_name=given.name,
            description=given.description,
            core_permissions=once(given.core_permissions),
            module_permissions=once(given.module_permissions),
        )

    def may_change(self, view: View, resource: Resource) -> bool:
        return Authority(view).covers(_gives(resource))

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        if after is None:
            # Nobody holds it: what is in use is not deleted.
            return ()
        Authority(view).gives(_gives(after), "this role")
        if before is not None:
            holders = Standings(view.state).holders(before.id)
            judge(view, view.state.after((after,), (), view.state.epoch), sorted(holders))
        return _faults(after)

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        return resource.name if name == "slug" else super().filtered(view, resource, name)


def _gives(resource: Resource) -> Standing:
    """What the role gives by itself, whether or not these are permissions that there are."""
    role = cast("docs.CustomRole", resource.document)
    given = (*role.core_permissions, *role.module_permissions)
    return Standing(roles=(), custom_role_ids=(resource.id,), powers=dict.fromkeys(given, "tenant"))


def _faults(resource: Resource) -> Iterator[Detail]:
    if resource.name in roles.ROLES:
        yield Detail("slug", "is the name of a published role")
