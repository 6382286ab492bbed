"""Frontend models: all of them for the operator, for partners and tenants those in their own part of the slugs."""

from typing import Any

import pytest

from scaigrid.config.terms import Prices
from scaigrid.control import documents as docs
from scaigrid.pricing import PriceList
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, id_of, made, model, route, slugs, told

WHOLE: dict[str, Any] = {
    "slug": "acme/chat",
    "modality": "chat",
    "display_name": "Chat",
    "description": "Talks.",
    "status": "deprecated",
    "access": "granted",
    "context_window": 8192,
    "max_output_tokens": 100,
    "prices": {"input": "2.5", "output": "10", "cached_input": "1.25", "request": "0.000000001"},
    "default_params": {"temperature": 0.5},
    "system_prompt": "Be brief.",
    "on_unsupported": "drop_with_header",
    "metadata": {"team": "support"},
}


async def test_a_model_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    answer = await plane.ask("POST", "/v1/models", WHOLE, who="super")
    assert answer.status == 201
    found: dict[str, Any] = answer.json["data"]
    assert answer.headers["location"] == f"/v1/models/{found['id']}"
    prices = {"cache_write": "2.5", "cache_write_1h": "2.5", **WHOLE["prices"]}
    assert {name: found[name] for name in WHOLE} == {**WHOLE, "prices": prices}
    assert (found["origin"], found["unpriced"], found["total_backend_count"]) == ("api", None, 0)
    assert found["health_status"] == "unavailable"
    read = await plane.get("/v1/models/acme/chat", "super")
    assert (read.json["data"], read.headers["etag"]) == (found, answer.headers["etag"])
    changed = await plane.ask("PATCH", "/v1/models/acme/chat", {"prices": {"output": "12"}}, who="super")
    assert changed.json["data"]["prices"] == {**prices, "output": "12"}
    assert changed.json["data"]["description"] == "Talks."
    least = {"slug": "acme/chat", "unpriced": "free"}
    replaced = await plane.ask("PUT", f"/v1/models/{found['id']}", least, who="super")
    assert (replaced.json["data"]["unpriced"], replaced.json["data"]["status"]) == ("free", "active")
    assert set(replaced.json["data"]["prices"].values()) == {"0"}
    assert (await plane.ask("DELETE", "/v1/models/acme/chat", who="super")).status == 204
    assert told(await plane.get(f"/v1/models/{found['id']}", "super")) == (404, "MODEL_NOT_FOUND")


async def test_what_was_written_is_what_calls_go_by(plane: ControlPlane) -> None:
    await model(plane, prices={"input": "2.5", "output": "10"}, default_params={"seed": 7})
    found = plane.services.current.snapshot.models["acme/chat"]
    wanted = PriceList(
        input=2_500_000_000,
        output=10_000_000_000,
        cache_read=2_500_000_000,
        cache_write=2_500_000_000,
        cache_write_1h=2_500_000_000,
    )
    assert found.price is not None
    assert found.price.version
    assert {name: getattr(found.price, name) for name in ("input", "output", "cache_read", "cache_write_1h")} == {
        name: getattr(wanted, name) for name in ("input", "output", "cache_read", "cache_write_1h")
    }
    assert bytes(found.defaults["seed"]) == b"7"


async def test_what_reads_prices_can_send_them_back(plane: ControlPlane) -> None:
    found = await model(plane, prices={"input": "0.1", "output": "0.000000001"})
    path = f"/v1/models/{found['id']}"
    body = {"slug": found["slug"], "max_output_tokens": 100, "prices": found["prices"]}
    assert (await plane.ask("PUT", path, body, who="super")).json["data"]["prices"] == found["prices"]
    kept = plane.control.state.document(docs.Model, found["id"]).prices
    assert isinstance(kept, Prices)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_a_model_is_named_by_id_or_by_slug_and_an_id_comes_first(plane: ControlPlane, method: str) -> None:
    one = await model(plane, "one")
    two = await model(plane, one["id"])  # a slug that looks like an id
    body = {"PUT": {"slug": "one", "unpriced": "free"}, "PATCH": {"description": "x"}}.get(method)
    answer = await plane.ask(method, f"/v1/models/{one['id']}", body, who="super")
    assert answer.status in (200, 204)
    if method == "DELETE":
        assert await slugs(plane, "super") == [two["slug"]]
    else:
        assert answer.json["data"]["id"] == one["id"]


