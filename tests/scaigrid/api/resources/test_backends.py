"""Backends: written by the operator, and seen by those to whom they were granted."""

from typing import Any

import pytest

from scaigrid.control import documents as docs
from scaigrid.errors import Code, GatewayError
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, id_of, made, model, provider, route, told

KEY = "sk-backend-credential-0123456789"
COST = {"input": "2.5", "output": "10", "cached_input": "1.25"}
LEFT_OUT: dict[str, Any] = {
    "cache_write": None,
    "cache_write_1h": None,
    "input_audio": None,
    "output_audio": None,
    "input_image": None,
    "output_image": None,
    "image": "0",
    "second": "0",
    "request": "0",
    "tiers": [],
}


async def names(plane: ControlPlane, who: str, query: str = "", **headers: str) -> set[str]:
    """Of the backends that somebody is told of, but for those of the file."""
    answer = await plane.get(f"/v1/backends{query}", who, headers=headers)
    return {item["name"] for item in answer.json["data"]["items"] if item["origin"] == "api"}


async def test_a_backend_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    of = await provider(plane, "acme")
    body = {"name": "b", "provider_id": of["id"], "model": "gpt-4o", "cost": COST}
    answer = await plane.ask("POST", "/v1/backends", body, who="super")
    found: dict[str, Any] = answer.json["data"]
    assert answer.status == 201
    assert (found["uri"], found["model"], found["display_name"]) == ("simulator:gpt-4o", "gpt-4o", "b")
    assert found["cost"] == {**LEFT_OUT, **COST}
    assert (found["has_api_key"], found["granted_to"], found["health_status"]) == (False, [], "healthy")
    assert {"chat", "embed", "stream"} <= set(found["capabilities"])
    path = f"/v1/backends/{found['id']}"
    assert (await plane.get(path, "super")).json["data"] == found
    changed = await plane.ask("PATCH", path, {"cost": {"output": "12.000000001"}}, who="super")
    assert changed.json["data"]["cost"] == {**found["cost"], "output": "12.000000001"}
    tiers = [{"above": 200_000, "input": "5"}]
    tiered = await plane.ask("PATCH", path, {"cost": {"request": "0.1", "tiers": tiers}}, who="super")
    (tier,) = tiered.json["data"]["cost"]["tiers"]
    assert {name: value for name, value in tier.items() if value is not None} == tiers[0]
    assert tiered.json["data"]["cost"]["request"] == "0.1"
    again = await plane.ask("PATCH", path, {"display_name": "B"}, who="super")
    assert again.json["data"]["cost"] == tiered.json["data"]["cost"]
    replaced = await plane.ask("PUT", path, {"name": "c", "provider_id": of["id"], "model": "m"}, who="super")
    assert (replaced.json["data"]["name"], replaced.json["data"]["cost"]["input"]) == ("c", "0")
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert told(await plane.get(path, "super")) == (404, "BACKEND_NOT_FOUND")


async def test_a_credential_of_its_own_is_never_answered_and_stays_until_it_is_taken_away(plane: ControlPlane) -> None:
    of = await provider(plane, "acme", type="openai", api_key="sk-of-the-provider-0123")
    found = await backend(plane, "b", provider_id=of["id"], api_key=KEY)
    path = f"/v1/backends/{found['id']}"

    def sent() -> str:
        (target,) = [one.target for one in plane.services.current.snapshot.backends if one.id == found["id"]]
        return dict(target.headers)["authorization"]

    assert found["has_api_key"] is True
    changed = await plane.ask("PATCH", path, {"display_name": "B"}, who="super")
    assert KEY.encode() not in changed.body
    assert sent() == f"Bearer {KEY}"
    least = {"name": "b", "provider_id": of["id"], "model": "m"}
    assert (await plane.ask("PUT", path, least, who="super")).json["data"]["has_api_key"] is True
    assert (await plane.ask("PATCH", path, {"api_key": None}, who="super")).json["data"]["has_api_key"] is False
    assert sent() == "Bearer sk-of-the-provider-0123"


