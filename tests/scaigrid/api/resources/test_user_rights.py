"""What a user may do is told and given apart from who it is."""

from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import (
    CONFLICT,
    DENIED,
    INVALID,
    MANAGED,
    NOT_THERE,
    make,
    make_help_desk,
    make_key,
    make_user,
    refused,
    user,
)


async def test_roles_are_told_with_what_follows_from_them(plane: ControlPlane) -> None:
    desk = await make(plane, "/v1/iam/custom-roles", {"name": "Desk", "core_permissions": ["users:manage"]})
    extra = await make(plane, "/v1/iam/custom-roles", {"name": "Box", "module_permissions": ["mail:box:read"]})
    ada = await make_user(plane, roles=["tenant_viewer"], custom_role_ids=[desk["id"]])
    group = (await make(plane, "/v1/groups", {"name": "all", "user_ids": [ada]}))["id"]
    await make(plane, "/v1/role-mappings", {"group_id": group, "role": "tenant_user"})
    await make(plane, "/v1/role-mappings", {"group_id": group, "custom_role_id": extra["id"]})
    told = (await plane.get(f"/v1/users/{ada}/roles", "admin_a")).json["data"]
    assert told == {
        "user_id": ada,
        "roles": ["tenant_viewer"],
        "custom_role_ids": [desk["id"]],
        "effective_roles": ["tenant_viewer", "tenant_user"],
        "effective_custom_role_ids": [desk["id"], extra["id"]],
        "permissions": [
            "accounting:view_own",
            "api_keys:manage",
            "mail:box:read",
            "models:list",
            "models:use",
            "modules:use",
            "users:manage",
        ],
    }


async def test_roles_are_set_as_a_whole_and_hold_at_once(plane: ControlPlane) -> None:
    ada = await make_user(plane)
    key = await make_key(plane, ada)
    role = await make(plane, "/v1/iam/custom-roles", {"name": "r"})
    body = {"roles": ["tenant_admin", "tenant_admin"], "custom_role_ids": [role["id"]]}
    answer = await plane.ask("PUT", f"/v1/users/{ada}/roles", body, who="admin_a")
    assert (answer.status, answer.json["data"]["roles"]) == (200, ["tenant_admin"])
    assert (await plane.ask("GET", "/v1/me", token=key)).json["data"]["roles"] == ["tenant_admin"]
    answer = await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": []}, who="admin_a")
    assert answer.json["data"]["custom_role_ids"] == []
    assert (await plane.ask("GET", "/v1/me", token=key)).json["data"]["permissions"] == []


async def test_permissions_of_modules_are_set_as_a_whole(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane)}/module-permissions"
    assert (await plane.get(path, "admin_a")).json["data"]["module_permissions"] == []
    answer = await plane.ask("PUT", path, {"module_permissions": ["mail:box:read", "mail:box:read"]}, who="admin_a")
    assert (answer.status, answer.json["data"]["module_permissions"]) == (200, ["mail:box:read"])
    assert (await plane.get(path, "admin_a")).json["data"]["module_permissions"] == ["mail:box:read"]


async def test_a_body_without_roles_takes_none_away(plane: ControlPlane) -> None:
    ada = await make_user(plane)
    for path, field in (("roles", "roles"), ("module-permissions", "module_permissions")):
        answer = await plane.ask("PUT", f"/v1/users/{ada}/{path}", {}, who="admin_a")
        assert (refused(answer), list(answer.details)) == (INVALID, [field])


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane)}/roles"
    tag = (await plane.get(path, "admin_a")).headers["etag"]
    for expected in (200, 412):
        answer = await plane.ask("PUT", path, {"roles": []}, who="admin_a", headers={"If-Match": tag})
        assert answer.status == expected


async def test_nobody_gives_a_role_beyond_itself(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane)}/roles"
    for who, role in (("admin_a", "partner_viewer"), ("admin_a", "super_admin"), ("partner_one", "super_admin")):
        assert refused(await plane.ask("PUT", path, {"roles": [role]}, who=who)) == DENIED


async def test_nobody_takes_a_role_from_who_is_beyond(plane: ControlPlane) -> None:
    chief = await make_user(plane, roles=["super_admin"])
    for who in ("admin_a", "partner_one"):
        assert refused(await plane.ask("PUT", f"/v1/users/{chief}/roles", {"roles": []}, who=who)) == DENIED
        path = f"/v1/users/{chief}/module-permissions"
        assert refused(await plane.ask("PUT", path, {"module_permissions": []}, who=who)) == DENIED


async def test_nobody_takes_its_last_administrator_role_from_itself(plane: ControlPlane) -> None:
    me = await make_user(plane, roles=["tenant_admin"])
    key = await make_key(plane, me)
    assert refused(await plane.ask("PUT", f"/v1/users/{me}/roles", {"roles": []}, token=key)) == CONFLICT


async def test_a_permission_of_the_core_cannot_pass_for_one_of_a_module(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane)}/module-permissions"
    answer = await plane.ask("PUT", path, {"module_permissions": ["routing:manage"]}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["module_permissions[0]"])


async def test_who_is_no_administrator_gives_no_permission_of_a_module_that_it_lacks(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    path = f"/v1/users/{await make_user(plane, roles=[])}/module-permissions"
    body = {"module_permissions": ["mail:box:read"]}
    assert refused(await plane.ask("PUT", path, body, token=desk)) == DENIED


async def test_users_out_of_sight_and_of_the_file(plane: ControlPlane) -> None:
    far = await make_user(plane, where="c")
    bodies: dict[str, dict[str, list[str]]] = {"roles": {"roles": []}, "module-permissions": {"module_permissions": []}}
    for path, body in bodies.items():
        assert refused(await plane.get(f"/v1/users/{far}/{path}", "admin_a")) == NOT_THERE
        assert refused(await plane.ask("PUT", f"/v1/users/{far}/{path}", body, who="partner_one")) == NOT_THERE
        own = f"/v1/users/{user('user_a')}/{path}"
        assert refused(await plane.ask("PUT", own, body, who="admin_a")) == MANAGED
        assert refused(await plane.get(own, "user_a")) == DENIED


async def test_what_was_given_is_in_the_audit_log(plane: ControlPlane) -> None:
    ada = await make_user(plane)
    await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": ["tenant_admin"]}, who="admin_a")
    await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": ["super_admin"]}, who="admin_a")
    done, tried = plane.kept.audit[-2:]
    assert (done.action, done.resource_id, done.status) == ("user.set_roles", ada, "SUCCESS")
    assert b'"roles":["tenant_user"]' in bytes(done.before or b"")
    assert b'"roles":["tenant_admin"]' in bytes(done.after or b"")
    assert (tried.action, tried.resource_id, tried.error_code) == ("user.set_roles", ada, "AUTHZ_PERMISSION_DENIED")
