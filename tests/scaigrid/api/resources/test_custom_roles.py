"""Custom roles: what a tenant puts together of what its administrators may do, and no more."""

import pytest

from scaigrid import roles
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import (
    CONFLICT,
    DENIED,
    INVALID,
    NOT_THERE,
    make,
    make_caller,
    make_help_desk,
    make_key,
    make_user,
    refused,
)

PATH = "/v1/iam/custom-roles"


async def test_a_role_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    body = {
        "name": "Help desk",
        "slug": "desk",
        "description": "Resets.",
        "core_permissions": ["users:manage"],
        "module_permissions": ["mail:box:read"],
    }
    made = await plane.ask("POST", PATH, body, who="admin_a")
    assert made.status == 201
    role = made.json["data"]
    assert {name: role[name] for name in body} == body
    path = f"{PATH}/{role['id']}"
    assert (await plane.get(path, "admin_a")).json["data"] == role
    listed = await plane.get(f"{PATH}?slug=desk", "admin_a")
    assert [item["id"] for item in listed.json["data"]["items"]] == [role["id"]]
    changed = await plane.ask("PATCH", path, {"name": "Desk"}, who="admin_a")
    assert (changed.json["data"]["name"], changed.json["data"]["slug"]) == ("Desk", "desk")
    replaced = (await plane.ask("PUT", path, {"name": "D"}, who="admin_a")).json["data"]
    assert (replaced["slug"], replaced["core_permissions"], replaced["module_permissions"]) == ("desk", [], [])
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204


async def test_a_slug_comes_from_the_name_and_is_free(plane: ControlPlane) -> None:
    slugs = [(await make(plane, PATH, {"name": "Help desk!"}))["slug"] for _ in range(2)]
    assert slugs == ["help-desk", "help-desk-2"]
    made = await make(plane, PATH, {"name": "部"})
    assert made["slug"] == made["id"]
    taken = await plane.ask("POST", PATH, {"name": "x", "slug": "help-desk"}, who="admin_a")
    assert (taken.code, list(taken.details)) == ("SLUG_CONFLICT", ["slug"])


async def test_who_holds_it_has_what_it_gives_at_once(plane: ControlPlane) -> None:
    role = (await make(plane, PATH, {"name": "r"}))["id"]
    key = await make_caller(plane, roles=[], custom_role_ids=[role])
    assert refused(await plane.ask("GET", "/v1/users", token=key)) == DENIED
    await plane.ask("PATCH", f"{PATH}/{role}", {"core_permissions": ["users:manage"]}, who="admin_a")
    assert (await plane.ask("GET", "/v1/users", token=key)).status == 200


async def test_a_role_that_somebody_holds_stays(plane: ControlPlane) -> None:
    role = (await make(plane, PATH, {"name": "r"}))["id"]
    await make_user(plane, custom_role_ids=[role])
    assert refused(await plane.ask("DELETE", f"{PATH}/{role}", who="admin_a")) == CONFLICT


async def test_a_neighbours_roles_are_not_there(plane: ControlPlane) -> None:
    role = (await make(plane, PATH, {"name": "r"}, where="c"))["id"]
    for who in ("admin_a", "partner_one"):
        assert refused(await plane.get(f"{PATH}/{role}", who)) == NOT_THERE
        assert refused(await plane.ask("PATCH", f"{PATH}/{role}", {"name": "x"}, who=who)) == NOT_THERE
    for who in ("user_a", "partner_one_viewer"):
        assert refused(await plane.get(PATH, who)) == DENIED


# -- escalation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["admin_a", "partner_one", "super"])
async def test_no_role_gives_what_a_tenants_administrator_lacks(plane: ControlPlane, who: str) -> None:
    beyond = sorted(roles.PERMISSIONS - roles.GRANTABLE)
    assert "models:manage" in beyond
    answer = await plane.ask("POST", PATH, {"name": "r", "core_permissions": beyond}, who=who)
    assert (refused(answer), len(answer.details)) == (INVALID, len(beyond))


async def test_a_permission_of_the_core_cannot_pass_for_one_of_a_module(plane: ControlPlane) -> None:
    answer = await plane.ask("POST", PATH, {"name": "r", "module_permissions": ["routing:manage"]}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["module_permissions[0]"])


async def test_no_role_is_called_as_a_published_one(plane: ControlPlane) -> None:
    for slug in roles.ROLES:
        answer = await plane.ask("POST", PATH, {"name": "r", "slug": slug}, who="admin_a")
        assert (refused(answer), list(answer.details)) == (INVALID, ["slug"])


async def test_who_is_no_administrator_puts_nothing_into_a_role_that_it_lacks(plane: ControlPlane) -> None:
    """Else it would put it into the role that it holds itself."""
    desk = await make_help_desk(plane)
    (own,) = (await plane.get(f"{PATH}?slug=help-desk", "admin_a")).json["data"]["items"]
    for body in (
        {"core_permissions": ["users:manage", "webhooks:manage"]},
        {"module_permissions": ["mail:box:read"]},
    ):
        assert refused(await plane.ask("PATCH", f"{PATH}/{own['id']}", body, token=desk)) == DENIED
        assert refused(await plane.ask("POST", PATH, {"name": "r", **body}, token=desk)) == DENIED
    stronger = await make(plane, PATH, {"name": "x", "core_permissions": ["webhooks:manage"]})
    weaker: dict[str, list[str]] = {"core_permissions": []}
    assert refused(await plane.ask("PATCH", f"{PATH}/{stronger['id']}", weaker, token=desk)) == DENIED
    assert refused(await plane.ask("DELETE", f"{PATH}/{stronger['id']}", token=desk)) == DENIED


async def test_nobody_changes_a_role_for_who_is_beyond(plane: ControlPlane) -> None:
    """One who views a partner's affairs would manage more than anybody has given it."""
    role = (await make(plane, PATH, {"name": "r"}))["id"]
    await make_user(plane, roles=["partner_viewer"], custom_role_ids=[role])
    body = {"core_permissions": ["users:manage"]}
    assert refused(await plane.ask("PATCH", f"{PATH}/{role}", body, who="admin_a")) == DENIED
    assert (await plane.ask("PATCH", f"{PATH}/{role}", {"name": "other"}, who="admin_a")).status == 200
    assert (await plane.ask("PATCH", f"{PATH}/{role}", body, who="partner_one")).status == 200


async def test_what_a_role_gives_reaches_no_farther_than_its_tenant(plane: ControlPlane) -> None:
    role = await make(plane, PATH, {"name": "r", "core_permissions": ["users:manage"]})
    key = await make_caller(plane, roles=["partner_viewer"], custom_role_ids=[role["id"]])
    tenants = {item["tenant_id"] for item in (await plane.ask("GET", "/v1/users", token=key)).json["data"]["items"]}
    assert len(tenants) == 1
    assert refused(await plane.ask("POST", "/v1/tenants", {"slug": "mine"}, token=key)) == DENIED


async def test_nobody_takes_the_permission_by_which_it_manages_users_out_of_its_role(plane: ControlPlane) -> None:
    role = (await make(plane, PATH, {"name": "r", "core_permissions": ["users:manage"]}))["id"]
    me = await make_user(plane, roles=[], custom_role_ids=[role])
    key = await make_key(plane, me)
    assert refused(await plane.ask("PATCH", f"{PATH}/{role}", {"core_permissions": []}, token=key)) == CONFLICT
