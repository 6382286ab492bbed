"""Frontend models: all of them for the operator, for partners and tenants those in their own part of the slugs."""

from typing import Any

import pytest

from scaigrid.config.terms import Prices
from scaigrid.control import documents as docs
from scaigrid.pricing import PriceList
from scaigrid.types import Usage
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
    "on_disconnect": "drain",
    "metadata": {"team": "support"},
}


async def test_a_model_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    answer = await plane.ask("POST", "/v1/models", WHOLE, who="super")
    assert answer.status == 201
    found: dict[str, Any] = answer.json["data"]
    assert answer.headers["location"] == f"/v1/models/{found['id']}"
    as_input = dict.fromkeys(("cache_write", "cache_write_1h", "input_audio", "input_image"), "2.5")
    as_output = {"output_audio": "10", "output_image": "10", "image": "0", "second": "0"}
    prices: dict[str, Any] = {**as_input, **as_output, **WHOLE["prices"], "tiers": []}
    assert {name: found[name] for name in WHOLE} == {**WHOLE, "prices": prices}
    assert (found["origin"], found["unpriced"], found["total_backend_count"]) == ("api", None, 0)
    assert found["health_status"] == "unavailable"
    read = await plane.get("/v1/models/acme/chat", "super")
    assert (read.json["data"], read.headers["etag"]) == (found, answer.headers["etag"])
    changed = await plane.ask("PATCH", "/v1/models/acme/chat", {"prices": {"output": "12"}}, who="super")
    dearer = dict.fromkeys(("output", "output_audio", "output_image"), "12")
    assert changed.json["data"]["prices"] == {**prices, **dearer}
    assert changed.json["data"]["description"] == "Talks."
    least = {"slug": "acme/chat", "unpriced": "free"}
    replaced = await plane.ask("PUT", f"/v1/models/{found['id']}", least, who="super")
    assert (replaced.json["data"]["unpriced"], replaced.json["data"]["status"]) == ("free", "active")
    nothing = replaced.json["data"]["prices"]
    assert (nothing.pop("tiers"), set(nothing.values())) == ([], {"0"})
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


LARGE: dict[str, Any] = {
    "input": "1.25",
    "output": "10",
    "image": "0.04",
    "second": "0.0001",
    "tiers": [{"above": 200_000, "input": "2.5", "output": "15"}, {"above": 500_000, "cached_input": "0.5"}],
}


async def test_prices_of_every_class_and_tier_are_kept_and_shown_and_can_be_sent_back(plane: ControlPlane) -> None:
    found = await model(plane, prices=LARGE)
    first, second = found["prices"]["tiers"]
    assert (first["above"], first["input"], first["cached_input"], first["image"]) == (200_000, "2.5", "2.5", "0.04")
    assert (second["above"], second["input"], second["cached_input"]) == (500_000, "1.25", "0.5")
    price = plane.services.current.snapshot.models["acme/chat"].price
    assert price is not None
    assert price.cost(Usage(input=200_001, milliseconds=1_500)) == 500_002_500 + 150_000
    path = "/v1/models/acme/chat"
    body = {"slug": found["slug"], "prices": found["prices"]}
    assert (await plane.ask("PUT", path, body, who="super")).json["data"]["prices"] == found["prices"]
    untiered = await plane.ask("PATCH", path, {"prices": {"tiers": []}}, who="super")
    assert untiered.json["data"]["prices"] == {**found["prices"], "tiers": []}


