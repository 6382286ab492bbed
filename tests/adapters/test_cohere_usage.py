import json
from typing import Any

import msgspec
import pytest

from adapters.cohere_usage import Meta, Reported, of_chat, of_input
from scaigrid.types import Usage


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            {"tokens": {"input_tokens": 71, "output_tokens": 12}, "cached_tokens": 64},
            Usage(input=7, cache_read=64, output=12),
        ),
        (
            {
                "billed_units": {"input_tokens": 5, "output_tokens": 9},
                "tokens": {"input_tokens": 71, "output_tokens": 12},
            },
            Usage(input=71, output=12),
        ),
        ({"billed_units": {"input_tokens": 5.0, "output_tokens": 9}}, Usage(input=5, output=9)),
        ({"tokens": {"input_tokens": 5}, "cached_tokens": 9}, Usage(cache_read=5)),
        (
            {"tokens": {"input_tokens": 10, "image_tokens": 30, "output_tokens": 1}, "cached_tokens": 8},
            Usage(input=2, cache_read=8, image_input=30, output=1),
        ),
        (
            {"tokens": {"input_tokens": 10, "image_tokens": 30}, "cached_tokens": 15},
            Usage(cache_read=15, image_input=25),
        ),
        ({"tokens": {"input_tokens": -5, "output_tokens": 1e30}}, Usage(input=-5, output=2**53)),
        ({}, None),
    ],
)
def test_classes_are_disjoint_and_tokens_come_before_what_is_billed(said: dict[str, Any], meant: Usage | None) -> None:
    assert of_chat(msgspec.json.decode(json.dumps(said), type=Reported)) == meant
    assert of_chat(None) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"billed_units": {"input_tokens": 4, "image_tokens": 3}}, Usage(input=4, image_input=3)),
        ({"billed_units": {"search_units": 1}}, Usage()),
        ({}, None),
    ],
)
def test_search_units_are_no_tokens(said: dict[str, Any], meant: Usage | None) -> None:
    assert of_input(msgspec.json.decode(json.dumps(said), type=Meta)) == meant
    assert of_input(None) is None
