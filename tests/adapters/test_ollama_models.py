"""The models that an Ollama server has."""

import pytest

from adapters.ollama_models import offers
from scaigrid.adapter import Offer, Offers
from scaigrid.errors import Code, GatewayError


def test_each_model_has_the_name_that_calls_take() -> None:
    body = b'{"models":[{"name":"llama:8b","model":"llama:8b","size":5,"details":{"family":"llama"}},{"name":"e"}]}'
    assert offers(body) == Offers([Offer(model="llama:8b"), Offer(model="e")])


@pytest.mark.parametrize("body", [b'{"models":[{"name":""}]}', b'{"models":[{}]}', b'{"models":{}}', b"{}", b"[]"])
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        offers(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
