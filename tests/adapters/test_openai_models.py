"""Lists of models, as those give them who speak the OpenAI protocol."""

from typing import Any

import msgspec
import pytest

from adapters.openai_models import offers
from scaigrid.adapter import Offer
from scaigrid.errors import Code, GatewayError


def read(*entries: Any) -> list[Offer]:
    return list(offers(msgspec.json.encode({"object": "list", "data": entries})).models)


def test_openai_says_a_name_and_an_owner() -> None:
    entry = {"id": "gpt-4o", "object": "model", "created": 1_715_367_049, "owned_by": "system"}
    assert read(entry) == [Offer(model="gpt-4o", owned_by="system")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param(
            {
                "name": "Some Model",
                "context_length": 131_072,
                "top_provider": {"context_length": 65_536, "max_completion_tokens": 8_192},
            },
            Offer(model="m", display_name="Some Model", context_window=131_072, max_output_tokens=8_192),
            id="openrouter",
        ),
        pytest.param(
            {"owned_by": "Meta", "context_window": 131_072, "max_completion_tokens": 32_768},
            Offer(model="m", owned_by="Meta", context_window=131_072, max_output_tokens=32_768),
            id="groq",
        ),
        pytest.param(
            {"owned_by": "mistralai", "name": "m-large", "max_context_length": 128_000},
            Offer(model="m", display_name="m-large", owned_by="mistralai", context_window=128_000),
            id="mistral",
        ),
        pytest.param(
            {"owned_by": "vllm", "root": "/models/m", "max_model_len": 4_096},
            Offer(model="m", owned_by="vllm", context_window=4_096),
            id="vllm",
        ),
        pytest.param(
            {"display_name": "M", "organization": "Someone", "context_length": 4_096},
            Offer(model="m", display_name="M", owned_by="Someone", context_window=4_096),
            id="together",
        ),
        pytest.param(
            {
                "owned_by": "maker",
                "providers": [{"context_length": 4_096}, {"context_length": 8_192}, {"status": "live"}, 7],
            },
            Offer(model="m", owned_by="maker", context_window=8_192),
            id="huggingface",
        ),
    ],
)
def test_what_others_add_is_read_by_each_of_its_names(entry: dict[str, Any], expected: Offer) -> None:
    assert read({"id": "m", **entry}) == [expected]


def test_a_bare_list_is_a_list_too() -> None:
    assert [one.model for one in offers(b'[{"id":"a"},{"id":"b"}]').models] == ["a", "b"]


@pytest.mark.parametrize("said", [None, "many", "", 0, -1, 1.5, True, [], {}, 2**41])
def test_what_is_no_number_of_tokens_is_not_said(said: object) -> None:
    (found,) = read({"id": "m", "context_length": said, "max_completion_tokens": said, "top_provider": said})
    assert found == Offer(model="m")


def test_there_is_one_page() -> None:
    assert offers(b'{"data":[],"has_more":true,"last_id":"m"}').after is None


@pytest.mark.parametrize("entry", [{}, {"id": ""}, {"id": 7}, {"id": None}, "gpt-4o", None, []])
def test_a_model_without_a_name_breaks_the_format(entry: object) -> None:
    with pytest.raises(GatewayError) as caught:
        read({"id": "good"}, entry)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