async def test_a_slug_does_not_change(plane: ControlPlane) -> None:
    await model(plane)
    for method, body in (("PUT", {"slug": "acme/other", "unpriced": "free"}), ("PATCH", {"slug": "acme/other"})):
        refused = await plane.ask(method, "/v1/models/acme/chat", body, who="super")
        assert (refused.status, list(refused.details)) == (422, ["slug"])


async def test_a_slug_is_taken_once(plane: ControlPlane) -> None:
    await model(plane)
    clash = await plane.ask("POST", "/v1/models", {"slug": "acme/chat", "unpriced": "free"}, who="super")
    assert (*told(clash), list(clash.details)) == (409, "SLUG_CONFLICT", ["slug"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"slug": "a//b", "prices": {"input": 1}, "modality": "x", "y": 1}, {"slug", "prices.input", "modality", "y"}),
        ({"slug": "a"}, {"prices"}),
        ({"slug": "a", "unpriced": "free", "prices": {}}, {"prices"}),
        ({"slug": "a", "unpriced": "free", "metadata": {"a": 1}}, {"metadata.a"}),
        ({"slug": "a", "unpriced": "free", "context_window": 0}, {"context_window"}),
        ({"slug": "a", "unpriced": "free", "system_prompt": ""}, {"system_prompt"}),
        ({"slug": "a", "unpriced": "free", "on_unsupported": "guess"}, {"on_unsupported"}),
        ({"slug": "tenant/nobody/a", "unpriced": "free"}, {"slug"}),
    ],
    ids=range(8),
)
async def test_every_fault_is_named(plane: ControlPlane, body: dict[str, Any], fields: set[str]) -> None:
    refused = await plane.ask("POST", "/v1/models", body, who="super")
    assert (refused.status, set(refused.details)) == (422, fields)


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    tag = (await plane.ask("POST", "/v1/models", WHOLE, who="super")).headers["etag"]
    first = await plane.ask(
        "PATCH", "/v1/models/acme/chat", {"status": "active"}, who="super", headers={"If-Match": tag}
    )
    assert first.status == 200
    for method, body in (("PATCH", {"status": "disabled"}), ("PUT", WHOLE), ("DELETE", None)):
        late = await plane.ask(method, "/v1/models/acme/chat", body, who="super", headers={"If-Match": tag})
        assert told(late) == (412, "PRECONDITION_FAILED")


async def test_a_model_with_a_route_stays_and_the_route_is_named(plane: ControlPlane) -> None:
    await model(plane)
    routed = await route(plane, "acme/chat", await backend(plane))
    refused = await plane.ask("DELETE", "/v1/models/acme/chat", who="super")
    assert told(refused) == (409, "MODEL_HAS_BACKENDS")
    assert routed["id"] in refused.details["route"]
    await plane.ask("DELETE", f"/v1/routes/{routed['id']}", who="super")
    assert (await plane.ask("DELETE", "/v1/models/acme/chat", who="super")).status == 204