async def test_whoever_got_a_backend_sees_it_without_what_is_the_operators(plane: ControlPlane) -> None:
    a, two = id_of(plane, "tenant", "a"), id_of(plane, "partner", "two")
    for_a = await backend(plane, "for-a", cost=COST, granted_to=[a], api_key=KEY)
    await backend(plane, "for-two", granted_to=[two])
    await backend(plane, "for-nobody")
    assert await names(plane, "super") == {"for-a", "for-two", "for-nobody"}
    assert await names(plane, "admin_a") == await names(plane, "partner_one") == {"for-a"}
    assert await names(plane, "admin_c") == await names(plane, "partner_two") == {"for-two"}
    assert await names(plane, "admin_b") == set()
    seen = (await plane.get(f"/v1/backends/{for_a['id']}", "admin_a")).json["data"]
    operators = {"cost", "granted_to", "has_api_key", "lacks", "context_window", "concurrency", "queue"}
    operators |= {"queue_seconds", "deadlines", "breaker"}
    assert seen == {name: value for name, value in for_a.items() if name not in operators}
    hidden = await plane.get(f"/v1/backends/{for_a['id']}", "admin_b")
    assert hidden.json["error"] == (await plane.get("/v1/backends/be_nowhere", "admin_b")).json["error"]
    for who in ("user_a", "viewer_a", "partner_one_viewer"):
        assert told(await plane.get("/v1/backends", who)) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_who_acts_on_a_tenant_sees_what_was_granted_to_it(plane: ControlPlane) -> None:
    await backend(plane, "for-b", cost=COST, granted_to=[id_of(plane, "tenant", "b")])
    await backend(plane, "for-one", granted_to=[id_of(plane, "partner", "one")])
    await backend(plane, "for-c", granted_to=[id_of(plane, "tenant", "c")])
    header = {"X-ScaiGrid-Tenant": "b"}
    for who in ("super", "partner_one", "admin_b"):
        assert await names(plane, who, **header) == {"for-b", "for-one"}
    items = (await plane.get("/v1/backends", "super", headers=header)).json["data"]["items"]
    assert not [item for item in items if "cost" in item]


@pytest.mark.parametrize("who", ["partner_one", "admin_a", "user_a"])
async def test_nobody_but_the_operator_writes(plane: ControlPlane, who: str) -> None:
    found = await backend(plane, granted_to=[id_of(plane, "tenant", "a"), id_of(plane, "partner", "one")])
    path = f"/v1/backends/{found['id']}"
    body = {"name": "b", "provider_id": found["provider_id"], "model": "m"}
    asked: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
        ("POST", "/v1/backends", body),
        ("PUT", path, body),
        ("PATCH", path, {"granted_to": []}),
        ("DELETE", path, None),
    )
    for method, target, sent in asked:
        assert told(await plane.ask(method, target, sent, who=who)) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_what_it_refers_to_is_there_and_is_named_where_it_is_not(plane: ControlPlane) -> None:
    body = {"name": "b", "provider_id": "prov_x", "model": "m"}
    refused = await plane.ask("POST", "/v1/backends", body, who="super")
    assert (*told(refused), list(refused.details)) == (404, "PROVIDER_NOT_FOUND", ["provider_id"])
    body |= {"provider_id": (await provider(plane))["id"]}
    for party in ("tenant_x", "partner_x", "x"):
        refused = await plane.ask("POST", "/v1/backends", {**body, "granted_to": [party]}, who="super")
        assert (*told(refused), list(refused.details)) == (404, "NOT_FOUND", ["granted_to[0]"])


@pytest.mark.parametrize("cost", ["-1", "1e3", "1000000", "0.0000000001", ".5", "1,5", "NaN", 5, None])
async def test_what_is_no_amount_is_refused(plane: ControlPlane, cost: object) -> None:
    body = {"name": "b", "provider_id": (await provider(plane))["id"], "model": "m", "cost": {"input": cost}}
    refused = await plane.ask("POST", "/v1/backends", body, who="super")
    assert (refused.status, list(refused.details)) == (422, ["cost.input"])


