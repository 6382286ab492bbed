"""Users, groups and keys that a test makes over the API, where what the file declares cannot be changed."""

from typing import Any

import msgspec

from scaigrid.api.view import View
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from scaigrid.exchange import Exchange
from scaigrid.ids import declared_id
from tests.scaigrid.api.control_plane import Answer, ControlPlane, key_digest

TENANT = "X-ScaiGrid-Tenant"


def user(name: str) -> str:
    """The id of a user of the platform."""
    return declared_id("user", name)


def tenant(slug: str) -> str:
    return declared_id("tenant", slug)


async def make(plane: ControlPlane, path: str, body: Any, *, who: str = "super", where: str = "a") -> Any:
    """What was made, in the tenant `where`."""
    answer = await plane.ask("POST", path, body, who=who, headers={TENANT: where})
    assert answer.status == 201, answer.body
    return answer.json["data"]


async def make_user(plane: ControlPlane, *, where: str = "a", **fields: Any) -> str:
    """The id of a new user, made by the super admin."""
    return str((await make(plane, "/v1/users", fields, where=where))["id"])


async def make_key(plane: ControlPlane, user_id: str, **fields: Any) -> str:
    """The text of a new key of a user, made by the super admin."""
    body = {"name": "k", "assigned_user_id": user_id, **fields}
    answer = await plane.ask("POST", "/v1/api-keys", body, who="super")
    assert answer.status == 201, answer.body
    return str(answer.json["data"]["key"])


async def make_caller(
    plane: ControlPlane, *, where: str = "a", key: dict[str, Any] | None = None, **fields: Any
) -> str:
    """The text of a key of a new user."""
    return await make_key(plane, await make_user(plane, where=where, **fields), **(key or {}))


async def make_help_desk(plane: ControlPlane, *permissions: str, where: str = "a", **key: Any) -> str:
    """The text of a key of somebody who manages users by a custom role, and is no administrator."""
    body = {"name": "Help desk", "core_permissions": ["users:manage", *permissions]}
    role = await make(plane, "/v1/iam/custom-roles", body, where=where)
    return await make_caller(plane, where=where, key=key, roles=["tenant_viewer"], custom_role_ids=[role["id"]])


async def roles_of(plane: ControlPlane, user_id: str) -> Any:
    """What `/roles` says of a user."""
    return (await plane.get(f"/v1/users/{user_id}/roles", "super")).json["data"]


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


DENIED = (403, "AUTHZ_PERMISSION_DENIED")
NO_SCOPE = (403, "AUTH_INSUFFICIENT_SCOPE")
NOT_THERE = (404, "NOT_FOUND")
INVALID = (422, "VALIDATION_ERROR")
CONFLICT = (409, "CONFLICT")
MANAGED = (409, "MANAGED_BY_CONFIG")


def view_of(plane: ControlPlane, who: str, state: State | None = None, **principal: Any) -> View:
    """What a request by the holder of a key works on; `principal` says what is otherwise than the file declares it."""
    snapshot = plane.services.current.snapshot
    exchange = Exchange(
        request_id="req_12345678",
        method="GET",
        path="/v1/users",
        dialect=plane.services.dialect_of("/v1"),
        snapshot=snapshot,
        principal=msgspec.structs.replace(snapshot.keys[key_digest(who)], **principal),
        started=0.0,
        started_at=0.0,
    )
    return View(
        exchange=exchange,
        state=state or State.of(resources_of(plane.config)),
        services=plane.services,
        control=plane.control,
        adapters={},
        tenant_id=None,
    )
