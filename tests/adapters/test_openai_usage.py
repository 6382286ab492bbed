import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.openai_usage import of_response, usage
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Usage


def read(said: object) -> Usage | None:
    return usage(msgspec.Raw(json.dumps(said).encode()))


def test_no_usage_is_none_and_not_nothing() -> None:
    assert usage(None) is usage(msgspec.Raw(b"")) is usage(msgspec.Raw(b"null")) is None
    assert read({}) == Usage()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}, Usage(input=12, output=9)),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 9,
                "total_tokens": 21,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(input=8, cache_read=4, output=9, reasoning=5),
        ),
        # Null where there is nothing to tell (Nebius).
        ({"prompt_tokens": 2, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(input=2)),
        # Cache writes (OpenRouter).
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3}},
            Usage(input=5, cache_read=2, cache_write=3),
        ),
        # Cache reads at the top level (Together, DeepSeek, Mistral).
        ({"prompt_tokens": 10, "cached_tokens": 4}, Usage(input=6, cache_read=4)),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}, Usage(input=6, cache_read=4)),
        ({"prompt_tokens": 10, "num_cached_tokens": 4}, Usage(input=6, cache_read=4)),
        # Reasoning beside the completion (xAI), which the total gives away.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 3,
                "total_tokens": 113,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(input=10, output=103, reasoning=100),
        ),
        # Reasoning that only the total knows of (Gemini).
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, Usage(input=35, output=74)),
        # A total that is too small says nothing.
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 1}, Usage(input=35, output=12)),
        # An embedding's total alone (Voyage).
        ({"total_tokens": 6}, Usage(input=6)),
        # What cannot be.
        ({"prompt_tokens": -5, "completion_tokens": -1}, Usage()),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cache_read=3)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 2}},
            Usage(cache_read=2, cache_write=1),
        ),
        ({"completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 9}}, Usage(output=3, reasoning=3)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1e30}, Usage(input=10**9, output=10**9)),
    ],
)
def test_classes_are_disjoint(said: dict[str, Any], meant: Usage) -> None:
    assert read(said) == meant


@pytest.mark.parametrize(
    "said", [5, [], "x", {"prompt_tokens": "5"}, {"prompt_tokens_details": 5}, {"total_tokens": True}]
)
def test_usage_of_the_wrong_type_is_a_broken_format(said: object) -> None:
    with pytest.raises(GatewayError) as caught:
        read(said)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


counts = st.none() | st.integers(-5, 100)


@given(counts, counts, counts, counts, counts, counts)
def test_no_token_is_counted_twice_whatever_is_said(
    prompt: int | None,
    output: int | None,
    total: int | None,
    cached: int | None,
    written: int | None,
    thought: int | None,
) -> None:
    said = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    meant = read(said)
    assert meant is not None
    assert min(meant.input, meant.cache_read, meant.cache_write, meant.output, meant.reasoning) >= 0
    assert meant.reasoning <= meant.output
    if prompt is not None:
        assert meant.total_input == max(prompt, 0)
    assert meant.total == max(total or 0, max(prompt or 0, 0) + max(output or 0, 0))


def responded(said: object) -> Usage | None:
    return of_response(msgspec.Raw(json.dumps(said).encode()))


def test_a_responses_classes_are_disjoint_too() -> None:
    assert of_response(None) is of_response(msgspec.Raw(b"null")) is None
    assert responded({"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}) == Usage(input=9, output=4)
    details = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 10},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 12},
    }
    assert responded(details) == Usage(input=26, cache_read=64, cache_write=10, output=20, reasoning=12)
    with pytest.raises(GatewayError) as caught:
        responded({"input_tokens": "9"})
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@given(counts, counts, counts, counts, counts)
def test_no_token_of_a_response_is_counted_twice(
    whole: int | None, output: int | None, cached: int | None, written: int | None, thought: int | None
) -> None:
    said = {
        "input_tokens": whole,
        "output_tokens": output,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens_details": {"reasoning_tokens": thought},
    }
    meant = responded(said)
    assert meant is not None
    assert min(meant.input, meant.cache_read, meant.cache_write, meant.output, meant.reasoning) >= 0
    assert meant.total_input == max(whole or 0, 0)
    assert meant.reasoning <= meant.output == max(output or 0, 0)
