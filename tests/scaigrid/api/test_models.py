import asyncio
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.config import terms
from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN
from scaigrid.types import Modality
from tests.scaigrid.api import routing
from tests.scaigrid.api.control_plane import ControlPlane, config, declared, model

PRICES = terms.Prices(
    input=Decimal("2.5"), output=Decimal(10), cached_input=Decimal("1.25"), request=Decimal("0.000000001")
)
SHOP = config(
    models={
        "openai/gpt-4": model(
            "one",
            "two",
            display_name="GPT-4",
            description="For chat.",
            context_window=8192,
            max_output_tokens=4096,
            prices=PRICES,
            metadata={"team": "support"},
        ),
        "embed": model(modality=Modality.EMBEDDING),
        "old": model(status="deprecated"),
        "off": model(status="disabled", unpriced="refuse"),
    }
)


async def slugs(plane: ControlPlane, query: str) -> list[str]:
    answer = await plane.get(f"/v1/models{query}")
    return [item["slug"] for item in answer.json["data"]["items"]]


async def test_an_item_says_what_the_contract_promises() -> None:
    answer = await ControlPlane(SHOP).get("/v1/models/openai/gpt-4")
    data: dict[str, Any] = answer.json["data"]
    assert data.pop("id").startswith("model_")
    assert data == {
        "slug": "openai/gpt-4",
        "display_name": "GPT-4",
        "description": "For chat.",
        "modality": "chat",
        "context_window": 8192,
        "max_output_tokens": 4096,
        "status": "active",
        "health_status": "healthy",
        "active_backend_count": 2,
        "total_backend_count": 2,
        "prices": {
            "input": "2.5",
            "output": "10",
            "cached_input": "1.25",
            "cache_write": "2.5",
            "cache_write_1h": "2.5",
            "input_audio": "2.5",
            "output_audio": "10",
            "input_image": "2.5",
            "output_image": "10",
            "image": "0",
            "second": "0",
            "request": "0.000000001",
            "tiers": [],
        },
        "metadata": {"team": "support"},
    }


async def test_an_item_says_what_nobody_has_said_with_null() -> None:
    data = (await ControlPlane(SHOP).get("/v1/models/off")).json["data"]
    assert [name for name, value in data.items() if value is None] == [
        "description",
        "context_window",
        "max_output_tokens",
        "prices",
    ]


async def test_a_model_that_is_free_has_prices_of_nothing() -> None:
    data = (await ControlPlane(SHOP).get("/v1/models/old")).json["data"]
    assert data["prices"].pop("tiers") == []
    assert set(data["prices"].values()) == {"0"}


async def test_an_item_counts_the_backends_that_are_left() -> None:
    plane = ControlPlane(SHOP)
    backend = plane.services.current.snapshot.backends[0]
    for _ in range(FAILURES_TO_OPEN):
        plane.services.health.began(backend, plane.clock.monotonic())
        plane.services.health.ended(backend, GatewayError(Code.BACKEND_ERROR), plane.clock.monotonic())
    data = (await plane.get("/v1/models/openai/gpt-4")).json["data"]
    assert (data["health_status"], data["active_backend_count"], data["total_backend_count"]) == ("degraded", 1, 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["embed", "off", "old", "openai/gpt-4"]),
        ("?modality=embedding", ["embed"]),
        ("?modality=audio", []),
        ("?status=active", ["embed", "openai/gpt-4"]),
        ("?status=deprecated", ["old"]),
        ("?status=disabled&modality=chat", ["off"]),
        ("?status=disabled&modality=embedding", []),
        ("?limit=2", ["embed", "off"]),
    ],
)
async def test_a_list_holds_what_its_filters_let_through(query: str, expected: list[str]) -> None:
    assert await slugs(ControlPlane(SHOP), query) == expected


async def test_a_key_with_a_list_sees_nothing_beside_it() -> None:
    keys = {"ada": declared("ada", "ada", models=("old", "embed"))}
    plane = ControlPlane(config(keys=keys, models=SHOP.models))
    assert await slugs(plane, "") == ["embed", "old"]
    assert (await plane.get("/v1/models/old")).status == 200
    hidden, absent = await plane.get("/v1/models/off"), await plane.get("/v1/models/nowhere")
    assert hidden.status == absent.status == 404
    assert (
        hidden.json["error"]
        == absent.json["error"]
        == {"code": "MODEL_NOT_FOUND", "message": absent.json["error"]["message"]}
    )


async def test_a_page_follows_from_where_the_last_one_ended_though_that_model_is_gone() -> None:
    cursor = (await ControlPlane(SHOP).get("/v1/models?limit=2")).json["pagination"]["next_cursor"]
    rest = {slug: entry for slug, entry in SHOP.models.items() if slug != "off"}
    assert await slugs(ControlPlane(config(models=rest)), f"?cursor={cursor}") == ["old", "openai/gpt-4"]


@pytest.mark.parametrize("query", ["?cursor=x", "?limit=0", "?limit=1001", "?status=on", "?modality=", "?page=2"])
async def test_a_parameter_at_fault_is_named(query: str) -> None:
    answer = await ControlPlane(SHOP).get(f"/v1/models{query}")
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert list(answer.details) == [query[1:].partition("=")[0]]


async def test_one_model_takes_no_parameters() -> None:
    answer = await ControlPlane(SHOP).get("/v1/models/old?limit=1")
    assert (answer.status, answer.details) == (422, {"limit": "is not a known parameter"})


async def test_a_list_asks_for_a_key() -> None:
    answer = await ControlPlane(SHOP).get("/v1/models", None)
    assert (answer.status, answer.code) == (401, "AUTH_TOKEN_MISSING")


