import openai.types
import pytest

from tests.scaigrid.api.control_plane import ControlPlane, config, declared, model

SHOP = config(
    models={
        "openai/gpt-4": model(context_window=8192, max_output_tokens=4096),
        "other/acme/x": model(),
        "plain": model(status="deprecated"),
        "off": model(status="disabled"),
        "unpriced": model(unpriced="refuse"),
    }
)


async def test_the_list_is_openais_with_two_fields_more() -> None:
    answer = await ControlPlane(SHOP).get("/oai/v1/models")
    assert answer.json == {
        "object": "list",
        "data": [
            {
                "id": "openai/gpt-4",
                "object": "model",
                "created": 0,
                "owned_by": "openai",
                "context_window": 8192,
                "max_output_tokens": 4096,
            },
            {
                "id": "other/acme/x",
                "object": "model",
                "created": 0,
                "owned_by": "other/acme",
                "context_window": None,
                "max_output_tokens": None,
            },
            {
                "id": "plain",
                "object": "model",
                "created": 0,
                "owned_by": "scaigrid",
                "context_window": None,
                "max_output_tokens": None,
            },
        ],
    }


async def test_an_item_is_one_for_openais_own_type() -> None:
    answer = await ControlPlane(SHOP).get("/oai/v1/models/other/acme/x")
    item = openai.types.Model.model_validate(answer.json, strict=True)
    assert (item.id, item.object, item.owned_by) == ("other/acme/x", "model", "other/acme")


@pytest.mark.parametrize("slug", ["off", "unpriced", "nowhere"])
async def test_what_answers_no_call_is_not_there(slug: str) -> None:
    """The shape has no field to say so."""
    answer = await ControlPlane(SHOP).get(f"/oai/v1/models/{slug}")
    assert answer.status == 404
    assert answer.json["error"]["code"] == "MODEL_NOT_FOUND"


async def test_a_key_with_a_list_sees_nothing_beside_it() -> None:
    plane = ControlPlane(config(keys={"ada": declared("ada", "ada", models=("plain",))}, models=SHOP.models))
    assert [item["id"] for item in (await plane.get("/oai/v1/models")).json["data"]] == ["plain"]
    assert (await plane.get("/oai/v1/models/openai/gpt-4")).status == 404


async def test_parameters_are_ignored() -> None:
    assert (await ControlPlane(SHOP).get("/oai/v1/models?limit=1&after=x")).status == 200


async def test_the_list_asks_for_a_key_in_openais_shape() -> None:
    answer = await ControlPlane(SHOP).get("/oai/v1/models", None)
    assert (answer.status, answer.json["error"]["code"]) == (401, "AUTH_TOKEN_MISSING")
