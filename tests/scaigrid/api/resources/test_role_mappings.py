"""Role mappings: a group gives what its mappings say, and nobody maps what lies beyond itself."""

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
    roles_of,
    user,
)


async def _group(plane: ControlPlane, *members: str, where: str = "a") -> str:
    return str((await make(plane, "/v1/groups", {"name": "g", "user_ids": members}, where=where))["id"])


async def test_a_mapping_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=[])
    group = await _group(plane, ada)
    made = await plane.ask("POST", "/v1/role-mappings", {"group_id": group, "role": "tenant_user"}, who="admin_a")
    assert made.status == 201
    mapping = made.json["data"]
    assert (mapping["name"], mapping["auto_revoke"], mapping["custom_role_id"]) == ("tenant_user", True, None)
    path = f"/v1/role-mappings/{mapping['id']}"
    assert (await plane.get(path, "admin_a")).json["data"] == mapping
    assert (await roles_of(plane, ada))["effective_roles"] == ["tenant_user"]
    await plane.ask("PUT", path, {"group_id": group, "role": "tenant_admin"}, who="admin_a")
    assert (await roles_of(plane, ada))["effective_roles"] == ["tenant_admin"]
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert (await roles_of(plane, ada))["effective_roles"] == []


async def test_a_role_is_mapped_once(plane: ControlPlane) -> None:
    group = await _group(plane)
    role = await make(plane, "/v1/iam/custom-roles", {"name": "Help desk"})
    for body in ({"role": "tenant_user"}, {"custom_role_id": role["id"]}):
        first = await plane.ask("POST", "/v1/role-mappings", {"group_id": group, **body}, who="admin_a")
        assert first.status == 201
        again = await plane.ask("POST", "/v1/role-mappings", {"group_id": group, **body}, who="admin_a")
        assert again.code == "SLUG_CONFLICT"
    named = await plane.get(f"/v1/role-mappings?custom_role_id={role['id']}", "admin_a")
    assert [item["name"] for item in named.json["data"]["items"]] == ["help-desk"]


async def test_exactly_one_role_is_given(plane: ControlPlane) -> None:
    group = await _group(plane)
    role = await make(plane, "/v1/iam/custom-roles", {"name": "r"})
    for body in ({}, {"role": "tenant_user", "custom_role_id": role["id"]}):
        answer = await plane.ask("POST", "/v1/role-mappings", {"group_id": group, **body}, who="admin_a")
        assert (refused(answer), list(answer.details)) == (INVALID, ["role"])
    made = await make(plane, "/v1/role-mappings", {"group_id": group, "role": "tenant_user"})
    patch = {"role": None, "custom_role_id": role["id"]}
    changed = await plane.ask("PATCH", f"/v1/role-mappings/{made['id']}", patch, who="admin_a")
    assert (changed.json["data"]["role"], changed.json["data"]["custom_role_id"]) == (None, role["id"])


async def test_a_mapping_moves_to_no_other_group(plane: ControlPlane) -> None:
    one = await _group(plane)
    other = (await make(plane, "/v1/groups", {"name": "other"}))["id"]
    made = await make(plane, "/v1/role-mappings", {"group_id": one, "role": "tenant_user"})
    answer = await plane.ask("PATCH", f"/v1/role-mappings/{made['id']}", {"group_id": other}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["group_id"])


async def test_members_keep_the_role_when_a_mapping_that_says_so_is_deleted(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=[])
    body = {"group_id": await _group(plane, ada), "role": "tenant_user", "auto_revoke": False}
    mapping = (await make(plane, "/v1/role-mappings", body))["id"]
    assert (await plane.ask("DELETE", f"/v1/role-mappings/{mapping}", who="admin_a")).status == 204
    assert (await roles_of(plane, ada))["roles"] == ["tenant_user"]
    row = plane.kept.audit[-1]
    assert row.action == "role_mapping.delete"
    assert ada.encode() in bytes(row.after or b"")


async def test_members_keep_the_role_when_such_a_mapping_gets_another_one(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=[])
    body = {"group_id": await _group(plane, ada), "role": "tenant_user", "auto_revoke": False}
    path = f"/v1/role-mappings/{(await make(plane, '/v1/role-mappings', body))['id']}"
    assert (await plane.ask("PATCH", path, {"role": "tenant_admin"}, who="admin_a")).status == 200
    told = await roles_of(plane, ada)
    assert (told["roles"], told["effective_roles"]) == (["tenant_user"], ["tenant_user", "tenant_admin"])


async def test_a_mapping_that_is_to_revoke_from_now_on_leaves_nobody_a_role(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=[])
    body = {"group_id": await _group(plane, ada), "role": "tenant_user", "auto_revoke": False}
    path = f"/v1/role-mappings/{(await make(plane, '/v1/role-mappings', body))['id']}"
    assert (await plane.ask("PATCH", path, {"auto_revoke": True}, who="admin_a")).status == 200
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert (await roles_of(plane, ada))["effective_roles"] == []


