"""Routes: one for each model, over any backend for the operator, and over granted ones for models of one's own."""

from typing import Any

import pytest

from scaigrid.config.entities import Backend as DeclaredBackend
from scaigrid.config.entities import Model, Provider
from scaigrid.control.declared import route_id
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, id_of, model, route, told


def targets(*backends: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"backend_id": one["id"]} for one in backends]


async def test_a_route_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    one, two = await backend(plane, "one-b"), await backend(plane, "two-b")
    of = await model(plane)
    sent = [
        {"backend_id": one["id"], "weight": 3, "priority": 0, "when": None},
        {"backend_id": two["id"], "weight": 1, "priority": 1, "when": None},
    ]
    answer = await plane.ask("POST", "/v1/routes", {"model": "acme/chat", "targets": sent}, who="super")
    assert answer.status == 201
    found = answer.json["data"]
    assert found["id"] == route_id(of["id"])
    assert (found["model"], found["model_id"], found["targets"]) == ("acme/chat", of["id"], sent)
    assert (found["max_attempts"], found["deadlines"]["total"]) == (3, 600.0)
    path = f"/v1/routes/{found['id']}"
    assert (await plane.get(path, "super")).json["data"] == found
    changed = await plane.ask("PATCH", path, {"deadlines": {"total": 30}, "max_attempts": 1}, who="super")
    assert changed.json["data"]["deadlines"] == {**found["deadlines"], "total": 30.0}
    replaced = await plane.ask("PUT", path, {"model": of["id"], "targets": targets(two)}, who="super")
    assert (replaced.json["data"]["targets"][0]["backend_id"], replaced.json["data"]["max_attempts"]) == (two["id"], 3)
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert told(await plane.get(path, "super")) == (404, "NOT_FOUND")


async def test_a_change_is_in_force_for_the_next_call(plane: ControlPlane) -> None:
    one, two = await backend(plane, "one-b"), await backend(plane, "two-b")
    await model(plane)

    def tiers() -> list[list[str]]:
        found = plane.services.current.snapshot.models["acme/chat"].route.tiers
        return [[candidate.backend.name for candidate in tier] for tier in found]

    assert tiers() == []
    routed = await route(plane, "acme/chat", one)
    assert tiers() == [["one-b"]]
    path = f"/v1/routes/{routed['id']}"
    both = [{"backend_id": one["id"], "priority": 1}, {"backend_id": two["id"]}]
    await plane.ask("PATCH", path, {"targets": both}, who="super")
    assert tiers() == [["two-b"], ["one-b"]]
    await plane.ask("DELETE", path, who="super")
    assert tiers() == []


async def test_a_model_has_one_route(plane: ControlPlane) -> None:
    one, two = await backend(plane, "one-b"), await backend(plane, "two-b")
    await model(plane)
    first = await route(plane, "acme/chat", one)
    again = await plane.ask("POST", "/v1/routes", {"model": "acme/chat", "targets": targets(two)}, who="super")
    assert told(again) == (409, "CONFLICT")
    assert (await plane.get(f"/v1/routes/{first['id']}", "super")).json["data"] == first


async def test_a_route_stays_with_its_model(plane: ControlPlane) -> None:
    one = await backend(plane)
    await model(plane)
    await model(plane, "acme/other")
    routed = await route(plane, "acme/chat", one)
    refused = await plane.ask("PATCH", f"/v1/routes/{routed['id']}", {"model": "acme/other"}, who="super")
    assert (refused.status, list(refused.details)) == (422, ["model"])


