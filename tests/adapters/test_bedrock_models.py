"""Bedrock's list of models, which is one page."""

from typing import Any

import msgspec
import pytest

from adapters.bedrock_models import offers, url
from scaigrid.adapter import Offer, Offers
from scaigrid.errors import Code, GatewayError


def page(*models: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"modelSummaries": models})


def test_the_list_is_on_amazons_other_host_and_behind_any_address_of_the_operators() -> None:
    assert url("https://bedrock-runtime.eu-west-1.amazonaws.com") == (
        "https://bedrock.eu-west-1.amazonaws.com/foundation-models"
    )
    assert url("https://bedrock-runtime-fips.us-east-1.amazonaws.com") == (
        "https://bedrock-fips.us-east-1.amazonaws.com/foundation-models"
    )
    assert url("http://127.0.0.1:8080/bedrock-runtime") == "http://127.0.0.1:8080/bedrock-runtime/foundation-models"


def test_a_model_has_a_name_and_a_maker() -> None:
    body = page(
        {
            "modelId": "amazon.nova-micro-v1:0",
            "modelName": "Nova Micro",
            "providerName": "Amazon",
            "inferenceTypesSupported": ["ON_DEMAND"],
        },
        {"modelId": "meta.llama"},
    )
    one = Offer(model="amazon.nova-micro-v1:0", display_name="Nova Micro", owned_by="amazon")
    assert offers(body) == Offers([one, Offer(model="meta.llama")])
    assert offers(page()) == Offers([])


@pytest.mark.parametrize(
    "body", [page({"modelId": ""}), page({"modelName": "A"}), b"{}", b'{"modelSummaries":{}}', b"[]", b"\xff"]
)
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        offers(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
