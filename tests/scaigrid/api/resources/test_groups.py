"""Groups: who is in one has what it gives, and nobody is put into one, or taken out, by who reaches less far."""

from typing import Any

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


async def make_group(plane: ControlPlane, *members: str, role: str | None = None, **mapping: Any) -> str:
    """The id of a group of tenant a, whose members have a role."""
    group = str((await make(plane, "/v1/groups", {"name": f"g{role or ''}", "user_ids": members}))["id"])
    if role is not None:
        await make(plane, "/v1/role-mappings", {"group_id": group, "role": role, **mapping})
    return group


async def test_a_group_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    ada, eve = await make_user(plane, name="ada"), await make_user(plane, name="eve")
    made = await plane.ask("POST", "/v1/groups", {"name": "eng", "user_ids": [ada, ada]}, who="admin_a")
    assert made.status == 201
    group = made.json["data"]
    assert (group["display_name"], group["user_ids"], group["external_name"]) == ("eng", [ada], None)
    path = f"/v1/groups/{group['id']}"
    assert (await plane.get(path, "admin_a")).json["data"] == group
    changed = await plane.ask("PATCH", path, {"user_ids": [ada, eve], "external_name": "corp-eng"}, who="admin_a")
    assert changed.json["data"]["user_ids"] == [ada, eve]
    replaced = await plane.ask("PUT", path, {"name": "dev"}, who="admin_a")
    assert (replaced.json["data"]["display_name"], replaced.json["data"]["user_ids"]) == ("dev", [])
    assert [item["id"] for item in (await plane.get("/v1/groups?name=dev", "admin_a")).json["data"]["items"]]
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert refused(await plane.get(path, "admin_a")) == NOT_THERE


async def test_members_have_the_roles_of_the_group_as_long_as_they_are_in_it(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=["tenant_viewer"])
    key = await make_key(plane, ada)
    group = await make_group(plane, ada, role="tenant_admin")
    assert (await plane.ask("GET", "/v1/users", token=key)).status == 200
    assert (await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="admin_a")).status == 200
    assert refused(await plane.ask("GET", "/v1/users", token=key)) == DENIED


async def test_who_is_taken_out_keeps_the_role_where_the_mapping_says_so(plane: ControlPlane) -> None:
    role = await make(plane, "/v1/iam/custom-roles", {"name": "extra"})
    ada, eve = await make_user(plane, roles=["tenant_viewer"]), await make_user(plane, roles=["tenant_viewer"])
    group = await make_group(plane, ada, eve, role="tenant_user", auto_revoke=False)
    await make(plane, "/v1/role-mappings", {"group_id": group, "custom_role_id": role["id"], "auto_revoke": False})
    await make(plane, "/v1/role-mappings", {"group_id": group, "role": "tenant_admin", "auto_revoke": True})
    answer = await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": [eve]}, who="admin_a")
    assert answer.status == 200
    left, stayed = await roles_of(plane, ada), await roles_of(plane, eve)
    assert (left["roles"], left["custom_role_ids"]) == (["tenant_viewer", "tenant_user"], [role["id"]])
    assert left["effective_roles"] == ["tenant_viewer", "tenant_user"], "the one that is revoked is gone"
    assert stayed["roles"] == ["tenant_viewer"], "who stays has it by the group alone"


async def test_the_audit_log_tells_who_kept_a_role(plane: ControlPlane) -> None:
    ada = await make_user(plane)
    group = await make_group(plane, ada, role="tenant_admin", auto_revoke=False)
    await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="admin_a")
    row = plane.kept.audit[-1]
    assert row.action == "group.update"
    after = bytes(row.after or b"")
    assert b'"also_changed"' in after
    assert ada.encode() in after
    assert b'"roles":["tenant_user","tenant_admin"]' in after


async def test_a_member_of_the_file_that_would_keep_a_role_stays(plane: ControlPlane) -> None:
    group = await make_group(plane, user("user_a"), role="tenant_admin", auto_revoke=False)
    answer = await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (MANAGED, ["user_ids"])
    (mapping,) = (await plane.get(f"/v1/role-mappings?group_id={group}", "admin_a")).json["data"]["items"]
    path = f"/v1/role-mappings/{mapping['id']}"
    assert (await plane.ask("PATCH", path, {"auto_revoke": True}, who="admin_a")).status == 200
    assert (await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="admin_a")).status == 200


