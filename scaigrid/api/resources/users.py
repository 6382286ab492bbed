"""`/v1/users`: people and services that hold keys, and what they may do."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

from scaigrid.api.authority import Authority, judge
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.resources.naming import free_name, name_of
from scaigrid.api.view import View
from scaigrid.config.entities import Label, ModulePermission, Origin
from scaigrid.config.terms import Limits, Name, RoleName
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.dialects.shapes import OPEN, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.timestamps import iso

MANAGING = Requirement("users:manage")
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Email = Annotated[str, Meta(pattern=r"^[^@\x00-\x20\x7f]+@[^@\x00-\x20\x7f]+(?!\n)$", max_length=254)]
Role = Annotated[RoleName, OPEN]
GivenRoles = Annotated[tuple[RoleName, ...], Meta(max_length=32)]
GivenIds = Annotated[tuple[Id, ...], Meta(max_length=256)]
GivenPermissions = Annotated[tuple[ModulePermission, ...], Meta(max_length=256)]

T = TypeVar("T")


class UserGiven(RequestShape):
    """A user, as it is sent."""

    name: Name | None = None
    """Unique in its tenant. Left out: as it was; of a new one made from the email address, or else from the id."""
    display_name: Label | None = None
    """For people; the name where left out."""
    email: Email | None = None
    """Shown in the audit log; who signs in with a token is known by it where `external_id` names nobody."""
    external_id: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """Who it is at an identity provider: `issuer|subject`, with the issuer's name in the configuration. Unique."""
    roles: GivenRoles | None = None
    """Published roles, none that reaches farther than you do. Left out: as they were; of a new one `tenant_user`."""
    custom_role_ids: GivenIds | None = None
    """Roles of its tenant. Left out: as they were; of a new one none."""
    module_permissions: GivenPermissions | None = None
    """`{module}:resource:action`, besides those of its roles. Left out: as they were; of a new one none."""
    disabled: bool = False
    """Refuse its keys and tokens."""
    limits: Limits = Limits()
    """Request limits over all of its keys."""


class UserItem(Kept, kw_only=True):
    """A user. What its groups give it besides is in `GET /v1/users/{id}/roles`."""

    name: str
    tenant_id: str
    display_name: str
    email: str | None
    external_id: str | None
    roles: tuple[Role, ...]
    custom_role_ids: tuple[str, ...]
    module_permissions: tuple[str, ...]
    disabled: bool
    limits: Limits


class UsersQuery(PageQuery, frozen=True, kw_only=True):
    """Which users to list."""

    tenant_id: str | None = None
    name: str | None = None
    email: str | None = None
    external_id: str | None = None
    role: RoleName | None = None
    """Those who have it themselves, not by a group."""
    origin: Origin | None = None


class Users(Collection[UserGiven, UserItem]):
    kind = "user"
    path = "/v1/users"
    area = "Tenancy"
    singular = "User"
    plural = "Users"
    about = (
        "A tenant's administrators see those of their tenant, a partner's those of all of its tenants. Nobody changes, "
        "deletes or promotes a user beyond itself: who may do more than the caller, or reaches farther."
    )
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    given = UserGiven
    item = UserItem
    query = UsersQuery
    example_given = UserGiven(email="ada@example.com", display_name="Ada", roles=("tenant_user",))
    example_item = UserItem(
        **examples.kept("user"),
        name="ada",
        tenant_id=examples.id_of("tenant"),
        display_name="Ada",
        email="ada@example.com",
        external_id=None,
        roles=("tenant_user",),
        custom_role_ids=(),
        module_permissions=(),
        disabled=False,
        limits=Limits(),
    )

    def described(self, view: View, resource: Resource) -> UserItem:
        user = view.state.document(docs.User, resource.id)
        return UserItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=user.name,
            tenant_id=user.tenant_id,
            display_name=user.display_name or user.name,
            email=user.email,
            external_id=user.external_id,
            roles=user.roles,
            custom_role_ids=user.custom_role_ids,
            module_permissions=user.module_permissions,
            disabled=user.disabled,
            limits=user.limits,
        )

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        user = view.state.document(docs.User, resource.id)
        return {**super().given_of(view, resource), "display_name": user.display_name}

    def document(self, view: View, given: UserGiven, before: Resource | None) -> docs.User:
        tenant_id = view.acting_tenant
        was = docs.User(name="", tenant_id=tenant_id)
        if before is not None:
            was = view.state.document(docs.User, before.id)
        name = given.name or was.name
        if not name:
            stem = None if given.email is None else name_of(given.email.partition("@")[0])
            name = free_name(view.state, "user", tenant_id, stem or view.new_id)
        return docs.User(
            name=name,
            tenant_id=was.tenant_id,
            display_name=given.display_name,
            email=given.email,
            external_id=given.external_id,
            roles=once(was.roles if given.roles is None else given.roles),
            custom_role_ids=once(was.custom_role_ids if given.custom_role_ids is None else given.custom_role_ids),
            module_permissions=once(
                was.module_permissions if given.module_permissions is None else given.module_permissions
            ),
            disabled=given.disabled,
            limits=given.limits,
        )

    def may_change(self, view: View, resource: Resource) -> bool:
        return Authority(view).covers(Standings(view.state).of_user(resource.id))

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        own = before is not None and before.id == view.principal.user.id
        if after is None:
            if own:
                raise GatewayError(Code.CONFLICT, "You cannot delete yourself: have another administrator do it.")
            return ()
        if own and cast("docs.User", after.document).disabled:
            raise GatewayError(Code.CONFLICT, "You cannot disable yourself: have another administrator do it.")
        judge(view, view.state.after((after,), (), view.state.epoch), (after.id,))
        return ()

    def found(self, view: View, resources: Sequence[Resource], query: UsersQuery) -> Iterable[Resource]:
        others = super().found(view, resources, msgspec.structs.replace(query, role=None))
        if query.role is None:
            return others
        return [one for one in others if query.role in view.state.document(docs.User, one.id).roles]


def once(given: Iterable[T]) -> tuple[T, ...]:
    """Each in its first place."""
    return tuple(dict.fromkeys(given))