async def test_a_mapping_that_a_member_of_the_file_would_outlive_stays(plane: ControlPlane) -> None:
    body = {"group_id": await _group(plane, user("user_a")), "role": "tenant_admin", "auto_revoke": False}
    mapping = (await make(plane, "/v1/role-mappings", body))["id"]
    assert refused(await plane.ask("DELETE", f"/v1/role-mappings/{mapping}", who="admin_a")) == MANAGED


async def test_a_neighbours_groups_roles_and_mappings_are_not_there(plane: ControlPlane) -> None:
    far, own = await _group(plane, where="c"), await _group(plane)
    answer = await plane.ask("POST", "/v1/role-mappings", {"group_id": far, "role": "tenant_user"}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (NOT_THERE, ["group_id"])
    role = (await make(plane, "/v1/iam/custom-roles", {"name": "r"}, where="b"))["id"]
    answer = await plane.ask("POST", "/v1/role-mappings", {"group_id": own, "custom_role_id": role}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (NOT_THERE, ["custom_role_id"])
    body = {"group_id": own, "custom_role_id": role}
    answer = await plane.ask("POST", "/v1/role-mappings", body, who="partner_one")
    assert (refused(answer), list(answer.details)) == (INVALID, ["custom_role_id"])
    mapping = (await make(plane, "/v1/role-mappings", {"group_id": far, "role": "tenant_user"}, where="c"))["id"]
    assert refused(await plane.get(f"/v1/role-mappings/{mapping}", "partner_one")) == NOT_THERE
    for who in ("user_a", "partner_one_viewer"):
        assert refused(await plane.get("/v1/role-mappings", who)) == DENIED


# -- escalation ------------------------------------------------------------------------------------------------------


async def test_nobody_maps_a_role_beyond_itself_to_a_group_empty_or_not(plane: ControlPlane) -> None:
    group = await _group(plane, user("admin_a"))
    empty = (await make(plane, "/v1/groups", {"name": "empty"}))["id"]
    for given in (group, empty):
        for role in ("partner_viewer", "partner_admin"):
            body = {"group_id": given, "role": role}
            assert refused(await plane.ask("POST", "/v1/role-mappings", body, who="admin_a")) == DENIED
    mapping = (await make(plane, "/v1/role-mappings", {"group_id": empty, "role": "tenant_user"}))["id"]
    path = f"/v1/role-mappings/{mapping}"
    assert refused(await plane.ask("PATCH", path, {"role": "partner_admin"}, who="admin_a")) == DENIED


async def test_the_platforms_role_is_given_to_no_group(plane: ControlPlane) -> None:
    body = {"group_id": await _group(plane), "role": "super_admin"}
    answer = await plane.ask("POST", "/v1/role-mappings", body, who="super")
    assert (refused(answer), list(answer.details)) == (INVALID, ["role"])


async def test_nobody_changes_or_deletes_a_mapping_beyond_itself(plane: ControlPlane) -> None:
    group = await _group(plane)
    mapping = (await make(plane, "/v1/role-mappings", {"group_id": group, "role": "partner_admin"}))["id"]
    path = f"/v1/role-mappings/{mapping}"
    whole = {"group_id": group, "role": "tenant_user"}
    for method, body in (("PATCH", {"auto_revoke": False}), ("PUT", whole), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who="admin_a")) == DENIED


async def test_nobody_maps_a_role_that_gives_more_to_who_is_beyond(plane: ControlPlane) -> None:
    eve = await make_user(plane, roles=["partner_viewer"])
    group = await _group(plane, eve)
    body = {"group_id": group, "role": "tenant_admin"}
    assert refused(await plane.ask("POST", "/v1/role-mappings", body, who="admin_a")) == DENIED
    mapping = (await make(plane, "/v1/role-mappings", body))["id"]
    assert refused(await plane.ask("DELETE", f"/v1/role-mappings/{mapping}", who="admin_a")) == DENIED


async def test_who_is_no_administrator_maps_only_what_it_has(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    group = await _group(plane)
    for role, expected in (("tenant_admin", 403), ("tenant_user", 403), ("tenant_viewer", 201)):
        body = {"group_id": group, "role": role}
        assert (await plane.ask("POST", "/v1/role-mappings", body, token=desk)).status == expected


async def test_nobody_deletes_the_mapping_by_which_it_manages_users(plane: ControlPlane) -> None:
    me = await make_user(plane)
    key = await make_key(plane, me)
    body = {"group_id": await _group(plane, me), "role": "tenant_admin"}
    path = f"/v1/role-mappings/{(await make(plane, '/v1/role-mappings', body))['id']}"
    assert refused(await plane.ask("DELETE", path, token=key)) == CONFLICT
    assert refused(await plane.ask("PATCH", path, {"role": "tenant_user"}, token=key)) == CONFLICT
