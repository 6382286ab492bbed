"""Users are managed by those who reach as far as they do, and by nobody else."""

from typing import Any

import pytest

from scaigrid.config import entities
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, declared
from tests.scaigrid.api.people import (
    CONFLICT,
    DENIED,
    INVALID,
    MANAGED,
    NO_SCOPE,
    NOT_THERE,
    TENANT,
    make,
    make_caller,
    make_help_desk,
    make_key,
    make_user,
    refused,
    tenant,
    user,
)


async def test_a_user_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    body = {"email": "ada@example.com", "display_name": "Ada", "external_id": "corp|1", "roles": ["tenant_viewer"]}
    made = await plane.ask("POST", "/v1/users", body, who="admin_a")
    assert made.status == 201
    ada: dict[str, Any] = made.json["data"]
    assert {name: ada[name] for name in ("name", "tenant_id", *body)} == {
        "name": "ada",
        "tenant_id": tenant("a"),
        **body,
    }
    path = f"/v1/users/{ada['id']}"
    assert (await plane.get(path, "admin_a")).json["data"] == ada
    changed = await plane.ask("PATCH", path, {"limits": {"requests_per_minute": 5}}, who="admin_a")
    assert changed.json["data"] == {**ada, "limits": {"requests_per_minute": 5}}
    replaced = (await plane.ask("PUT", path, {"module_permissions": ["mail:box:read"]}, who="admin_a")).json["data"]
    assert (replaced["email"], replaced["external_id"], replaced["limits"]) == (None, None, {})
    assert (replaced["name"], replaced["roles"]) == ("ada", ["tenant_viewer"]), "neither is lost by leaving it out"
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert refused(await plane.get(path, "admin_a")) == NOT_THERE


async def test_a_new_user_has_the_role_of_users_unless_it_is_told(plane: ControlPlane) -> None:
    assert (await make(plane, "/v1/users", {"name": "plain"}))["roles"] == ["tenant_user"]
    assert (await make(plane, "/v1/users", {"name": "none", "roles": []}))["roles"] == []


async def test_a_name_comes_from_the_address_or_else_from_the_id(plane: ControlPlane) -> None:
    names = [
        (await make(plane, "/v1/users", {"email": "Ada.L+x@example.com"}))["name"],
        (await make(plane, "/v1/users", {"email": "ada.l-x@example.org"}))["name"],
        (await make(plane, "/v1/users", {"email": "ada.l-x@example.org"}, where="b"))["name"],
    ]
    assert names == ["ada.l-x", "ada.l-x-2", "ada.l-x"]
    for body in ({}, {"email": "ü@example.com"}):
        made = await make(plane, "/v1/users", body)
        assert made["name"] == made["id"]


async def test_a_name_is_taken_once_in_a_tenant(plane: ControlPlane) -> None:
    taken = await plane.ask("POST", "/v1/users", {"name": "user_a"}, who="admin_a")
    assert (refused(taken), list(taken.details)) == ((409, "SLUG_CONFLICT"), ["name"])
    assert (await plane.ask("POST", "/v1/users", {"name": "user_a"}, who="admin_b")).status == 201


async def test_who_it_is_at_an_identity_provider_is_one_users_alone(plane: ControlPlane) -> None:
    await make_user(plane, external_id="corp|1")
    twin = await plane.ask("POST", "/v1/users", {"external_id": "corp|1"}, who="admin_b")
    assert (refused(twin), list(twin.details)) == (INVALID, ["external_id"])


async def test_a_name_for_people_that_was_not_given_follows_the_name(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane, name='ada')}"
    assert (await plane.ask("PATCH", path, {"name": "eda"}, who="super")).json["data"]["display_name"] == "eda"


async def test_filters_find_those_that_are_meant(plane: ControlPlane) -> None:
    for query, found in (
        ("name=user_a", ["user_a"]),
        ("role=tenant_admin", ["admin_a"]),
        ("role=tenant_admin&origin=api", []),
        ("email=nobody@example.com", []),
    ):
        items = (await plane.get(f"/v1/users?{query}", "admin_a")).json["data"]["items"]
        assert [item["name"] for item in items] == found


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    path = f"/v1/users/{user('user_a')}"
    for method, body in (("PATCH", {"disabled": True}), ("PUT", {}), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who="admin_a")) == MANAGED