NO_PRICES: list[tuple[dict[str, Any], str]] = [
    ({"input_audio": "-1"}, "input_audio"),
    ({"output_image": "1000000"}, "output_image"),
    ({"second": "0.0000000001"}, "second"),
    ({"image": "NaN"}, "image"),
    ({"image": 0.04}, "image"),
    ({"request": "1e9"}, "request"),
    ({"video": "1"}, "video"),
    ({"tiers": [{"input": "1"}]}, "tiers[0].above"),
    ({"tiers": [{"above": 0}]}, "tiers[0].above"),
    ({"tiers": [{"above": 1.5}]}, "tiers[0].above"),
    ({"tiers": [{"above": 2**41}]}, "tiers[0].above"),
    ({"tiers": [{"above": 5}, {"above": 5}]}, "tiers[1].above"),
    ({"tiers": [{"above": 5}, {"above": 4}]}, "tiers[1].above"),
    ({"tiers": [{"above": 1, "input": "-1"}]}, "tiers[0].input"),
    ({"tiers": [{"above": 1, "tiers": []}]}, "tiers[0].tiers"),
    ({"tiers": [{"above": above} for above in range(1, 18)]}, "tiers"),
    ({"tiers": None}, "tiers"),
]


@pytest.mark.parametrize(("prices", "field"), NO_PRICES)
async def test_what_is_no_price_is_refused_by_its_field(
    plane: ControlPlane, prices: dict[str, Any], field: str
) -> None:
    refused = await plane.ask("POST", "/v1/models", {"slug": "a", "prices": prices}, who="super")
    assert (*told(refused), list(refused.details)) == (422, "VALIDATION_ERROR", [f"prices.{field}"])


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


async def test_the_limits_of_a_model_are_the_platforms_to_set(plane: ControlPlane) -> None:
    """Else a tenant would lift what the operator holds its model to."""
    body: dict[str, Any] = {"slug": "tenant/a/x", "unpriced": "free", "max_output_tokens": 5}
    limits = {"requests_per_day": 3, "concurrent_requests": 2}
    refused = await plane.ask("POST", "/v1/models", {**body, "limits": limits}, who="admin_a")
    assert (refused.status, list(refused.details)) == (422, ["limits"])
    assert (await plane.ask("POST", "/v1/models", body, who="admin_a")).status == 201
    path = "/v1/models/tenant/a/x"
    set_ = await plane.ask("PATCH", path, {"limits": limits, "max_image_tokens": 9}, who="super")
    assert (set_.json["data"]["limits"], set_.json["data"]["max_image_tokens"]) == (limits, 9)
    for sent in (body, {**body, "limits": limits}):
        kept = await plane.ask("PUT", path, sent, who="admin_a")
        assert (kept.status, kept.json["data"]["limits"]) == (200, limits)
    lifted = await plane.ask("PUT", path, {**body, "limits": {"requests_per_day": 4}}, who="admin_a")
    assert list(lifted.details) == ["limits"]
    assert "limits" not in (await plane.get(path, "user_a")).json["data"]


async def test_a_model_of_ones_own_is_not_priced_below_what_its_backends_charge(plane: ControlPlane) -> None:
    """Else the budget that a tenant is held to would bound nothing of what the operator pays."""
    used = await backend(plane, cost={"input": "2", "output": "8"}, granted_to=[id_of(plane, "tenant", "a")])
    fair = {"input": "2", "output": "8"}
    await model(plane, "tenant/a/x", who="admin_a", prices=fair)
    await route(plane, "tenant/a/x", used, who="admin_a")
    path = "/v1/models/tenant/a/x"
    inputs = ("input", "cached_input", "cache_write", "cache_write_1h", "input_audio", "input_image")
    outputs = ("output", "output_audio", "output_image")
    costs = dict.fromkeys(inputs, "2") | dict.fromkeys(outputs, "8")
    for patch, fields in (
        ({"prices": {**costs, "input": "1.999999999"}}, ["prices.input"]),
        ({"prices": {**costs, "output": "7"}}, ["prices.output"]),
        ({"prices": {"cached_input": "0"}}, ["prices.cached_input"]),
        ({"prices": {"tiers": [{"above": 9, "input_audio": "0"}]}}, ["prices.tiers[0].input_audio"]),
        ({"prices": None, "unpriced": "free"}, [f"prices.{name}" for name in (*inputs, *outputs)]),
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