async def test_what_it_refers_to_is_there_and_fits_and_is_named_where_it_does_not(plane: ControlPlane) -> None:
    one = await backend(plane)
    await model(plane)
    await model(plane, "pictures", modality="image")
    cases: tuple[tuple[dict[str, Any], int, list[str]], ...] = (
        ({"model": "nowhere", "targets": targets(one)}, 404, ["model"]),
        ({"model": "acme/chat", "targets": [{"backend_id": "be_x"}]}, 404, ["targets[0].backend_id"]),
        ({"model": "acme/chat", "targets": []}, 422, ["targets"]),
        ({"model": "acme/chat", "targets": targets(one, one)}, 422, ["targets[1].backend_id"]),
        ({"model": "acme/chat", "targets": [{"backend_id": one["id"], "weight": 0}]}, 422, ["targets"]),
        ({"model": "acme/chat", "targets": [{"backend_id": one["id"], "weight": -1}]}, 422, ["targets[0].weight"]),
        ({"model": "acme/chat", "targets": targets(one), "max_attempts": 0}, 422, ["max_attempts"]),
        ({"model": "acme/chat", "targets": targets(one), "deadlines": {"total": 0}}, 422, ["deadlines.total"]),
        ({"model": "pictures", "targets": targets(one)}, 422, ["targets[0].backend_id"]),
    )
    for body, status, fields in cases:
        refused = await plane.ask("POST", "/v1/routes", body, who="super")
        assert (refused.status, list(refused.details)) == (status, fields), body


async def test_a_route_that_the_file_declares_is_read_only_and_its_model_may_get_one_here_where_it_has_none(
    database_url: str,
) -> None:
    sections: dict[str, Any] = {
        "providers": {"sim": Provider(type="simulator")},
        "backends": {"one": DeclaredBackend(provider="sim", model="m")},
        "models": {
            "bare": Model(route=None, unpriced="free"),
            "whole": Model(route=_declared_route("one"), unpriced="free"),
        },
    }
    plane = await ControlPlane(platform(**sections), url=database_url).open()
    one = {"id": id_of(plane, "backend", "one")}
    (declared,) = (await plane.get("/v1/routes?model=whole", "super")).json["data"]["items"]
    path = f"/v1/routes/{declared['id']}"
    for method, body in (
        ("PATCH", {"max_attempts": 1}),
        ("PUT", {"model": "whole", "targets": targets(one)}),
        ("DELETE", None),
    ):
        assert told(await plane.ask(method, path, body, who="super")) == (409, "MANAGED_BY_CONFIG")
    assert (await route(plane, "bare", one))["origin"] == "api"
    await plane.close()


def _declared_route(backend_name: str) -> Any:
    from scaigrid.config.routing import Route, RouteTarget

    return Route(targets=(RouteTarget(backend=backend_name),))


async def test_everything_that_a_route_says_is_kept_and_answered(plane: ControlPlane) -> None:
    one, two = await backend(plane, "one-b"), await backend(plane, "two-b")
    await model(plane)
    await model(plane, slug="acme/long")
    said = {
        "model": "acme/chat",
        "targets": [
            {"backend_id": one["id"], "weight": 3, "priority": 0, "when": {"stream": True, "uses": ["tools"]}},
            {"backend_id": two["id"], "weight": 1, "priority": 1, "when": None},
        ],
        "strategy": "sticky",
        "sticky_by": "session",
        "max_attempts": 4,
        "attempts_per_backend": 2,
        "failover_on": ["timeout", "connect"],
        "when_unhealthy": "refuse",
        "deadlines": {"connect": 1.0, "first_byte": 2.0, "idle": 3.0, "total": 4.0},
        "hedge": {"share": 0.25, "after_seconds": 1.5},
        "fallbacks": {"context_too_long": "acme/long", "content_refused": None},
    }
    found = (await plane.ask("POST", "/v1/routes", said, who="super")).json["data"]
    assert {name: found[name] for name in said} == said
    changed = (await plane.ask("PATCH", f"/v1/routes/{found['id']}", {"strategy": "cheapest"}, who="super")).json
    assert {name: changed["data"][name] for name in said} == {**said, "strategy": "cheapest"}