_SLUG = st.from_regex(r"[a-z](?:[a-z/]{0,3}[a-z])?", fullmatch=True).filter(lambda slug: "//" not in slug)


@settings(max_examples=25, deadline=None)
@given(st.sets(_SLUG, max_size=12), st.integers(1, 5))
def test_a_walk_through_the_pages_meets_every_model_once(names: set[str], limit: int) -> None:
    plane = ControlPlane(config(models={slug: model() for slug in names}))

    async def walk() -> list[str]:
        met: list[str] = []
        query = f"?limit={limit}"
        while True:
            answer = (await plane.get(f"/v1/models{query}")).json
            found, pagination = answer["data"]["items"], answer["pagination"]
            assert len(found) <= limit
            assert found or not met, "an empty page follows a full one"
            met += [item["slug"] for item in found]
            assert len(met) <= len(names), "a page goes back"
            assert pagination["has_more"] is (pagination["next_cursor"] is not None)
            if not pagination["has_more"]:
                return met
            assert len(found) == limit
            query = f"?limit={limit}&cursor={quote(pagination['next_cursor'], safe='')}"

    assert asyncio.run(walk()) == sorted(names)


@settings(max_examples=25, deadline=None)
@given(st.sets(_SLUG, min_size=1, max_size=4))
def test_every_slug_finds_its_model(names: set[str]) -> None:
    plane = ControlPlane(config(models={slug: model() for slug in names}))

    async def found() -> set[str]:
        return {(await plane.get(f"/v1/models/{slug}")).json["data"]["slug"] for slug in names}

    assert asyncio.run(found()) == names


# -- for those who manage some ---------------------------------------------------------------------------------------

MANAGED = {
    "origin",
    "created_at",
    "updated_at",
    "access",
    "unpriced",
    "default_params",
    "system_prompt",
    "on_unsupported",
    "limits",
    "max_image_tokens",
    "on_disconnect",
}


async def test_a_manager_is_told_how_its_own_models_are_set_up_and_of_others_what_everybody_is(
    plane: ControlPlane,
) -> None:
    await routing.model(plane, "acme/chat", system_prompt="Be brief.", default_params={"seed": 7})
    await routing.model(plane, "tenant/a/x", who="admin_a")
    items = {item["slug"]: item for item in (await plane.get("/v1/models", "admin_a")).json["data"]["items"]}
    assert {slug: MANAGED & item.keys() for slug, item in items.items()} == {"acme/chat": set(), "tenant/a/x": MANAGED}
    for who in ("user_a", "viewer_a"):
        for item in (await plane.get("/v1/models", who)).json["data"]["items"]:
            assert not MANAGED & item.keys()
    whole = (await plane.get("/v1/models/acme/chat", "super")).json["data"]
    assert (whole["system_prompt"], whole["default_params"], whole["access"]) == ("Be brief.", {"seed": 7}, "all")
    assert (whole["origin"], whole["unpriced"]) == ("api", "free")
    assert {name: value for name, value in whole.items() if name not in MANAGED} == (
        await plane.get("/v1/models/acme/chat", "user_a")
    ).json["data"]


async def test_a_manager_sees_its_own_models_even_where_it_was_not_granted_them(plane: ControlPlane) -> None:
    await routing.model(plane, "tenant/a/secret", access="granted")
    for who, seeing in (
        ("super", True),
        ("partner_one", True),
        ("admin_a", True),
        ("user_a", False),
        ("admin_b", False),
    ):
        assert await routing.slugs(plane, who) == (["tenant/a/secret"] if seeing else [])
        assert (await plane.get("/v1/models/tenant/a/secret", who)).status == (200 if seeing else 404)
    # What answers no call is not among the models that can be called.
    assert (await plane.get("/oai/v1/models", "admin_a")).json["data"] == []


async def test_a_manager_sees_at_once_what_was_written_through_another_worker(
    plane: ControlPlane, database_url: str
) -> None:
    other = await ControlPlane(plane.config, url=database_url).open()
    await routing.model(plane, "acme/chat")
    assert await routing.slugs(other, "user_a") == []
    assert await routing.slugs(other, "super") == ["acme/chat"]
    assert (await other.get("/v1/models/acme/chat", "super")).headers["etag"]
    await other.close()


async def test_the_pages_of_a_manager_follow_each_other(plane: ControlPlane) -> None:
    for slug in ("b", "tenant/a/x", "a"):
        await routing.model(plane, slug)
    first = (await plane.get("/v1/models?limit=2", "super")).json
    assert [item["slug"] for item in first["data"]["items"]] == ["a", "b"]
    cursor = first["pagination"]["next_cursor"]
    assert await routing.slugs(plane, "super", f"/v1/models?limit=2&cursor={cursor}") == ["tenant/a/x"]
    assert await routing.slugs(plane, "super", **{"X-ScaiGrid-Tenant": "b"}) == ["a", "b"]


async def test_a_key_whose_scopes_leave_models_out_is_told_of_none(plane: ControlPlane) -> None:
    body = {"name": "narrow", "assigned_user_id": routing.id_of(plane, "user", "user_a"), "scopes": ["models:use"]}
    token = (await routing.made(plane, "/v1/api-keys", body, "admin_a"))["key"]
    for path in ("/v1/models", "/oai/v1/models", "/v1/models/x", "/oai/v1/models/x"):
        refused = await plane.ask("GET", path, token=token)
        assert refused.status == 403
        assert b"AUTH_INSUFFICIENT_SCOPE" in refused.body
