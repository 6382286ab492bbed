"""What users may do, and who is in a group."""

from scaigrid.api import examples
from scaigrid.api.operation import Operation
from scaigrid.api.resources.examples import id_of
from scaigrid.api.resources.groups import GroupItem, Groups
from scaigrid.api.resources.user_rights import (
    UserPermissions,
    UserPermissionsGiven,
    UserRoles,
    UserRolesGiven,
)
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_USER = {"id": "The id of the user."}
_MEMBER = {"id": "The id of the group.", "user_id": "The id of a user of its tenant."}
_READING = (Code.NOT_FOUND, Code.STORE_UNAVAILABLE, Code.VALIDATION_ERROR)
_CHANGING = (Code.NOT_FOUND, Code.CONFLICT, Code.MANAGED_BY_CONFIG, Code.STORE_UNAVAILABLE)
_ROLES = UserRoles(
    user_id=id_of("user"),
    roles=("tenant_viewer",),
    custom_role_ids=(),
    effective_roles=("tenant_viewer",),
    effective_custom_role_ids=(id_of("role"),),
    permissions=("accounting:view_own", "models:list", "users:manage"),
)
_PERMISSIONS = UserPermissions(user_id=id_of("user"), module_permissions=("mail:box:read",))

ROWS = (
    Operation(
        path="/v1/users/{id}/roles",
        name="getUserRoles",
        summary="The roles of a user",
        description="Its own, and with them those of its groups. What a token says at sign-in is not among them.",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_USER,
        answer=Envelope[UserRoles],
        example=examples.enveloped(_ROLES),
        codes=_READING,
    ),
    Operation(
        method="put",
        path="/v1/users/{id}/roles",
        name="setUserRoles",
        summary="Give a user its roles",
        description="All of its own; those of its groups stay. Nobody gives a role that reaches farther than it does "
        "itself, takes one from who may do more, or takes from itself the role by which it manages users.",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_USER,
        body=UserRolesGiven,
        body_example=UserRolesGiven(roles=("tenant_viewer",)),
        answer=Envelope[UserRoles],
        example=examples.enveloped(_ROLES),
        codes=_CHANGING,
    ),
    Operation(
        path="/v1/users/{id}/module-permissions",
        name="getUserModulePermissions",
        summary="The permissions of modules that a user has besides those of its roles",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_USER,
        answer=Envelope[UserPermissions],
        example=examples.enveloped(_PERMISSIONS),
        codes=_READING,
    ),
    Operation(
        method="put",
        path="/v1/users/{id}/module-permissions",
        name="setUserModulePermissions",
        summary="Give a user permissions of modules",
        description="All of those that it has besides those of its roles.",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_USER,
        body=UserPermissionsGiven,
        body_example=UserPermissionsGiven(module_permissions=("mail:box:read",)),
        answer=Envelope[UserPermissions],
        example=examples.enveloped(_PERMISSIONS),
        codes=_CHANGING,
    ),
    Operation(
        method="put",
        path="/v1/groups/{id}/members/{user_id}",
        name="addGroupMember",
        summary="Put a user into a group",
        description="Who is in it already stays in it.",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_MEMBER,
        answer=Envelope[GroupItem],
        example=examples.enveloped(Groups.example_item),
        codes=(*_CHANGING, Code.VALIDATION_ERROR),
    ),
    Operation(
        method="delete",
        path="/v1/groups/{id}/members/{user_id}",
        name="removeGroupMember",
        summary="Take a user out of a group",
        description="It keeps the roles of those mappings of the group that say `auto_revoke: false`.",
        permission="users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_MEMBER,
        status=204,
        codes=(*_CHANGING, Code.VALIDATION_ERROR),
    ),
)