async def test_a_user_with_keys_stays_until_they_are_gone(plane: ControlPlane) -> None:
    ada = await make_user(plane, name="ada")
    await make_key(plane, ada)
    answer = await plane.ask("DELETE", f"/v1/users/{ada}", who="admin_a")
    assert (refused(answer), list(answer.details)) == (CONFLICT, ["api_key"])


async def test_every_fault_is_named(plane: ControlPlane) -> None:
    body = {
        "name": "No!",
        "email": "nobody",
        "roles": ["owner"],
        "custom_role_ids": [""],
        "module_permissions": ["mail"],
        "disabled": 1,
        "tenant_id": "x",
    }
    answer = await plane.ask("POST", "/v1/users", body, who="admin_a")
    assert refused(answer) == INVALID
    assert set(answer.details) == {
        "name",
        "email",
        "roles[0]",
        "custom_role_ids[0]",
        "module_permissions[0]",
        "disabled",
        "tenant_id",
    }


async def test_what_was_done_is_in_the_audit_log_with_what_it_was_before(plane: ControlPlane) -> None:
    ada = await make_user(plane, name="ada")
    await plane.ask("PATCH", f"/v1/users/{ada}", {"disabled": True}, who="admin_a")
    row = plane.kept.audit[-1]
    assert (row.action, row.resource_id, row.status) == ("user.update", ada, "SUCCESS")
    assert b'"disabled":false' in bytes(row.before or b"")
    assert b'"disabled":true' in bytes(row.after or b"")


# -- who sees whom ---------------------------------------------------------------------------------------------------


async def test_administrators_see_those_they_reach(plane: ControlPlane) -> None:
    seen: dict[str, set[str]] = {}
    for who in ("admin_a", "partner_one", "super"):
        items = (await plane.get("/v1/users", who)).json["data"]["items"]
        seen[who] = {item["tenant_id"] for item in items}
    assert seen == {
        "admin_a": {tenant("a")},
        "partner_one": {tenant("a"), tenant("b")},
        "super": {tenant("a"), tenant("b"), tenant("c")},
    }


@pytest.mark.parametrize("who", ["user_a", "viewer_a", "partner_one_viewer"])
async def test_who_manages_no_users_sees_none_and_makes_none(plane: ControlPlane, who: str) -> None:
    assert refused(await plane.get("/v1/users", who)) == DENIED
    assert refused(await plane.get(f"/v1/users/{user(who)}", who)) == DENIED
    assert refused(await plane.ask("POST", "/v1/users", {"name": "n"}, who=who)) == DENIED


@pytest.mark.parametrize("who", ["admin_a", "partner_one"])
async def test_a_neighbours_users_are_not_there(plane: ControlPlane, who: str) -> None:
    path = f"/v1/users/{await make_user(plane, where='c', name='far')}"
    assert refused(await plane.get(path, who)) == NOT_THERE
    for method, body in (("PATCH", {"disabled": True}), ("PUT", {}), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who=who)) == NOT_THERE
    assert (await plane.get("/v1/users?name=far", who)).json["data"]["items"] == []