async def test_a_group_with_mappings_stays_until_they_are_gone(plane: ControlPlane) -> None:
    group = await make_group(plane, role="tenant_user")
    answer = await plane.ask("DELETE", f"/v1/groups/{group}", who="admin_a")
    assert (refused(answer), list(answer.details)) == (CONFLICT, ["role_mapping"])


async def test_members_are_users_of_the_tenant_that_the_caller_sees(plane: ControlPlane) -> None:
    near, far = await make_user(plane, where="b"), await make_user(plane, where="c")
    for who, member in (("admin_a", near), ("admin_a", far), ("partner_one", far), ("super", "user_none")):
        answer = await plane.ask("POST", "/v1/groups", {"name": "g", "user_ids": [member]}, who=who)
        assert (refused(answer), list(answer.details)) == (NOT_THERE, ["user_ids[0]"])
    answer = await plane.ask("POST", "/v1/groups", {"name": "g", "user_ids": [near]}, who="partner_one")
    assert (refused(answer), list(answer.details)) == (INVALID, ["user_ids[0]"])


async def test_a_neighbours_groups_are_not_there(plane: ControlPlane) -> None:
    group = (await make(plane, "/v1/groups", {"name": "g"}, where="c"))["id"]
    for who in ("admin_a", "partner_one"):
        assert refused(await plane.get(f"/v1/groups/{group}", who)) == NOT_THERE
        for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)):
            assert refused(await plane.ask(method, f"/v1/groups/{group}", body, who=who)) == NOT_THERE
    for who in ("user_a", "viewer_a", "partner_one_viewer"):
        assert refused(await plane.get("/v1/groups", who)) == DENIED


# -- escalation ------------------------------------------------------------------------------------------------------


async def test_nobody_is_put_into_a_group_that_gives_what_lies_beyond_the_caller(plane: ControlPlane) -> None:
    group = await make_group(plane, role="partner_admin")
    ada = await make_user(plane)
    for body in (
        {"user_ids": [ada]},
        {"user_ids": [user("admin_a")]},
        # Whoever the identity provider says is one of these would be a partner's administrator.
        {"external_name": "everybody"},
    ):
        assert refused(await plane.ask("PATCH", f"/v1/groups/{group}", body, who="admin_a")) == DENIED
    assert refused(await plane.ask("DELETE", f"/v1/groups/{group}", who="admin_a")) == DENIED
    assert (await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": [ada]}, who="partner_one")).status == 200


async def test_nobody_takes_a_role_by_a_group_from_who_is_beyond(plane: ControlPlane) -> None:
    """One who views a partner's affairs is beyond a tenant's administrator, in every role that it has."""
    eve = await make_user(plane, roles=["partner_viewer"])
    group = await make_group(plane, eve, role="tenant_user")
    assert refused(await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="admin_a")) == DENIED
    assert (await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, who="partner_one")).status == 200


async def test_nobody_gives_who_is_beyond_a_role_by_a_group(plane: ControlPlane) -> None:
    """Together with its own it might do more than anybody has given it."""
    eve = await make_user(plane, roles=["partner_viewer"])
    group = await make_group(plane, role="tenant_admin")
    assert refused(await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": [eve]}, who="admin_a")) == DENIED


async def test_who_is_beyond_may_be_in_a_group_that_changes_nothing_for_it(plane: ControlPlane) -> None:
    chief = await make_user(plane, roles=["super_admin"])
    group = await make_group(plane, role="tenant_user")
    for members in ([chief], []):
        answer = await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": members}, who="admin_a")
        assert answer.status == 200


async def test_who_is_no_administrator_fills_no_group_that_gives_more_than_it_has(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    me = (await plane.ask("GET", "/v1/me", token=desk)).json["data"]["user"]["id"]
    group = await make_group(plane, role="tenant_admin")
    assert refused(await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": [me]}, token=desk)) == DENIED


async def test_nobody_takes_itself_out_of_the_group_by_which_it_manages_users(plane: ControlPlane) -> None:
    me = await make_user(plane)
    key = await make_key(plane, me)
    group = await make_group(plane, me, role="tenant_admin")
    assert refused(await plane.ask("PATCH", f"/v1/groups/{group}", {"user_ids": []}, token=key)) == CONFLICT
