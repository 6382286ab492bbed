"""A change and its audit row: one is not there without the other."""

from typing import Any

import msgspec
import pytest

from scaigrid.control.store import Change
from scaigrid.ledger.records import AuditRow
from tests.harness.checkout import ROOT, files
from tests.scaigrid.api.control_plane import ControlPlane

PROVIDER_KEY = "pk-of-the-provider-not-to-be-seen"


def only(plane: ControlPlane) -> AuditRow:
    (row,) = plane.kept.audit
    plane.kept.records.clear()
    return row


def read(row: AuditRow) -> tuple[Any, Any]:
    before, after = (None if raw is None else msgspec.json.decode(raw) for raw in (row.before, row.after))
    return before, after


async def test_each_change_is_recorded_with_what_was_and_what_is(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who="partner_one")
    item = made.json["data"]
    row = only(plane)
    assert (row.action, row.resource_type, row.resource_id) == ("tenant.create", "tenant", item["id"])
    assert (row.status, row.http_status, read(row)) == ("SUCCESS", 201, (None, item))
    path = f"/v1/tenants/{item['id']}"
    for method, body in (("PATCH", {"display_name": "New"}), ("PUT", {"slug": "newer"})):
        before = item
        item = (await plane.ask(method, path, body, who="partner_one")).json["data"]
        row = only(plane)
        assert (row.action, row.http_status, read(row)) == ("tenant.update", 200, (before, item))
    await plane.ask("DELETE", path, who="partner_one")
    row = only(plane)
    assert (row.action, row.resource_id, row.http_status) == ("tenant.delete", item["id"], 204)
    assert read(row) == (item, None)


async def test_reading_leaves_no_row(plane: ControlPlane) -> None:
    await plane.get("/v1/tenants", "super")
    assert plane.kept.records == []


REFUSED = {
    "a permission": ("user_a", {"display_name": "x"}, 403, "AUTHZ_PERMISSION_DENIED"),
    "a neighbour": ("partner_two", {"display_name": "x"}, 404, "NOT_FOUND"),
    "the file": ("partner_one", {"display_name": "x"}, 409, "MANAGED_BY_CONFIG"),
    "a body": ("super", {"suspended": "x"}, 409, "MANAGED_BY_CONFIG"),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_was_tried_in_vain_is_recorded_by_what_it_was(plane: ControlPlane, why: str) -> None:
    who, body, status, code = REFUSED[why]
    (tenant,) = (one.id for one in plane.control.state.all("tenant").values() if one.name == "a")
    answer = await plane.ask("PATCH", f"/v1/tenants/{tenant}", body, who=who)
    assert (answer.status, answer.code) == (status, code)
    row = only(plane)
    assert (row.action, row.resource_type, row.resource_id) == ("tenant.update", "tenant", tenant)
    assert (row.status, row.http_status, row.error_code, read(row)) == ("FAILURE", status, code, (None, None))


async def test_a_fault_in_the_body_is_recorded(plane: ControlPlane) -> None:
    await plane.ask("POST", "/v1/tenants", {"slug": "No!"}, who="super")
    row = only(plane)
    assert (row.action, row.resource_id, row.http_status, row.error_code) == (
        "tenant.create",
        None,
        422,
        "VALIDATION_ERROR",
    )


async def test_a_caller_who_is_nobody_is_recorded_as_such(plane: ControlPlane) -> None:
    await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who=None)
    row = only(plane)
    assert (row.actor_type, row.actor_id, row.tenant_id, row.http_status) == ("anonymous", None, None, 401)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_cannot_be_recorded_does_not_happen(plane: ControlPlane, method: str) -> None:
    made = await plane.ask("POST", "/v1/tenants", {"slug": "there"}, who="super")
    path = "/v1/tenants" if method == "POST" else f"/v1/tenants/{made.json['data']['id']}"
    body = {"POST": {"slug": "new"}, "PUT": {"slug": "newer"}, "PATCH": {"suspended": True}, "DELETE": None}[method]
    epoch = await plane.store.epoch()
    plane.kept.full = True
    refused = await plane.ask(method, path, body, who="super")
    assert (refused.status, refused.code) == (503, "STORE_UNAVAILABLE")
    assert await plane.store.epoch() == epoch
    plane.kept.full = False
    slugs = [one["slug"] for one in (await plane.get("/v1/tenants", "super")).json["data"]["items"]]
    assert sorted(slugs) == ["a", "b", "c", "there"]
    (there,) = (one for one in (await plane.get("/v1/tenants?slug=there", "super")).json["data"]["items"])
    assert there == made.json["data"]


