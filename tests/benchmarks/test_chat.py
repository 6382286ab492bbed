import json
from typing import Any

import pytest

from benchmarks.chat import ANSWER, COST, PRICES, Answer, Prices, Target, at_gateway, at_gateway_translated, at_provider
from scaigrid.pricing import PriceList
from scaigrid.types import Usage


def test_the_cost_of_an_answer_is_reckoned_by_hand() -> None:
    # 82 x 150.3, 64 x 75.19 and 96 x 601.7 nano-units, each rounded up, and 1000 for the request
    assert PRICES.cost(ANSWER) == 12_325 + 4_813 + 57_764 + 1000
    assert COST.cost(ANSWER) == 9_849 + 3_849 + 46_186


def test_no_class_comes_out_even_so_that_rounding_otherwise_is_seen() -> None:
    once = Prices(input="0.1503", cached_input="0.1503", output="0.1503")
    assert once.cost(ANSWER) != once.cost(Answer(prompt_tokens=242, cached_tokens=0, completion_tokens=0))


def test_the_gateways_own_arithmetic_agrees() -> None:
    own = PriceList(input=150_300_000, cache_read=75_190_000, output=601_700_000, request=1000)
    usage = Usage(
        input=ANSWER.prompt_tokens - ANSWER.cached_tokens,
        cache_read=ANSWER.cached_tokens,
        output=ANSWER.completion_tokens,
    )
    assert own.cost(usage) == PRICES.cost(ANSWER)


@pytest.mark.parametrize("target", [at_provider(1), at_gateway(1), at_gateway_translated(1)])
def test_the_provider_bills_no_more_than_the_call_bounds(target: Target) -> None:
    """Else a budget would be overrun by right, and the row marked."""
    call: dict[str, Any] = json.loads(target.body())
    text = sum(len(message["content"]) for message in call["messages"])
    assert text >= ANSWER.prompt_tokens
    assert call["max_tokens"] >= ANSWER.completion_tokens


def test_a_stream_asks_for_its_usage_where_the_dialect_wants_to_be_asked() -> None:
    asked: dict[str, Any] = json.loads(at_gateway(1).body(stream=True))
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["stream"] is True
    assert "stream_options" not in json.loads(at_gateway_translated(1).body(stream=True))
    assert "stream" not in json.loads(at_gateway(1).body())
