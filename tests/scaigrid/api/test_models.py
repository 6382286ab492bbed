import asyncio
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.config import schema
from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN
from scaigrid.types import Modality
from tests.scaigrid.api.control_plane import ControlPlane, config, declared, model

PRICES = schema.Prices(
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
            "request": "0.000000001",
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
