"""Tenants: a partner's administrators manage those of the partner, and see no others."""

from typing import Any

from tests.scaigrid.api.control_plane import ControlPlane


async def _id(plane: ControlPlane, slug: str, who: str = "super") -> str:
    (found,) = (await plane.get(f"/v1/tenants?slug={slug}", who)).json["data"]["items"]
    return str(found["id"])


async def test_a_tenant_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/tenants", {"slug": "new", "display_name": "New"}, who="partner_one")
    assert made.status == 201
    tenant: dict[str, Any] = made.json["data"]
    assert (tenant["slug"], tenant["display_name"], tenant["origin"]) == ("new", "New", "api")
    path = f"/v1/tenants/{tenant['id']}"
    assert made.headers["location"] == path
    read = await plane.get(path, "partner_one")
    assert (read.json["data"], read.headers["etag"]) == (tenant, made.headers["etag"])
    changed = await plane.ask("PATCH", path, {"limits": {"requests_per_minute": None}}, who="partner_one")
    assert changed.json["data"]["limits"] == {"requests_per_minute": None}
    assert changed.json["data"]["display_name"] == "New"
    replaced = await plane.ask("PUT", path, {"slug": "newer"}, who="partner_one")
    assert (replaced.json["data"]["display_name"], replaced.json["data"]["limits"]) == ("newer", {})
    assert (await plane.ask("DELETE", path, who="partner_one")).status == 204
    gone = await plane.get(path, "partner_one")
    assert (gone.status, gone.code) == (404, "NOT_FOUND")


async def test_a_tenant_may_forbid_that_answers_are_kept(plane: ControlPlane) -> None:
    made = (await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who="super")).json["data"]
    assert made["keep_bodies"] is True
    path = f"/v1/tenants/{made['id']}"
    assert (await plane.ask("PATCH", path, {"keep_bodies": False}, who="super")).json["data"]["keep_bodies"] is False
    assert (await plane.get(path, "super")).json["data"]["keep_bodies"] is False


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who="super")
    path, tag = f"/v1/tenants/{made.json['data']['id']}", made.headers["etag"]
    first = await plane.ask("PATCH", path, {"display_name": "A"}, who="super", headers={"If-Match": tag})
    assert first.status == 200
    for method, body in (("PATCH", {"display_name": "B"}), ("PUT", {"slug": "new"}), ("DELETE", None)):
        late = await plane.ask(method, path, body, who="super", headers={"If-Match": tag})
        assert (late.status, late.code) == (412, "PRECONDITION_FAILED")
    tag = first.headers["etag"]
    assert (await plane.ask("DELETE", path, who="super", headers={"If-Match": f'"x", {tag}'})).status == 204


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    path = f"/v1/tenants/{await _id(plane, 'a')}"
    for method, body in (("PATCH", {"display_name": "B"}), ("PUT", {"slug": "a"}), ("DELETE", None)):
        refused = await plane.ask(method, path, body, who="super")
        assert (refused.status, refused.code) == (409, "MANAGED_BY_CONFIG")


async def test_a_name_is_taken_once(plane: ControlPlane) -> None:
    clash = await plane.ask("POST", "/v1/tenants", {"slug": "a"}, who="partner_two")
    assert (clash.status, clash.code, list(clash.details)) == (409, "SLUG_CONFLICT", ["slug"])


async def test_what_is_in_use_stays_and_its_users_are_named(plane: ControlPlane) -> None:
    made = (await plane.ask("POST", "/v1/partners", {"slug": "reseller"}, who="super")).json["data"]
    tenant = await plane.ask("POST", "/v1/tenants", {"slug": "t", "partner_id": made["id"]}, who="super")
    refused = await plane.ask("DELETE", f"/v1/partners/{made['id']}", who="super")
    assert (refused.status, refused.code) == (409, "CONFLICT")
    assert tenant.json["data"]["id"] in refused.details["tenant"]


async def test_a_neighbours_tenants_are_not_there(plane: ControlPlane) -> None:
    other = await _id(plane, "c")
    for who in ("partner_one", "admin_a"):
        assert (await plane.get(f"/v1/tenants/{other}", who)).status == 404
        assert (await plane.get("/v1/tenants?slug=c", who)).json["data"]["items"] == []
    slugs = [item["slug"] for item in (await plane.get("/v1/tenants", "partner_one")).json["data"]["items"]]
    assert sorted(slugs) == ["a", "b"]
    assert [item["slug"] for item in (await plane.get("/v1/tenants", "admin_a")).json["data"]["items"]] == ["a"]
    for who in ("user_a", "viewer_a"):
        assert (await plane.get("/v1/tenants", who)).code == "AUTHZ_PERMISSION_DENIED"


async def test_every_fault_is_named(plane: ControlPlane) -> None:
    refused = await plane.ask("POST", "/v1/tenants", {"slug": "No", "suspended": 1, "x": 2}, who="super")
    assert refused.status == 422
    assert set(refused.details) == {"slug", "suspended", "x"}


async def test_a_partner_out_of_sight_does_not_exist(plane: ControlPlane) -> None:
    (two,) = (await plane.get("/v1/partners?slug=two", "super")).json["data"]["items"]
    refused = await plane.ask("POST", "/v1/tenants", {"slug": "n", "partner_id": two["id"]}, who="partner_one")
    assert (refused.status, list(refused.details)) == (404, ["partner_id"])


async def test_pages_follow_each_other(plane: ControlPlane) -> None:
    every = [item["id"] for item in (await plane.get("/v1/tenants", "super")).json["data"]["items"]]
    first = (await plane.get("/v1/tenants?limit=2", "super")).json
    assert first["pagination"]["has_more"]
    second = (await plane.get(f"/v1/tenants?limit=2&cursor={first['pagination']['next_cursor']}", "super")).json
    assert second["pagination"] == {"has_more": False, "next_cursor": None}
    assert [item["id"] for page in (first, second) for item in page["data"]["items"]] == every


async def test_an_administrator_acts_on_a_tenant_by_the_header(plane: ControlPlane) -> None:
    only = await plane.get("/v1/tenants", "super", headers={"X-ScaiGrid-Tenant": "b"})
    assert [item["slug"] for item in only.json["data"]["items"]] == ["b"]
    refused = await plane.get("/v1/tenants", "partner_one", headers={"X-ScaiGrid-Tenant": "c"})
    assert (refused.status, list(refused.details)) == (404, ["X-ScaiGrid-Tenant"])
    made = await plane.ask("POST", "/v1/tenants", {"slug": "n"}, who="super", headers={"X-ScaiGrid-Tenant": "b"})
    assert made.status == 201