@pytest.mark.parametrize(
    ("change", "status", "fields"),
    [
        ({"hedge": {}}, 422, ["hedge"]),
        ({"fallbacks": {"context_too_long": "acme/chat"}}, 422, ["fallbacks.context_too_long"]),
        ({"fallbacks": {"context_too_long": "acme/none"}}, 404, ["fallbacks.context_too_long"]),
        ({"strategy": "best"}, 422, ["strategy"]),
        ({"failover_on": ["everything"]}, 422, ["failover_on[0]"]),
    ],
)
async def test_what_a_route_cannot_mean_is_refused_by_name(
    plane: ControlPlane, change: dict[str, Any], status: int, fields: list[str]
) -> None:
    one = await backend(plane, "one-b")
    await model(plane)
    sent = {"model": "acme/chat", "targets": targets(one), **change}
    answer = await plane.ask("POST", "/v1/routes", sent, who="super")
    assert answer.status == status
    assert [detail["field"] for detail in answer.json["error"].get("details", [])] == fields


# -- who sees what, and routes what ----------------------------------------------------------------------------------


async def test_one_sees_the_routes_of_the_models_that_one_sees(plane: ControlPlane) -> None:
    one = await backend(plane, granted_to=[id_of(plane, "partner", "one"), id_of(plane, "tenant", "c")])
    for slug in ("acme/chat", "tenant/a/x", "tenant/c/x", "partner/one/x"):
        await model(plane, slug)
        await route(plane, slug, one)

    async def of(who: str, **headers: str) -> set[str]:
        answer = await plane.get("/v1/routes", who, headers=headers)
        return {item["model"] for item in answer.json["data"]["items"]}

    assert await of("super") == {"acme/chat", "tenant/a/x", "tenant/c/x", "partner/one/x"}
    assert await of("partner_one") == await of("admin_a") == {"acme/chat", "tenant/a/x", "partner/one/x"}
    assert await of("admin_b") == {"acme/chat", "partner/one/x"}
    assert await of("admin_c") == {"acme/chat", "tenant/c/x"}
    assert await of("super", **{"X-ScaiGrid-Tenant": "c"}) == {"acme/chat", "tenant/c/x"}
    foreign = (await plane.get("/v1/routes?model=tenant/c/x", "super")).json["data"]["items"][0]["id"]
    assert told(await plane.get(f"/v1/routes/{foreign}", "admin_a")) == (404, "NOT_FOUND")
    assert told(await plane.get("/v1/routes", "user_a")) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_a_tenant_s_administrator_routes_its_own_models_over_granted_backends(plane: ControlPlane) -> None:
    a, partner = id_of(plane, "tenant", "a"), id_of(plane, "partner", "one")
    granted = await backend(plane, "granted", granted_to=[a])
    through_partner = await backend(plane, "through", granted_to=[partner])
    other = await backend(plane, "other", granted_to=[id_of(plane, "tenant", "b")])
    await model(plane, "tenant/a/x", who="admin_a")
    for hidden in (other["id"], "be_nowhere"):
        body = {"model": "tenant/a/x", "targets": [*targets(granted), {"backend_id": hidden}]}
        refused = await plane.ask("POST", "/v1/routes", body, who="admin_a")
        assert (*told(refused), list(refused.details)) == (404, "BACKEND_NOT_FOUND", ["targets[1].backend_id"])
    routed = await route(plane, "tenant/a/x", granted, through_partner, who="admin_a")
    path = f"/v1/routes/{routed['id']}"
    assert (await plane.ask("PATCH", path, {"targets": targets(granted)}, who="admin_a")).status == 200
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204


async def test_what_was_granted_to_one_tenant_serves_no_other_of_the_same_partner(plane: ControlPlane) -> None:
    only_b = await backend(plane, "only-b", granted_to=[id_of(plane, "tenant", "b")])
    for slug in ("tenant/a/x", "tenant/b/x", "partner/one/x"):
        await model(plane, slug, who="partner_one")
        body = {"model": slug, "targets": targets(only_b)}
        answer = await plane.ask("POST", "/v1/routes", body, who="partner_one")
        assert answer.status == (201 if slug == "tenant/b/x" else 404), slug


