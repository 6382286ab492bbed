import json
from typing import Any

import pytest

from adapters.openai_thoughts import Details


def taken(*pieces: dict[str, Any]) -> Any:
    details = Details()
    for piece in pieces:
        details.add([piece])
    kept = details.taken()
    assert details.taken() is None
    return None if kept is None else json.loads(kept)


def test_pieces_of_one_detail_are_put_together() -> None:
    text = {"type": "reasoning.text", "index": 0, "format": "f"}
    assert taken({**text, "text": "a"}, {**text, "text": "b"}, {**text, "signature": "s"}) == [
        {**text, "text": "ab", "signature": "s"}
    ]


@pytest.mark.parametrize(
    "second",
    [
        {"type": "reasoning.encrypted", "index": 0, "data": "d"},
        {"type": "reasoning.text", "index": 1, "text": "b"},
        {"type": "reasoning.text", "text": "b"},
    ],
)
def test_another_type_or_index_is_another_detail(second: dict[str, Any]) -> None:
    first = {"type": "reasoning.text", "index": 0, "text": "a", "signature": "s"}
    assert taken(first, second) == [first, second]


def test_a_summary_ahead_of_what_is_encrypted_is_kept_with_it() -> None:
    both = [
        {"type": "reasoning.summary", "summary": "a", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "id": "rs_1", "index": 0},
    ]
    assert taken(*both) == both


def test_what_can_be_made_again_from_the_text_is_not_kept() -> None:
    assert taken({"type": "reasoning.text", "text": "a", "signature": None, "index": 0}) is None
    assert taken() is None


def test_what_comes_in_is_left_as_it_is() -> None:
    first = {"type": "reasoning.text", "index": 0, "text": "a", "signature": "s"}
    second = {"type": "reasoning.text", "index": 0, "text": "b"}
    taken(first, second)
    assert first["text"] == "a"