# -- models of one's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "slug", "allowed"),
    [
        ("super", "anything", True),
        ("super", "tenant/c/x", True),
        ("partner_one", "partner/one/x", True),
        ("partner_one", "tenant/a/x", True),
        ("partner_one", "tenant/b/x", True),
        ("partner_one", "tenant/c/x", False),
        ("partner_one", "partner/two/x", False),
        ("partner_one", "anything", False),
        ("admin_a", "tenant/a/x", True),
        ("admin_a", "tenant/a/deep/er", True),
        ("admin_a", "tenant/b/x", False),
        ("admin_a", "tenant/nobody/x", False),
        ("admin_a", "partner/one/x", False),
        ("admin_a", "tenant/a", False),
        ("admin_a", "openai/gpt", False),
    ],
)
async def test_administrators_make_models_of_their_own(plane: ControlPlane, who: str, slug: str, allowed: bool) -> None:
    body = {"slug": slug, "unpriced": "free", "max_output_tokens": 10}
    answer = await plane.ask("POST", "/v1/models", body, who=who)
    if allowed:
        assert answer.status == 201
        assert answer.json["data"]["origin"] == "api"
    else:
        assert told(answer) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_who_may_not_make_a_model_does_not_learn_whether_it_exists(plane: ControlPlane) -> None:
    await model(plane, "tenant/c/x")
    refusals = [
        await plane.ask("POST", "/v1/models", {"slug": slug, "unpriced": "free"}, who="admin_a")
        for slug in ("tenant/c/x", "tenant/c/y", "tenant/nobody/x")
    ]
    assert len({(told(one), one.json["error"]["message"]) for one in refusals}) == 1


@pytest.mark.parametrize("who", ["user_a", "viewer_a", "partner_one_viewer"])
async def test_nobody_else_makes_any(plane: ControlPlane, who: str) -> None:
    refused = await plane.ask("POST", "/v1/models", {"slug": "tenant/a/x", "unpriced": "free"}, who=who)
    assert told(refused) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_by_the_header_an_administrator_makes_those_of_that_tenant_alone(plane: ControlPlane) -> None:
    for who in ("super", "partner_one"):
        body = {"unpriced": "free", "max_output_tokens": 10}
        header = {"X-ScaiGrid-Tenant": "b"}
        assert (
            await plane.ask("POST", "/v1/models", {**body, "slug": f"tenant/b/{who}"}, who=who, headers=header)
        ).status == 201
        refused = await plane.ask("POST", "/v1/models", {**body, "slug": "tenant/a/x"}, who=who, headers=header)
        assert told(refused) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_what_one_sees_and_does_not_own_is_not_changed(plane: ControlPlane) -> None:
    await model(plane)
    for method, body in (("PUT", {"slug": "acme/chat", "unpriced": "free"}), ("PATCH", {}), ("DELETE", None)):
        refused = await plane.ask(method, "/v1/models/acme/chat", body, who="admin_a")
        assert told(refused) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_what_one_does_not_see_does_not_exist(plane: ControlPlane) -> None:
    await model(plane, "tenant/c/x")
    for method, body in (("GET", None), ("PUT", {"slug": "a", "unpriced": "free"}), ("PATCH", {}), ("DELETE", None)):
        answers = [
            await plane.ask(method, f"/v1/models/{slug}", body, who="admin_a") for slug in ("tenant/c/x", "nowhere")
        ]
        assert {told(answer) for answer in answers} == {(404, "MODEL_NOT_FOUND")}
        assert answers[0].json["error"] == answers[1].json["error"]


async def test_a_key_that_is_confined_to_some_models_writes_no_others(plane: ControlPlane) -> None:
    await model(plane, "tenant/a/first")
    await model(plane, "tenant/a/second")
    token = (
        await made(
            plane,
            "/v1/api-keys",
            {"name": "narrow", "assigned_user_id": id_of(plane, "user", "admin_a"), "models": ["tenant/a/first"]},
            "admin_a",
        )
    )["key"]
    first = await plane.ask("PATCH", "/v1/models/tenant/a/first", {"description": "x"}, token=token)
    assert first.status == 200
    second = await plane.ask("PATCH", "/v1/models/tenant/a/second", {"description": "x"}, token=token)
    assert told(second) == (404, "MODEL_NOT_FOUND")
    body = {"slug": "tenant/a/third", "unpriced": "free", "max_output_tokens": 10}
    assert told(await plane.ask("POST", "/v1/models", body, token=token)) == (403, "MODEL_ACCESS_DENIED")