async def test_targets_that_the_operator_has_set_stay_while_the_administrator_changes_the_rest(
    plane: ControlPlane,
) -> None:
    special, granted = await backend(plane, "s"), await backend(plane, "g", granted_to=[id_of(plane, "tenant", "a")])
    await model(plane, "tenant/a/x", who="admin_a")
    routed = await route(plane, "tenant/a/x", special)
    path = f"/v1/routes/{routed['id']}"
    both = {"targets": [{"backend_id": granted["id"], "priority": 1}, *targets(special)]}
    assert (await plane.ask("PATCH", path, both, who="admin_a")).status == 200
    assert (await plane.ask("PATCH", path, {"targets": targets(granted)}, who="admin_a")).status == 200
    gone = await plane.ask("PATCH", path, both, who="admin_a")
    assert told(gone) == (404, "BACKEND_NOT_FOUND")


@pytest.mark.parametrize("who", ["admin_a", "partner_one"])
async def test_models_of_others_are_not_routed(plane: ControlPlane, who: str) -> None:
    granted = await backend(plane, granted_to=[id_of(plane, "tenant", "a"), id_of(plane, "partner", "one")])
    await model(plane)
    await model(plane, "tenant/c/x")
    body: dict[str, Any] = {"model": "acme/chat", "targets": targets(granted)}
    assert told(await plane.ask("POST", "/v1/routes", body, who=who)) == (403, "AUTHZ_PERMISSION_DENIED")
    hidden = await plane.ask("POST", "/v1/routes", {**body, "model": "tenant/c/x"}, who=who)
    assert told(hidden) == (404, "MODEL_NOT_FOUND")
    path = f"/v1/routes/{(await route(plane, 'acme/chat', granted))['id']}"
    for method, sent in (("PUT", body), ("PATCH", {"max_attempts": 1}), ("DELETE", None)):
        assert told(await plane.ask(method, path, sent, who=who)) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_a_backend_that_charges_more_than_the_model_is_no_target(plane: ControlPlane) -> None:
    a = id_of(plane, "tenant", "a")
    cheap = await backend(plane, "cheap", cost={"input": "1", "output": "2"}, granted_to=[a])
    dear = await backend(plane, "dear", cost={"input": "1", "output": "3"}, granted_to=[a])
    await model(plane, "tenant/a/x", who="admin_a", prices={"input": "1", "output": "2"})
    body: dict[str, Any] = {"model": "tenant/a/x", "targets": targets(cheap, dear)}
    refused = await plane.ask("POST", "/v1/routes", body, who="admin_a")
    assert (refused.status, list(refused.details)) == (422, ["targets[1].backend_id"])
    path = f"/v1/routes/{(await route(plane, 'tenant/a/x', cheap, who='admin_a'))['id']}"
    assert (await plane.ask("PATCH", path, {"targets": targets(dear)}, who="admin_a")).status == 422
    assert (await plane.ask("PATCH", path, {"targets": targets(cheap, dear)}, who="super")).status == 200
    assert (await plane.ask("PATCH", path, {"max_attempts": 2}, who="admin_a")).status == 200


async def test_a_list_is_filtered(plane: ControlPlane) -> None:
    one, two = await backend(plane, "one-b"), await backend(plane, "two-b")
    first, second = await model(plane, "first"), await model(plane, "second")
    await route(plane, "first", one)
    await route(plane, "second", one, two)

    async def of(query: str) -> set[str]:
        answer = await plane.get(f"/v1/routes?{query}", "super")
        return {item["model"] for item in answer.json["data"]["items"]}

    assert await of("model=first") == await of(f"model_id={first['id']}") == {"first"}
    assert await of(f"backend_id={one['id']}") == {"first", "second"}
    assert (
        await of(f"backend_id={two['id']}") == await of(f"backend_id={one['id']}&model_id={second['id']}") == {"second"}
    )
    assert await of("backend_id=be_x") == set()
