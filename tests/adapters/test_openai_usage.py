import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.counts import UNREADABLE
from adapters.openai_usage import of_response, usage
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
        # Sound, on both sides (OpenAI).
        (
            {
                "prompt_tokens": 110,
                "completion_tokens": 60,
                "total_tokens": 170,
                "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 10, "audio_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 4, "text_tokens": 20, "audio_tokens": 40},
            },
            Usage(input=10, audio_input=100, output=20, audio_output=40, reasoning=4),
        ),
        # Images (xAI, OpenRouter).
        (
            {
                "prompt_tokens": 300,
                "completion_tokens": 1300,
                "prompt_tokens_details": {"image_tokens": 256, "audio_tokens": 4, "cached_tokens": 30},
                "completion_tokens_details": {"image_tokens": 1290},
            },
            Usage(input=10, cache_read=30, audio_input=4, image_input=256, output=10, image_output=1290),
        ),
        # What was cached is in one class alone, even if it was sound.
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 70, "audio_tokens": 60}},
            Usage(cache_read=70, audio_input=30),
        ),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"audio_tokens": 6, "image_tokens": 6}},
            Usage(audio_input=6, image_input=3),
        ),
        (
            {"completion_tokens": 9, "completion_tokens_details": {"audio_tokens": 8, "image_tokens": 8}},
            Usage(audio_output=8, image_output=1),
        ),
        # Thoughts are text: what was spoken has none.
        (
            {"completion_tokens": 9, "completion_tokens_details": {"audio_tokens": 7, "reasoning_tokens": 5}},
            Usage(output=2, audio_output=7, reasoning=2),
        ),
        # A part that is more than the whole is cut to it.
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cache_read=3)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 2}},
            Usage(cache_read=2, cache_write=1),
        ),
        ({"completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 9}}, Usage(output=3, reasoning=3)),
    ],
)
def test_classes_are_disjoint(said: dict[str, Any], meant: Usage) -> None:
    assert read(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": -1},
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": "5"},
        {"prompt_tokens": 5, "completion_tokens": True},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 1e30},
    ],
)
def test_what_cannot_be_stays_what_cannot_be(said: object) -> None:
    found = read(said)
    assert found is not None
    assert not found.believable


@pytest.mark.parametrize("said", [5, [], "x", {"prompt_tokens_details": 5}])
def test_a_usage_that_cannot_be_read_costs_nobody_the_answer(said: object) -> None:
    assert read(said) == UNREADABLE


counts = st.none() | st.integers(0, 100)


@given(counts, counts, counts, counts, counts, counts, counts, counts)
def test_no_token_is_counted_twice_whatever_is_said(
    prompt: int | None,
    output: int | None,
    total: int | None,
    cached: int | None,
    written: int | None,
    thought: int | None,
    sound: int | None,
    image: int | None,
) -> None:
    said = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": total,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": sound,
            "image_tokens": image,
        },
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": image, "image_tokens": sound},
    }
    meant = read(said)
    assert meant is not None
    assert meant.believable
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
    details = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 20, "audio_tokens": 50, "image_tokens": 25},
        "output_tokens": 20,
        "output_tokens_details": {"audio_tokens": 12, "image_tokens": 5},
    }
    assert responded(details) == Usage(
        input=5, cache_read=20, audio_input=50, image_input=25, output=3, audio_output=12, image_output=5
    )
    assert responded([]) == UNREADABLE


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
