"""The six routes of a collection: pages that hold still, changes that happen whole or not at all, and their record."""

from typing import Any

import msgspec
import pytest

from scaigrid.api.crud import recorded
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.secrets import Secret
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import tenant, user

PATH = "/v1/tenants"
CHANGES: list[tuple[str, Any]] = [("PATCH", {"display_name": "B"}), ("PUT", {"slug": "new"}), ("DELETE", None)]


async def _made(plane: ControlPlane, body: Any) -> Any:
    """A new tenant of the super admin's partner."""
    answer = await plane.ask("POST", PATH, body, who="super")
    assert answer.status == 201, answer.body
    return answer.json["data"]


async def _ids(plane: ControlPlane, query: str = "") -> tuple[list[str], str | None]:
    """The ids of one page, and the cursor of the next."""
    answer = (await plane.get(f"{PATH}{query}", "super")).json
    return [item["id"] for item in answer["data"]["items"]], answer["pagination"]["next_cursor"]


async def test_a_page_goes_on_behind_the_last_whatever_comes_and_goes(plane: ControlPlane) -> None:
    """The cursor is a place: the item that it was made of may be gone."""
    made = [await _made(plane, {"slug": slug}) for slug in ("v", "w", "x")]
    every, _ = await _ids(plane)
    assert every == sorted(every)
    size = next(place for place, id_ in enumerate(every, 1) if id_ in {one["id"] for one in made})
    first, cursor = await _ids(plane, f"?limit={size}")
    assert (first, (await _ids(plane, f"?limit=1000&cursor={cursor}"))[0]) == (every[:size], every[size:])
    assert (await plane.ask("DELETE", f"{PATH}/{first[-1]}", who="super")).status == 204
    late = await _made(plane, {"slug": "y"})
    rest, _ = await _ids(plane, f"?limit=1000&cursor={cursor}")
    assert rest == sorted([*every[size:], *([late["id"]] if late["id"] > first[-1] else [])])


@pytest.mark.parametrize("query", ["?cursor=nonsense", "?limit=0", "?limit=1001", "?colour=red"])
async def test_a_list_is_asked_in_its_own_words(plane: ControlPlane, query: str) -> None:
    refused = await plane.get(f"{PATH}{query}", "super")
    assert (refused.status, list(refused.details)) == (422, [query[1:].partition("=")[0]])


async def test_what_was_done_is_recorded_with_what_was_there_before(plane: ControlPlane) -> None:
    made = await _made(plane, {"slug": "new"})
    await plane.ask("PATCH", f"{PATH}/{made['id']}", {"display_name": "B"}, who="partner_one")
    await plane.ask("DELETE", f"{PATH}/{made['id']}", who="super")
    rows = plane.kept.audit[-3:]
    assert [(row.action, row.http_status, row.actor_id) for row in rows] == [
        ("tenant.create", 201, user("super")),
        ("tenant.update", 200, user("partner_one")),
        ("tenant.delete", 204, user("super")),
    ]
    assert {(row.resource_type, row.resource_id, row.status, row.tenant_id) for row in rows} == {
        ("tenant", made["id"], "SUCCESS", made["id"])
    }
    named = [
        [None if text is None else msgspec.json.decode(text)["display_name"] for text in (row.before, row.after)]
        for row in rows
    ]
    assert named == [[None, "new"], ["new", "B"], ["B", None]]


async def test_what_was_refused_is_recorded_by_what_was_tried(plane: ControlPlane) -> None:
    await plane.ask("DELETE", f"{PATH}/{tenant('b')}", who="admin_a")
    await plane.ask("PATCH", f"{PATH}/{tenant('a')}", {"suspended": True}, who="super")
    tried = [(row.action, row.resource_id, row.status, row.error_code) for row in plane.kept.audit[-2:]]
    assert tried == [
        ("tenant.delete", tenant("b"), "FAILURE", "AUTHZ_PERMISSION_DENIED"),
        ("tenant.update", tenant("a"), "FAILURE", "MANAGED_BY_CONFIG"),
    ]
    assert [(row.before, row.after) for row in plane.kept.audit[-2:]] == [(None, None)] * 2


@pytest.mark.parametrize(("method", "body"), CHANGES)
async def test_a_change_of_another_state_changes_nothing(plane: ControlPlane, method: str, body: Any) -> None:
    made = await _made(plane, {"slug": "new"})
    path = f"{PATH}/{made['id']}"
    before = await plane.get(path, "super")
    refused = await plane.ask(method, path, body, who="super", headers={"If-Match": '"0"'})
    assert (refused.status, refused.code) == (412, "PRECONDITION_FAILED")
    after = await plane.get(path, "super")
    assert (after.json["data"], after.headers["etag"]) == (before.json["data"], before.headers["etag"])
    assert (await plane.ask(method, path, body, who="super", headers={"If-Match": "*"})).status in {200, 204}


@pytest.mark.parametrize(("method", "body"), [("GET", None), *CHANGES])
async def test_what_is_not_shown_is_answered_like_what_is_not_there(
    plane: ControlPlane, method: str, body: Any
) -> None:
    hidden, nowhere = [
        await plane.ask(method, f"{PATH}/{id_}", body, who="partner_one") for id_ in (tenant("c"), "tenant_nowhere")
    ]
    assert (hidden.status, hidden.code) == (404, "NOT_FOUND")
    assert hidden.json["error"]["message"] == nowhere.json["error"]["message"]


async def test_a_change_with_a_fault_is_refused_whole(plane: ControlPlane) -> None:
    made = await _made(plane, {"slug": "new", "display_name": "New"})
    path, epoch = f"{PATH}/{made['id']}", (await plane.control.refresh()).epoch
    two = await plane.ask("PATCH", path, {"display_name": "B", "suspended": 1, "limits": {"x": 1}}, who="super")
    assert (two.status, set(two.details)) == (422, {"suspended", "limits.x"})
    for method in ("PATCH", "PUT"):
        clash = await plane.ask(method, path, {"slug": "a", "display_name": "B"}, who="super")
        assert (clash.status, clash.code, list(clash.details)) == (409, "SLUG_CONFLICT", ["slug"])
    unknown = await plane.ask("POST", PATH, {"slug": "other", "partner_id": "partner_nowhere"}, who="super")
    assert (unknown.status, list(unknown.details)) == (404, ["partner_id"])
    assert (await plane.get(path, "super")).json["data"] == made
    assert (await plane.control.refresh()).epoch == epoch
    done = await plane.ask("PATCH", path, {"display_name": "B"}, who="super")
    assert (done.status, (await plane.control.refresh()).epoch) == (200, epoch + 1)


async def test_what_writes_has_no_query(plane: ControlPlane) -> None:
    path = f"{PATH}/{tenant('a')}"
    for method, target, body in [("POST", PATH, {"slug": "n"}), *((method, path, body) for method, body in CHANGES)]:
        refused = await plane.ask(method, f"{target}?dry_run=true", body, who="super")
        assert (refused.status, list(refused.details)) == (422, ["dry_run"])
    assert len((await _ids(plane))[0]) == 3


def test_what_changed_along_is_recorded_without_its_credentials() -> None:
    provider = docs.Provider(name="p", type="openai", api_key=Secret("sk-secret"))
    also = Resource(kind="provider", id="prov_1", origin="api", document=provider)
    told = recorded({"name": "x"}, (also,))
    assert told["name"] == "x"
    (changed,) = told["also_changed"]
    assert (changed["type"], changed["id"], changed["document"]["api_key"]) == ("provider", "prov_1", "***")
    assert recorded({"name": "x"}, ()) == {"name": "x"}