async def test_the_row_is_there_before_the_change_is(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment at which it is kept, whoever else asks the database sees nothing of the change."""
    seen: list[int] = []
    conclude = Change.conclude

    def watched(change: Change) -> None:
        conclude(change)
        seen.append(len(plane.kept.audit))
        raise OSError("the database is gone as it is to commit")

    monkeypatch.setattr(Change, "conclude", watched)
    epoch = await plane.store.epoch()
    refused = await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who="super")
    assert (refused.status, refused.code, seen) == (503, "STORE_UNAVAILABLE", [1])
    assert await plane.store.epoch() == epoch
    announced, failed = plane.kept.audit
    assert (announced.status, failed.status, failed.error_code) == ("SUCCESS", "FAILURE", "STORE_UNAVAILABLE")
    assert announced.request_id == failed.request_id


async def test_a_row_belongs_to_those_whose_resource_it_is(plane: ControlPlane) -> None:
    """`super` and `partner_one` are users of the tenant `a`; what they do elsewhere is not for its administrators."""
    ids = {kind: {one.name: one.id for one in plane.control.state.all(kind).values()} for kind in ("tenant", "partner")}
    tenants, partners = ids["tenant"], ids["partner"]
    header = {"X-ScaiGrid-Tenant": "b"}
    made = await plane.ask("POST", "/v1/users", {"name": "new"}, who="partner_one", headers=header)
    row = only(plane)
    assert (row.tenant_id, row.partner_id) == (tenants["b"], partners["one"])
    await plane.ask("PATCH", f"/v1/users/{made.json['data']['id']}", {"email": 5}, who="partner_one")
    row = only(plane)
    assert (row.status, row.tenant_id) == ("FAILURE", tenants["b"])
    await plane.ask("POST", "/v1/partners", {"slug": "three"}, who="super")
    row = only(plane)
    assert (row.tenant_id, row.partner_id) == (None, row.resource_id)
    await plane.ask("POST", "/v1/providers", {"name": "p", "type": "simulator"}, who="super")
    row = only(plane)
    assert (row.action, row.tenant_id, row.partner_id) == ("provider.create", None, None)


async def test_a_refused_reference_to_a_neighbour_stays_with_who_tried(plane: ControlPlane) -> None:
    (neighbour,) = (one.id for one in plane.control.state.all("user").values() if one.name == "user_b")
    body = {"scope": "user", "scope_id": neighbour, "period": "total", "request_limit": 1}
    refused = await plane.ask("POST", "/v1/accounting/budgets", body, who="admin_a")
    assert refused.status == 404
    (tenant,) = (one.id for one in plane.control.state.all("tenant").values() if one.name == "a")
    assert only(plane).tenant_id == tenant


async def test_no_credential_is_in_a_row(plane: ControlPlane) -> None:
    headers = {"x-trace-me": PROVIDER_KEY}
    body = {"name": "p", "type": "custom", "base_url": "https://provider.invalid/v1", "api_key": PROVIDER_KEY}
    made = await plane.ask("POST", "/v1/providers", {**body, "headers": headers}, who="super")
    assert made.status == 201
    path = f"/v1/providers/{made.json['data']['id']}"
    assert (await plane.ask("PATCH", path, {"api_key": f"{PROVIDER_KEY}-2"}, who="super")).status == 200
    await plane.ask("PATCH", path, {"api_key": f"{PROVIDER_KEY}-3", "type": 5}, who="super")
    key = await plane.ask("POST", "/v1/api-keys", {"name": "k"}, who="user_a")
    text = key.json["data"]["key"]
    rotated = await plane.ask("POST", f"/v1/api-keys/{key.json['data']['id']}/rotate", {}, who="user_a")
    assert rotated.status == 200
    assert len(plane.kept.audit) == 5
    told = str(plane.kept.records)
    for secret in (PROVIDER_KEY, text, rotated.json["data"]["key"]):
        assert secret not in told


def test_nothing_in_the_api_changes_anything_but_by_what_records_it() -> None:
    sources = [path for path in files() if path.parts[:2] == ("scaigrid", "api") and path.suffix == ".py"]
    found = [str(path) for path in sources if "control.change()" in (ROOT / path).read_text()]
    assert found == ["scaigrid/api/recording.py"]
