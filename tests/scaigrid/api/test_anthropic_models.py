from typing import Any

import pytest
from anthropic.types import ModelInfo

from tests.scaigrid.api.control_plane import ControlPlane, config, declared, model

SHOP = config(
    models={
        "a/one": model(display_name="One", context_window=8192, max_output_tokens=4096),
        "b": model(status="deprecated"),
        "c": model(),
        "off": model(status="disabled"),
        "unpriced": model(unpriced="refuse"),
        "vectors": model(modality="embedding"),
    }
)


async def listed(query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = (await ControlPlane(SHOP).get(f"/anthropic/v1/models{query}")).json
    return found


async def test_the_list_is_anthropics_and_holds_what_answers_messages() -> None:
    found = await listed()
    assert [item["id"] for item in found["data"]] == ["a/one", "b", "c"]
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, "a/one", "c")
    assert found["data"][0] == {
        "type": "model",
        "id": "a/one",
        "display_name": "One",
        "created_at": "1970-01-01T00:00:00Z",
        "max_input_tokens": 8192,
        "max_tokens": 4096,
        "lifecycle": "active",
    }
    assert found["data"][1]["lifecycle"] == "deprecated"


async def test_an_item_is_one_for_anthropics_own_type() -> None:
    answer = await ControlPlane(SHOP).get("/anthropic/v1/models/a/one")
    item = ModelInfo.model_validate(answer.json)
    assert (item.id, item.type, item.max_tokens) == ("a/one", "model", 4096)


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("?limit=2", ["a/one", "b"], True),
        ("?limit=2&after_id=b", ["c"], False),
        ("?after_id=c", [], False),
        ("?limit=1&before_id=c", ["b"], True),
        ("?before_id=b&beta=true", ["a/one"], False),
    ],
)
async def test_pages_go_both_ways(query: str, ids: list[str], more: bool) -> None:
    found = await listed(query)
    assert ([item["id"] for item in found["data"]], found["has_more"]) == (ids, more)
    assert (found["first_id"], found["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("slug", ["off", "unpriced", "vectors", "nowhere"])
async def test_what_answers_no_message_is_not_there(slug: str) -> None:
    """The shape has no field to say so."""
    answer = await ControlPlane(SHOP).get(f"/anthropic/v1/models/{slug}")
    assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")
    assert answer.json["error"]["code"] == "MODEL_NOT_FOUND"


async def test_a_key_with_a_list_sees_nothing_beside_it() -> None:
    plane = ControlPlane(config(keys={"ada": declared("ada", "ada", models=("b",))}, models=SHOP.models))
    assert [item["id"] for item in (await plane.get("/anthropic/v1/models")).json["data"]] == ["b"]


async def test_the_list_asks_for_a_key_in_anthropics_shape() -> None:
    answer = await ControlPlane(SHOP).get("/anthropic/v1/models", None)
    assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")


async def test_a_page_of_no_size_is_refused() -> None:
    answer = await ControlPlane(SHOP).get("/anthropic/v1/models?limit=0")
    assert (answer.status, answer.json["error"]["type"]) == (422, "invalid_request_error")
