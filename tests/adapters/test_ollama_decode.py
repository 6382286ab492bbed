import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.events import Streamed, Whole
from adapters.ndjson import Lines
from adapters.ollama_decode import ChatStream, embeddings, whole_chat
from scaigrid.errors import Code
from scaigrid.types import Done, Embed, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage, Vector
from tests.adapters.calls import decode, foreign, until_failure

PROVIDER = "ollama"
ASKED = Embed(input=("a", "b"))


def line(content: Any = None, **fields: Any) -> bytes:
    message = {} if content is None else {"message": {"role": "assistant", "content": content}}
    return json.dumps({"model": "m", **message, **fields}).encode() + b"\n"


def end(reason: Any = "stop", **fields: Any) -> bytes:
    return line("", done=True, done_reason=reason, **fields)


def streamed(*lines: bytes) -> list[Event]:
    return decode(Streamed(ChatStream(), Lines()), lines)


def plain(body: bytes) -> list[Event]:
    return decode(Whole(whole_chat), [body])


def broken(*lines: bytes) -> Code:
    found, failure = until_failure(Streamed(ChatStream(), Lines()), lines)
    assert failure is not None
    assert not any(isinstance(one, Done) for one in found)
    return failure.code


@pytest.mark.parametrize(
    ("word", "meant"), [("stop", "stop"), ("length", "length"), ("load", "stop"), (None, "stop"), ("new", "stop")]
)
def test_every_reason_has_a_meaning(word: str | None, meant: FinishReason) -> None:
    assert streamed(end(word))[-1] == plain(end(word))[-1] == Done(meant)


def test_thoughts_come_ahead_of_the_text() -> None:
    said = line(message={"thinking": "Hm.", "content": "a"})
    assert streamed(said, end())[1:-1] == [Reasoning("Hm.", provider=PROVIDER), Text("a")]


def test_calls_are_numbered_over_all_lines_and_end_the_answer_as_calls() -> None:
    def call(**fields: Any) -> bytes:
        return line(message={"content": "", "tool_calls": [{"function": {"name": "f", **fields}}]})

    told = streamed(call(arguments={"a": 1.50}), call(), call(arguments=None), end())
    assert told[1:] == [
        ToolCall(0, name="f", arguments='{"a":1.5}'),
        ToolCall(1, name="f", arguments="{}"),
        ToolCall(2, name="f", arguments="{}"),
        Done("tool_calls"),
    ]
    assert streamed(call(), end("length"))[-1] == Done("length")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"prompt_eval_count": 26, "eval_count": 12}, [Usage(input=26, output=12)]),
        ({"eval_count": 12}, [Usage(output=12)]),
        ({"prompt_eval_count": -1, "eval_count": 1e30}, [Usage(input=-1, output=2**53)]),
        ({}, []),
    ],
)
def test_usage_is_told_where_it_is_known(said: dict[str, Any], meant: list[Event]) -> None:
    assert streamed(end(**said))[1:-1] == meant


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("2026-03-01T12:00:00.123456789Z", 1772366400),
        ("2026-03-01T14:00:00+02:00", 1772366400),
        ("2026-03-01T12:00:00", 0),
        ("1969-01-01T00:00:00Z", 0),
        ("soon", 0),
        (None, 0),
    ],
)
def test_the_moment_is_told_in_seconds(moment: str | None, seconds: int) -> None:
    assert streamed(end(created_at=moment))[0] == Start("", seconds)


def test_log_probabilities_are_openais() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    (text,) = streamed(line("a", logprobs=[entry]), line("", logprobs=[]), end())[1:-1]
    assert isinstance(text, Text)
    assert text.logprobs is not None
    assert json.loads(bytes(text.logprobs)) == {"content": [entry]}


def test_an_error_is_told_wherever_it_comes() -> None:
    error = b'{"error":"an error was encountered while running the model"}\n'
    assert broken(error) is broken(line("a"), error) is broken(error.strip()) is Code.BACKEND_ERROR
    _, failure = until_failure(Whole(whole_chat), [error])
    assert failure is not None
    assert failure.code is Code.BACKEND_ERROR


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"\n \r\n"],
        [line("a")],
        [line("a"), b"{\n"],
        [line()],
        [line(5)],
        [line("a", done=5)],
        [line(message={"tool_calls": [{"id": "a"}]})],
        [line(message={"tool_calls": [{"function": {"arguments": {}}}]})],
        [line(message={"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})],
        [line("a", error={})],
        [b"data: {}\n"],
        [b"<html>\n"],
        [b"[]\n"],
    ],
)
def test_anything_else_is_a_broken_format(lines: list[bytes]) -> None:
    assert broken(*lines) is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_plain_answer_has_an_end() -> None:
    _, failure = until_failure(Whole(whole_chat), [line("a")])
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = {"embeddings": [[1], [2]], "prompt_eval_count": 3}
    start, one, two, usage = decode(Whole(embeddings(foreign(ASKED))), [json.dumps(body).encode()])
    assert (start, usage) == (Start(""), Usage(input=3))
    assert isinstance(one, Vector)
    assert isinstance(two, Vector)
    assert [(one.index, bytes(one.value)), (two.index, bytes(two.value))] == [(0, b"[1]"), (1, b"[2]")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "no"}, Code.BACKEND_ERROR),
        ({"error": {}}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": [[1]]}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": [[1], 2]}, Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_other_vectors_are_a_failure(body: Any, code: Code) -> None:
    _, failure = until_failure(Whole(embeddings(foreign(ASKED))), [json.dumps(body).encode()])
    assert failure is not None
    assert failure.code is code


WORDS = ["message", "content", "thinking", "tool_calls", "function", "name", "arguments", "done", "error", "logprobs"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_any_json_at_all_ends_in_events_or_in_a_gateway_error(objects: list[Any]) -> None:
    texts = [json.dumps(one).encode() + b"\n" for one in objects]
    until_failure(Streamed(ChatStream(), Lines()), texts)
    until_failure(Whole(whole_chat), texts)