async def test_an_administrator_acts_in_the_tenant_of_the_header(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/users", {"name": "n"}, who="partner_one", headers={TENANT: "b"})
    assert made.json["data"]["tenant_id"] == tenant("b")
    for who, where in (("partner_one", "c"), ("admin_a", "b"), ("admin_a", "c")):
        answer = await plane.ask("POST", "/v1/users", {"name": "n"}, who=who, headers={TENANT: where})
        assert (refused(answer), list(answer.details)) == (NOT_THERE, [TENANT])


async def test_who_views_a_partner_and_administers_a_tenant_manages_the_tenant_alone(plane: ControlPlane) -> None:
    """Escalation: neither role by itself manages the users of the partner's other tenants, and both do not either."""
    both = await make_caller(plane, roles=["partner_viewer", "tenant_admin"])
    items = (await plane.ask("GET", "/v1/users", token=both)).json["data"]["items"]
    assert {item["tenant_id"] for item in items} == {tenant("a")}
    other = f"/v1/users/{await make_user(plane, where='b', name='other')}"
    assert refused(await plane.ask("PATCH", other, {"disabled": True}, token=both)) == NOT_THERE
    acting = await plane.ask("POST", "/v1/users", {"name": "n"}, token=both, headers={TENANT: "b"})
    assert refused(acting) == NOT_THERE
    assert refused(await plane.ask("POST", "/v1/tenants", {"slug": "mine"}, token=both)) == DENIED


# -- nobody gives what lies beyond itself ----------------------------------------------------------------------------

BEYOND = [
    ("admin_a", "partner_viewer"),
    ("admin_a", "partner_admin"),
    ("admin_a", "super_admin"),
    ("partner_one", "super_admin"),
]


async def test_nobody_makes_a_user_who_reaches_farther(plane: ControlPlane) -> None:
    for who, role in BEYOND:
        for body in ({"roles": [role]}, {"roles": ["tenant_user", role]}):
            assert refused(await plane.ask("POST", "/v1/users", body, who=who)) == DENIED


async def test_nobody_promotes_a_user_beyond_itself(plane: ControlPlane) -> None:
    path = f"/v1/users/{await make_user(plane, name='ada')}"
    for who, role in BEYOND:
        assert refused(await plane.ask("PATCH", path, {"roles": [role]}, who=who)) == DENIED
        assert refused(await plane.ask("PUT", path, {"roles": [role]}, who=who)) == DENIED
    assert (await plane.get(path, "super")).json["data"]["roles"] == ["tenant_user"]


@pytest.mark.parametrize(("role", "stronger"), [("tenant_admin", "partner_admin"), ("partner_admin", "super_admin")])
async def test_nobody_promotes_itself(plane: ControlPlane, role: str, stronger: str) -> None:
    me = await make_user(plane, roles=[role])
    key = await make_key(plane, me)
    answer = await plane.ask("PATCH", f"/v1/users/{me}", {"roles": [role, stronger]}, token=key)
    assert refused(answer) == DENIED


async def test_everything_up_to_ones_own_reach_can_be_given(plane: ControlPlane) -> None:
    for who, roles in (
        ("admin_a", ["tenant_viewer"]),
        ("admin_a", ["tenant_user"]),
        ("admin_a", ["tenant_admin"]),
        ("partner_one", ["tenant_admin"]),
        ("partner_one", ["partner_viewer"]),
        ("partner_one", ["partner_admin", "tenant_user"]),
        ("super", ["super_admin"]),
    ):
        made = await plane.ask("POST", "/v1/users", {"roles": roles}, who=who)
        assert (made.status, made.json["data"]["roles"]) == (201, roles)


CHANGES: list[tuple[str, Any]] = [
    ("PATCH", {"display_name": "x"}),
    ("PATCH", {"roles": ["tenant_viewer"]}),
    ("PATCH", {"disabled": True}),
    ("PATCH", {"external_id": "corp|mine"}),
    ("PATCH", {"email": "mine@example.com"}),
    ("PUT", {}),
    ("DELETE", None),
]


@pytest.mark.parametrize(("who", "role"), BEYOND)
async def test_nobody_changes_demotes_disables_or_deletes_a_user_beyond_itself(
    plane: ControlPlane, who: str, role: str
) -> None:
    path = f"/v1/users/{await make_user(plane, name='chief', roles=[role])}"
    before = (await plane.get(path, who)).json["data"]
    for method, body in CHANGES:
        assert refused(await plane.ask(method, path, body, who=who)) == DENIED, (method, body)
    assert (await plane.get(path, who)).json["data"] == before


async def test_who_reaches_farther_by_a_group_is_beyond_too(plane: ControlPlane) -> None:
    ada = await make_user(plane, name="ada")
    group = await make(plane, "/v1/groups", {"name": "bosses", "user_ids": [ada]})
    await make(plane, "/v1/role-mappings", {"group_id": group["id"], "role": "partner_admin"})
    for method, body in (("PATCH", {"email": "mine@example.com"}), ("DELETE", None)):
        assert refused(await plane.ask(method, f"/v1/users/{ada}", body, who="admin_a")) == DENIED


async def test_a_permission_of_the_core_cannot_pass_for_one_of_a_module(plane: ControlPlane) -> None:
    for permission in ("models:manage", "routing:manage", "users:manage"):
        answer = await plane.ask("POST", "/v1/users", {"module_permissions": [permission]}, who="admin_a")
        assert (refused(answer), list(answer.details)) == (INVALID, ["module_permissions[0]"])


async def test_a_role_of_another_tenant_is_not_there_and_does_not_fit(plane: ControlPlane) -> None:
    far = await make(plane, "/v1/iam/custom-roles", {"name": "r"}, where="c")
    near = await make(plane, "/v1/iam/custom-roles", {"name": "r"}, where="b")
    for who, role in (("admin_a", near), ("admin_a", far), ("partner_one", far)):
        answer = await plane.ask("POST", "/v1/users", {"custom_role_ids": [role["id"]]}, who=who)
        assert (refused(answer), list(answer.details)) == (NOT_THERE, ["custom_role_ids[0]"])
    answer = await plane.ask("POST", "/v1/users", {"custom_role_ids": [near["id"]]}, who="partner_one")
    assert (refused(answer), list(answer.details)) == (INVALID, ["custom_role_ids[0]"])


# -- those who manage users by a custom role -------------------------------------------------------------------------


async def test_who_is_no_administrator_gives_only_what_it_has(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    assert (await plane.ask("POST", "/v1/users", {"roles": ["tenant_viewer"]}, token=desk)).status == 201
    for body in (
        {"roles": ["tenant_user"]},
        {"roles": ["tenant_admin"]},
        {"roles": ["tenant_viewer"], "module_permissions": ["mail:box:read"]},
    ):
        answer = await plane.ask("POST", "/v1/users", body, token=desk)
        assert refused(answer) == DENIED
    stronger = await make(plane, "/v1/iam/custom-roles", {"name": "x", "core_permissions": ["webhooks:manage"]})
    body = {"roles": [], "custom_role_ids": [stronger["id"]]}
    assert refused(await plane.ask("POST", "/v1/users", body, token=desk)) == DENIED


async def test_who_is_no_administrator_does_not_promote_itself(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    me = (await plane.ask("GET", "/v1/me", token=desk)).json["data"]["user"]["id"]
    assert refused(await plane.ask("PATCH", f"/v1/users/{me}", {"roles": ["tenant_admin"]}, token=desk)) == DENIED


async def test_who_is_no_administrator_changes_none_who_may_do_more(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    chief = f"/v1/users/{await make_user(plane, roles=['tenant_admin'])}"
    member = f"/v1/users/{await make_user(plane, roles=['tenant_viewer'])}"
    for method, body in CHANGES:
        assert refused(await plane.ask(method, chief, body, token=desk)) == DENIED, (method, body)
    assert (await plane.ask("PATCH", member, {"disabled": True}, token=desk)).status == 200


# -- nobody locks itself out -----------------------------------------------------------------------------------------


async def test_nobody_takes_its_last_administrator_role_from_itself(plane: ControlPlane) -> None:
    me = await make_user(plane, roles=["tenant_admin", "tenant_user"])
    key = await make_key(plane, me)
    path = f"/v1/users/{me}"
    tried: list[tuple[str, Any]] = [
        ("PATCH", {"roles": ["tenant_user"]}),
        ("PUT", {"roles": []}),
        ("PATCH", {"disabled": True}),
        ("DELETE", None),
    ]
    for method, body in tried:
        assert refused(await plane.ask(method, path, body, token=key)) == CONFLICT
    assert (await plane.ask("PATCH", path, {"roles": ["tenant_admin"], "name": "me"}, token=key)).status == 200
    assert (await plane.ask("PATCH", path, {"roles": ["tenant_user"]}, who="admin_a")).status == 200


async def test_an_administrator_does_not_narrow_what_it_administers_itself(plane: ControlPlane) -> None:
    me = await make_user(plane, roles=["super_admin"])
    key = await make_key(plane, me)
    answer = await plane.ask("PATCH", f"/v1/users/{me}", {"roles": ["partner_admin"]}, token=key)
    assert refused(answer) == CONFLICT


# -- what a key carries ----------------------------------------------------------------------------------------------


async def test_a_key_without_the_scope_manages_nobody(database_url: str) -> None:
    keys = {"narrow": declared("narrow", "boss", scopes=("models:use", "api_keys:manage"))}
    users = {"boss": entities.User(tenant="a", roles=("super_admin",))}
    plane = await ControlPlane(platform(users=users, keys=keys), url=database_url).open()
    assert refused(await plane.get("/v1/users", "narrow")) == NO_SCOPE
    assert refused(await plane.ask("POST", "/v1/users", {}, who="narrow")) == NO_SCOPE
    await plane.close()
