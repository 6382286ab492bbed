"""Partners: the platform alone makes and changes them, and each one's administrators see their own."""

from typing import Any

import pytest

from scaigrid.ids import declared_id
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import make_caller

PATH = "/v1/partners"
ONE = f"{PATH}/{declared_id('partner', 'one')}"


async def _made(plane: ControlPlane, path: str, body: Any) -> Any:
    answer = await plane.ask("POST", path, body, who="super")
    assert answer.status == 201, answer.body
    return answer.json["data"]


async def test_a_partner_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    made = await plane.ask("POST", PATH, {"slug": "new"}, who="super")
    partner = made.json["data"]
    assert made.status == 201
    assert (partner["slug"], partner["display_name"], partner["origin"], partner["suspended"], partner["limits"]) == (
        *("new", "new", "api", False),
        {},
    )
    path = made.headers["location"]
    assert (await plane.get(path, "super")).json["data"] == partner
    limits = {"requests_per_minute": 7}
    changed = await plane.ask("PATCH", path, {"display_name": "New", "limits": limits}, who="super")
    assert (changed.json["data"]["display_name"], changed.json["data"]["limits"]) == ("New", limits)
    replaced = await plane.ask("PUT", path, {"slug": "newer"}, who="super")
    assert (replaced.json["data"]["display_name"], replaced.json["data"]["limits"]) == ("newer", {})
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert (await plane.get(path, "super")).status == 404


@pytest.mark.parametrize("who", ["partner_one", "partner_one_viewer", "admin_a", "user_a"])
async def test_the_platform_alone_makes_and_changes_them(plane: ControlPlane, who: str) -> None:
    for method, path, body in (
        ("POST", PATH, {"slug": "new"}),
        ("PATCH", ONE, {"suspended": True}),
        ("PUT", ONE, {"slug": "one"}),
        ("DELETE", ONE, None),
    ):
        refused = await plane.ask(method, path, body, who=who)
        assert (refused.status, refused.code) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_a_partners_administrators_see_their_own(plane: ControlPlane) -> None:
    seen = {
        who: [item["slug"] for item in (await plane.get(PATH, who)).json["data"]["items"]]
        for who in ("partner_one", "partner_two")
    }
    assert seen == {"partner_one": ["one"], "partner_two": ["two"]}
    every = (await plane.get(PATH, "super")).json["data"]["items"]
    assert {item["slug"] for item in every} >= {"one", "two"}
    assert ((await plane.get(ONE, "partner_one")).status, (await plane.get(ONE, "partner_two")).status) == (200, 404)
    assert (await plane.get(PATH, "admin_a")).code == "AUTHZ_PERMISSION_DENIED"


async def test_a_partner_with_tenants_stays_until_they_are_gone(plane: ControlPlane) -> None:
    partner = await _made(plane, PATH, {"slug": "new"})
    tenant = await _made(plane, "/v1/tenants", {"slug": "t", "partner_id": partner["id"]})
    refused = await plane.ask("DELETE", f"{PATH}/{partner['id']}", who="super")
    assert (refused.status, refused.code, tenant["id"] in refused.details["tenant"]) == (409, "CONFLICT", True)
    assert (await plane.ask("DELETE", f"/v1/tenants/{tenant['id']}", who="super")).status == 204
    assert (await plane.ask("DELETE", f"{PATH}/{partner['id']}", who="super")).status == 204


async def test_a_suspended_partners_callers_are_refused_until_it_is_suspended_no_more(plane: ControlPlane) -> None:
    partner = await _made(plane, PATH, {"slug": "new"})
    await _made(plane, "/v1/tenants", {"slug": "t", "partner_id": partner["id"]})
    caller = await make_caller(plane, where="t", name="ada")
    codes: list[int] = []
    for suspended in (False, True, False):
        await plane.ask("PATCH", f"{PATH}/{partner['id']}", {"suspended": suspended}, who="super")
        answer = await plane.ask("GET", "/v1/me", token=caller)
        codes.append(answer.status)
        assert suspended is (answer.status != 200 and answer.code == "TENANT_SUSPENDED")
    assert codes == [200, 403, 200]
