"""What our own tokenizer counts, and where it knows that it cannot."""

import importlib.util
import json
from typing import Any

import pytest

from scaigrid import counting
from scaigrid.call import Call
from scaigrid.counting import counted, vocabulary
from scaigrid.dialects.openai import OpenAI
from tests.harness.lanes import CHAT_URL, EMBED_URL, chat


def call(text: str = "hello world", **more: Any) -> Call:
    return OpenAI().decode(CHAT_URL["openai"], json.dumps(chat("m", text, **more)).encode())


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("openai/gpt-4.1-nano", "o200k_base"),
        ("ft:gpt-4o-mini:acme", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("o100", None),
        ("gpt-40", None),
        ("claude-sonnet-5", None),
        ("upstream-model", None),
        ("", None),
    ],
)
def test_a_model_s_name_tells_its_vocabulary(model: str, known: str | None) -> None:
    assert vocabulary(model) == known


def test_a_text_is_counted_as_its_provider_counts_it() -> None:
    """Around a message stand three tokens and its role, and three stand ahead of the answer: the provider's recipe."""
    assert counted("gpt-4o", call(), ["hello", " world"]) == (3 + 3 + 1 + 2, 2)


def test_a_token_across_two_pieces_is_one() -> None:
    pieces = counted("gpt-4o", call(), ["hel", "lo wor", "ld"])
    assert pieces is not None
    assert pieces[1] == 2


def test_what_looks_like_a_token_of_the_provider_s_own_is_text() -> None:
    found = counted("gpt-4o", call("<|endoftext|>"), [])
    assert found is not None
    assert found[0] > 3 + 3 + 1 + 1


def test_tools_and_what_they_were_asked_are_counted_as_text() -> None:
    tool: dict[str, Any] = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    bare, with_tool = counted("gpt-4o", call(), []), counted("gpt-4o", call(tools=[tool]), [])
    assert bare is not None
    assert with_tool is not None
    assert with_tool[0] > bare[0] + 5


def test_texts_to_embed_are_counted() -> None:
    body = json.dumps({"model": "m", "input": ["hello world", "hello"]}).encode()
    asked = OpenAI().decode(EMBED_URL["openai"], body)
    assert counted("text-embedding-3-small", asked, []) == (3, 0)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def with_image() -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, IMAGE]}]}
    return OpenAI().decode(CHAT_URL["openai"], json.dumps(body).encode())


def test_what_is_no_text_is_not_counted() -> None:
    assert counted("gpt-4o", with_image(), ["Hi"]) is None
    tokens = json.dumps({"model": "m", "input": [[1, 2, 3]]}).encode()
    assert counted("text-embedding-3-small", OpenAI().decode(EMBED_URL["openai"], tokens), []) is None


def test_a_model_of_others_is_not_counted_nor_an_answer_that_nobody_kept() -> None:
    assert counted("claude-sonnet-5", call(), ["Hi"]) is None
    assert counted("gpt-4o", call(), None) is None


def test_what_would_take_too_long_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST", 20)
    assert counted("gpt-4o", call("x" * 30), []) is None


def test_a_body_that_means_nothing_is_not_counted() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "nobody"}]}).encode()
    assert counted("gpt-4o", OpenAI().decode(CHAT_URL["openai"], body), []) is None


def test_without_the_package_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        return None

    for cached in ("_tokenizer", "_bindings"):
        monkeypatch.setattr(counting, cached, getattr(counting, cached).__wrapped__)
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    assert counted("gpt-4o", call(), ["Hi"]) is None