async def test_tiers_of_a_cost_rise(plane: ControlPlane) -> None:
    tiers = [{"above": 2}, {"above": 1}]
    body = {"name": "b", "provider_id": (await provider(plane))["id"], "model": "m", "cost": {"tiers": tiers}}
    refused = await plane.ask("POST", "/v1/backends", body, who="super")
    assert (*told(refused), list(refused.details)) == (422, "VALIDATION_ERROR", ["cost.tiers[1].above"])


async def test_a_backend_on_a_route_stays_and_its_route_is_named(plane: ControlPlane) -> None:
    used = await backend(plane)
    await model(plane)
    routed = await route(plane, "acme/chat", used)
    refused = await plane.ask("DELETE", f"/v1/backends/{used['id']}", who="super")
    assert told(refused) == (409, "CONFLICT")
    assert routed["id"] in refused.details["route"]


async def test_a_backend_moves_to_no_provider_that_cannot_serve_its_models(plane: ControlPlane) -> None:
    used = await backend(plane)
    await model(plane, "vectors", modality="embedding", max_output_tokens=None)
    await route(plane, "vectors", used)
    claude = await provider(plane, "claude", type="anthropic")
    refused = await plane.ask("PATCH", f"/v1/backends/{used['id']}", {"provider_id": claude["id"]}, who="super")
    assert (refused.status, list(refused.details)) == (422, ["provider_id"])
    assert "vectors" in refused.details["provider_id"]


async def test_a_grant_is_not_taken_from_those_whose_models_rest_on_it(plane: ControlPlane) -> None:
    a, one = id_of(plane, "tenant", "a"), id_of(plane, "partner", "one")
    used = await backend(plane, granted_to=[a, one])
    path = f"/v1/backends/{used['id']}"
    await model(plane, "tenant/a/own", who="admin_a")
    routed = await route(plane, "tenant/a/own", used, who="admin_a")
    assert (await plane.ask("PATCH", path, {"granted_to": [one]}, who="super")).status == 200
    refused = await plane.ask("PATCH", path, {"granted_to": []}, who="super")
    assert told(refused) == (409, "CONFLICT")
    assert routed["id"] in refused.details["route"]
    await plane.ask("DELETE", f"/v1/routes/{routed['id']}", who="super")
    assert (await plane.ask("PATCH", path, {"granted_to": []}, who="super")).status == 200


async def test_the_same_party_is_granted_once(plane: ControlPlane) -> None:
    a = id_of(plane, "tenant", "a")
    found = await backend(plane, granted_to=[a, a])
    assert found["granted_to"] == [a]
    assert plane.control.state.document(docs.Backend, found["id"]).granted_to == (a,)


async def test_a_list_is_filtered(plane: ControlPlane) -> None:
    first = await backend(plane, "one-b", model="x")
    await made(plane, "/v1/backends", {"name": "two-b", "model": "y", "provider_id": first["provider_id"]})
    assert await names(plane, "super", "?model=x") == {"one-b"}
    assert await names(plane, "super", f"?provider_id={first['provider_id']}") == {"one-b", "two-b"}
    assert await names(plane, "super", f"?provider_id={first['provider_id']}&name=two-b") == {"two-b"}


async def test_an_item_says_how_the_backend_is(plane: ControlPlane) -> None:
    await model(plane)
    used = await backend(plane)
    await route(plane, "acme/chat", used)
    (there,) = [one for one in plane.services.current.snapshot.backends if one.id == used["id"]]
    plane.services.health.began(there, plane.clock.monotonic())
    plane.services.health.ended(there, GatewayError(Code.BACKEND_ERROR), plane.clock.monotonic())
    assert (await plane.get(f"/v1/backends/{used['id']}", "super")).json["data"]["health_status"] == "degraded"
