"""Groups of models: everybody's, a partner's or a tenant's; nobody puts in what they do not see."""

from typing import Any

import pytest

from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import id_of, made, model, told


async def names(plane: ControlPlane, who: str, **headers: str) -> set[str]:
    answer = await plane.get("/v1/model-groups", who, headers=headers)
    return {item["name"] for item in answer.json["data"]["items"]}


async def test_a_group_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    one, two = await model(plane, "one"), await model(plane, "two")
    body = {"name": "g", "scope": "global", "models": ["one", two["id"]]}
    answer = await plane.ask("POST", "/v1/model-groups", body, who="super")
    assert answer.status == 201
    found = answer.json["data"]
    assert (found["models"], found["scope_id"], found["description"]) == (["one", "two"], None, None)
    path = f"/v1/model-groups/{found['id']}"
    assert (await plane.get(path, "super")).json["data"] == found
    changed = await plane.ask("PATCH", path, {"description": "x"}, who="super")
    assert (changed.json["data"]["models"], changed.json["data"]["description"]) == (["one", "two"], "x")
    replaced = await plane.ask("PUT", path, {"name": "h", "scope": "global", "models": ["one", "one"]}, who="super")
    assert (replaced.json["data"]["models"], replaced.json["data"]["name"]) == (["one"], "h")
    refused = await plane.ask("DELETE", f"/v1/models/{one['id']}", who="super")
    assert (*told(refused), found["id"] in refused.details["model_group"]) == (409, "CONFLICT", True)
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert told(await plane.get(path, "super")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("who", "scope", "of", "status"),
    [
        ("super", "global", None, 201),
        ("super", "partner", ("partner", "two"), 201),
        ("super", "tenant", ("tenant", "c"), 201),
        ("super", "global", ("tenant", "c"), 422),
        ("partner_one", "global", None, 403),
        ("partner_one", "partner", None, 201),
        ("partner_one", "partner", ("partner", "two"), 404),
        ("partner_one", "tenant", ("tenant", "b"), 201),
        ("partner_one", "tenant", ("tenant", "c"), 404),
        ("admin_a", "global", None, 403),
        ("admin_a", "partner", None, 403),
        ("admin_a", "partner", ("partner", "two"), 404),
        ("admin_a", "tenant", None, 201),
        ("admin_a", "tenant", ("tenant", "b"), 404),
        ("user_a", "tenant", None, 403),
    ],
)
async def test_a_group_is_made_within_ones_reach(
    plane: ControlPlane, who: str, scope: str, of: tuple[str, str] | None, status: int
) -> None:
    body: dict[str, Any] = {"name": "g", "scope": scope}
    if of is not None:
        body["scope_id"] = id_of(plane, *of)
    answer = await plane.ask("POST", "/v1/model-groups", body, who=who)
    assert answer.status == status
    if status == 404:
        assert list(answer.details) == ["scope_id"]
    if status == 201 and of is None and scope == "tenant":
        assert answer.json["data"]["scope_id"] == id_of(plane, "tenant", "a")


async def test_one_sees_those_of_everybody_of_ones_partner_and_ones_own(plane: ControlPlane) -> None:
    for name, scope, of in (
        ("all", "global", None),
        ("of-one", "partner", id_of(plane, "partner", "one")),
        ("of-two", "partner", id_of(plane, "partner", "two")),
        ("of-a", "tenant", id_of(plane, "tenant", "a")),
        ("of-b", "tenant", id_of(plane, "tenant", "b")),
    ):
        await made(plane, "/v1/model-groups", {"name": name, "scope": scope, **({"scope_id": of} if of else {})})
    assert await names(plane, "super") == {"all", "of-one", "of-two", "of-a", "of-b"}
    assert await names(plane, "partner_one") == {"all", "of-one", "of-a", "of-b"}
    assert await names(plane, "admin_a") == await names(plane, "super", **{"X-ScaiGrid-Tenant": "a"})
    assert await names(plane, "admin_a") == {"all", "of-one", "of-a"}
    assert await names(plane, "admin_c") == {"all", "of-two"}


async def test_what_one_sees_and_does_not_own_is_not_changed(plane: ControlPlane) -> None:
    shared = await made(plane, "/v1/model-groups", {"name": "all", "scope": "global"})
    path = f"/v1/model-groups/{shared['id']}"
    for method, body in (("PUT", {"name": "x", "scope": "global"}), ("PATCH", {"name": "x"}), ("DELETE", None)):
        for who in ("admin_a", "partner_one"):
            assert told(await plane.ask(method, path, body, who=who)) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_a_scope_does_not_change(plane: ControlPlane) -> None:
    own = await made(plane, "/v1/model-groups", {"name": "g", "scope": "tenant"}, "partner_one")
    path = f"/v1/model-groups/{own['id']}"
    for patch, field in (
        ({"scope_id": id_of(plane, "tenant", "b")}, "scope_id"),
        ({"scope": "partner", "scope_id": id_of(plane, "partner", "one")}, "scope"),
    ):
        refused = await plane.ask("PATCH", path, patch, who="partner_one")
        assert (refused.status, list(refused.details)) == (422, [field])


async def test_nobody_puts_in_what_they_do_not_see(plane: ControlPlane) -> None:
    await model(plane, "one")
    await model(plane, "tenant/b/x")
    await model(plane, "secret", access="granted")
    for hidden in ("tenant/b/x", "secret", "nowhere"):
        body = {"name": "g", "scope": "tenant", "models": ["one", hidden]}
        refused = await plane.ask("POST", "/v1/model-groups", body, who="admin_a")
        assert (*told(refused), list(refused.details)) == (404, "MODEL_NOT_FOUND", ["models[1]"])


async def test_members_that_one_does_not_see_are_not_told_and_stay(plane: ControlPlane) -> None:
    for slug in ("one", "two"):
        await model(plane, slug)
    await model(plane, "secret", access="granted")
    body = {"name": "g", "scope": "tenant", "scope_id": id_of(plane, "tenant", "a"), "models": ["one", "secret"]}
    path = f"/v1/model-groups/{(await made(plane, '/v1/model-groups', body))['id']}"
    assert (await plane.get(path, "admin_a")).json["data"]["models"] == ["one"]
    for change in (
        await plane.ask("PATCH", path, {"description": "x"}, who="admin_a"),
        await plane.ask("PATCH", path, {"models": ["two"]}, who="admin_a"),
    ):
        assert change.status == 200
    assert (await plane.get(path, "super")).json["data"]["models"] == ["two", "secret"]


async def test_a_name_is_taken_once_in_its_scope(plane: ControlPlane) -> None:
    body = {"name": "g", "scope": "tenant"}
    await made(plane, "/v1/model-groups", body, "admin_a")
    await made(plane, "/v1/model-groups", body, "admin_b")
    clash = await plane.ask("POST", "/v1/model-groups", body, who="admin_a")
    assert (*told(clash), list(clash.details)) == (409, "SLUG_CONFLICT", ["name"])