async def test_a_model_of_ones_own_that_chats_is_bounded(plane: ControlPlane) -> None:
    """Else a tenant could keep everybody from setting a budget of money."""
    body: dict[str, Any] = {"slug": "tenant/a/x", "unpriced": "free"}
    refused = await plane.ask("POST", "/v1/models", body, who="admin_a")
    assert (refused.status, list(refused.details)) == (422, ["max_output_tokens"])
    assert (await plane.ask("POST", "/v1/models", {**body, "modality": "embedding"}, who="admin_a")).status == 201


async def test_a_model_of_ones_own_is_not_priced_below_what_its_backends_charge(plane: ControlPlane) -> None:
    """Else the budget that a tenant is held to would bound nothing of what the operator pays."""
    used = await backend(plane, cost={"input": "2", "output": "8"}, granted_to=[id_of(plane, "tenant", "a")])
    fair = {"input": "2", "output": "8"}
    await model(plane, "tenant/a/x", who="admin_a", prices=fair)
    await route(plane, "tenant/a/x", used, who="admin_a")
    path = "/v1/models/tenant/a/x"
    costs = {"input": "2", "cached_input": "2", "cache_write": "2", "cache_write_1h": "2", "output": "8"}
    for patch, fields in (
        ({"prices": {**costs, "input": "1.999999999"}}, ["prices.input"]),
        ({"prices": {**costs, "output": "7"}}, ["prices.output"]),
        ({"prices": {"cached_input": "0"}}, ["prices.cached_input"]),
        (
            {"prices": None, "unpriced": "free"},
            [f"prices.{name}" for name in ("input", "cached_input", "cache_write", "cache_write_1h", "output")],
        ),
    ):
        refused = await plane.ask("PATCH", path, patch, who="admin_a")
        assert (refused.status, sorted(refused.details)) == (422, sorted(fields))
    assert (await plane.ask("PATCH", path, {"prices": {"input": "3"}}, who="admin_a")).status == 200
    assert (await plane.ask("PATCH", path, {"prices": None, "unpriced": "refuse"}, who="admin_a")).status == 200
    # What the operator gives away, its administrators may go on describing.
    assert (await plane.ask("PATCH", path, {"unpriced": "free"}, who="super")).status == 200
    assert (await plane.ask("PATCH", path, {"description": "x"}, who="admin_a")).status == 200


async def test_a_tenant_with_models_of_its_own_keeps_its_name_and_its_place(plane: ControlPlane) -> None:
    tenant = await made(plane, "/v1/tenants", {"slug": "fresh"}, "partner_one")
    await model(plane, "tenant/fresh/x", who="partner_one")
    path = f"/v1/tenants/{tenant['id']}"
    renamed = await plane.ask("PATCH", path, {"slug": "stale"}, who="partner_one")
    assert (renamed.status, list(renamed.details)) == (422, ["slug"])
    deleted = await plane.ask("DELETE", path, who="partner_one")
    assert (*told(deleted), "tenant/fresh/x" in deleted.details["model"]) == (409, "CONFLICT", True)
    await plane.ask("DELETE", "/v1/models/tenant/fresh/x", who="partner_one")
    assert (await plane.ask("PATCH", path, {"slug": "stale"}, who="partner_one")).status == 200
    assert (await plane.ask("DELETE", path, who="partner_one")).status == 204


async def test_what_was_done_is_audited_with_what_was_there(plane: ControlPlane) -> None:
    made_model = await model(plane, "tenant/a/x", who="admin_a")
    await plane.ask("PATCH", "/v1/models/tenant/a/x", {"description": "x"}, who="admin_a")
    await plane.ask("PATCH", "/v1/models/tenant/a/x", {"slug": "y"}, who="admin_a")
    rows = [row for row in plane.kept.audit if row.action == "model.update"]
    assert [row.resource_id for row in rows] == [made_model["id"]] * 2
    done = rows[0]
    assert b'"description"' not in bytes(done.before or b"")
    assert b'"description":"x"' in bytes(done.after or b"")
