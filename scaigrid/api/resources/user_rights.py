"""`/v1/users/{id}/roles` and `/v1/users/{id}/module-permissions`: what a user may do, apart from who it is."""

from typing import Any

import msgspec
from litestar import Response, put, route
from litestar.params import FromPath

from scaigrid.api.body import read_body
from scaigrid.api.crud import Asked, described, put_in_place, recorded, seen, writable
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing, noted
from scaigrid.api.resources.users import MANAGING, GivenIds, GivenPermissions, GivenRoles, Role, Users, once
from scaigrid.api.view import View, view_of
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.dialects.shapes import AnswerShape, RequestShape
from scaigrid.middleware import Services

_USERS = Users()


class UserRolesGiven(RequestShape):
    """The roles of a user, all of them."""

    roles: GivenRoles
    """Published roles, none that reaches farther than you do."""
    custom_role_ids: GivenIds = ()
    """Roles of its tenant."""


class UserRoles(AnswerShape, kw_only=True):
    """The roles of a user, and what follows from them."""

    user_id: str
    roles: tuple[Role, ...]
    """Its own."""
    custom_role_ids: tuple[str, ...]
    """Its own."""
    effective_roles: tuple[str, ...]
    """With those of its groups."""
    effective_custom_role_ids: tuple[str, ...]
    """With those of its groups."""
    permissions: tuple[str, ...]
    """Everything that these and its permissions of modules allow."""


class UserPermissionsGiven(RequestShape):
    """The permissions of modules that a user has besides those of its roles, all of them."""

    module_permissions: GivenPermissions
    """`{module}:resource:action`."""


class UserPermissions(AnswerShape, kw_only=True):
    """The permissions of modules that a user has besides those of its roles."""

    user_id: str
    module_permissions: tuple[str, ...]


@route("/v1/users/{id_:str}/roles", http_method=READ, guards=[MANAGING])
async def user_roles(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    user = seen(_USERS, view, id_)
    return described(_USERS, view, user, item=roles_of(view, user))


@put("/v1/users/{id_:str}/roles", guards=[Trying("user", "set_roles"), MANAGING])
async def set_user_roles(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body(), UserRolesGiven)
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = writable(_USERS, view, id_, request)
        told = roles_of(view, before)
        user = msgspec.structs.replace(
            change.state.document(docs.User, before.id),
            roles=once(given.roles),
            custom_role_ids=once(given.custom_role_ids),
        )
        kept, view = put_in_place(_USERS, change, view, before, msgspec.structs.replace(before, document=user))
        item = roles_of(view, kept)
        noted(view.exchange, "user", "set_roles", kept.id, before=told, after=recorded(item, view.also))
    return described(_USERS, view, kept, item=item)


@route("/v1/users/{id_:str}/module-permissions", http_method=READ, guards=[MANAGING])
async def user_permissions(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    user = seen(_USERS, view, id_)
    return described(_USERS, view, user, item=permissions_of(view, user))


@put("/v1/users/{id_:str}/module-permissions", guards=[Trying("user", "set_module_permissions"), MANAGING])
async def set_user_permissions(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body(), UserPermissionsGiven)
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = writable(_USERS, view, id_, request)
        told = permissions_of(view, before)
        user = msgspec.structs.replace(
            change.state.document(docs.User, before.id), module_permissions=once(given.module_permissions)
        )
        kept, view = put_in_place(_USERS, change, view, before, msgspec.structs.replace(before, document=user))
        item = permissions_of(view, kept)
        noted(view.exchange, "user", "set_module_permissions", kept.id, before=told, after=item)
    return described(_USERS, view, kept, item=item)


def roles_of(view: View, user: Resource) -> UserRoles:
    own = view.state.document(docs.User, user.id)
    standing = Standings(view.state).of_user(user.id)
    return UserRoles(
        user_id=user.id,
        roles=own.roles,
        custom_role_ids=own.custom_role_ids,
        effective_roles=standing.roles,
        effective_custom_role_ids=standing.custom_role_ids,
        permissions=tuple(sorted(standing.permissions)),
    )


def permissions_of(view: View, user: Resource) -> UserPermissions:
    own = view.state.document(docs.User, user.id)
    return UserPermissions(user_id=user.id, module_permissions=own.module_permissions)


HANDLERS = (user_roles, set_user_roles, user_permissions, set_user_permissions)
