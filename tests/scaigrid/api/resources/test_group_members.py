"""One member more, or one less."""

from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import (
    DENIED,
    INVALID,
    MANAGED,
    NOT_THERE,
    make,
    make_user,
    refused,
    roles_of,
    user,
)


async def test_a_member_comes_and_goes(plane: ControlPlane) -> None:
    ada, eve = await make_user(plane), await make_user(plane)
    group = (await make(plane, "/v1/groups", {"name": "g", "user_ids": [eve]}))["id"]
    path = f"/v1/groups/{group}/members/{ada}"
    for _ in range(2):
        added = await plane.ask("PUT", path, who="admin_a")
        assert (added.status, added.json["data"]["user_ids"]) == (200, [eve, ada])
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert (await plane.get(f"/v1/groups/{group}", "admin_a")).json["data"]["user_ids"] == [eve]
    gone = await plane.ask("DELETE", path, who="admin_a")
    assert (refused(gone), list(gone.details)) == (NOT_THERE, ["user_id"])


async def test_who_goes_keeps_the_role_where_the_mapping_says_so(plane: ControlPlane) -> None:
    ada = await make_user(plane, roles=[])
    group = (await make(plane, "/v1/groups", {"name": "g", "user_ids": [ada]}))["id"]
    body = {"group_id": group, "role": "tenant_user", "auto_revoke": False}
    await make(plane, "/v1/role-mappings", body)
    assert (await plane.ask("DELETE", f"/v1/groups/{group}/members/{ada}", who="admin_a")).status == 204
    assert (await roles_of(plane, ada))["roles"] == ["tenant_user"]
    row = plane.kept.audit[-1]
    assert (row.action, row.resource_id) == ("group.remove_member", group)
    assert b'"also_changed"' in bytes(row.after or b"")


async def test_nobody_puts_itself_into_a_group_beyond_itself(plane: ControlPlane) -> None:
    group = (await make(plane, "/v1/groups", {"name": "g"}))["id"]
    await make(plane, "/v1/role-mappings", {"group_id": group, "role": "partner_admin"})
    path = f"/v1/groups/{group}/members/{user('admin_a')}"
    for method in ("PUT", "DELETE"):
        assert refused(await plane.ask(method, path, who="admin_a")) == DENIED


async def test_members_and_groups_out_of_sight_are_not_there(plane: ControlPlane) -> None:
    near, far = await make_user(plane, where="b"), await make_user(plane, where="c")
    group = (await make(plane, "/v1/groups", {"name": "g"}))["id"]
    for who, member in (("admin_a", near), ("partner_one", far)):
        answer = await plane.ask("PUT", f"/v1/groups/{group}/members/{member}", who=who)
        assert (refused(answer), list(answer.details)) == (NOT_THERE, ["user_id"])
    wrong = await plane.ask("PUT", f"/v1/groups/{group}/members/{near}", who="partner_one")
    assert (refused(wrong), list(wrong.details)) == (INVALID, ["user_ids[0]"])
    for method in ("PUT", "DELETE"):
        assert refused(await plane.ask(method, f"/v1/groups/{group}/members/{near}", who="admin_b")) == NOT_THERE
        assert refused(await plane.ask(method, f"/v1/groups/{group}/members/{near}", who="user_a")) == DENIED


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/groups", {"name": "g"}, who="admin_a")
    path, tag = f"/v1/groups/{made.json['data']['id']}", made.headers["etag"]
    await plane.ask("PATCH", path, {"description": "x"}, who="admin_a")
    member = f"{path}/members/{user('user_a')}"
    assert (await plane.ask("PUT", member, who="admin_a", headers={"If-Match": tag})).status == 412
    assert (await plane.ask("PUT", member, who="admin_a")).status == 200
    assert (await plane.ask("DELETE", member, who="admin_a", headers={"If-Match": tag})).status == 412


async def test_a_member_that_the_file_declares_keeps_no_role_here(plane: ControlPlane) -> None:
    group = (await make(plane, "/v1/groups", {"name": "g", "user_ids": [user("user_a")]}))["id"]
    await make(plane, "/v1/role-mappings", {"group_id": group, "role": "tenant_admin", "auto_revoke": False})
    path = f"/v1/groups/{group}/members/{user('user_a')}"
    assert refused(await plane.ask("DELETE", path, who="admin_a")) == MANAGED
