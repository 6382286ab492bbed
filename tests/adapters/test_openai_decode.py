import json
from typing import Any

import msgspec
import pytest

from adapters.events import Streamed, Whole
from adapters.openai_decode import ChatStream, output_tokens, whole_chat
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, Event, FinishReason, Reasoning, Refusal, Start, Text, ToolCall, Usage
from tests.adapters.calls import decode


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, *, index: int | None = 0, **more: Any
) -> bytes:
    choice: dict[str, Any] = {"delta": delta, "finish_reason": finish}
    if index is not None:
        choice["index"] = index
    return b"data: " + json.dumps({"id": "c-1", "created": 7, "choices": [choice], **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def streamed(*events: bytes, choices: int = 1) -> list[Event]:
    return decode(Streamed(ChatStream("openai", choices)), events)


def plain(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> list[Event]:
    body = {"id": "c-1", "created": 7, "choices": [{"message": message, "finish_reason": finish}], **more}
    return decode(Whole(whole_chat("openai", 1)), [json.dumps(body).encode()])


def broken(*events: bytes) -> GatewayError:
    """Why the last event is refused, before the answer could end."""
    decoder = Streamed(ChatStream("openai", 1))
    for event in events[:-1]:
        assert not any(isinstance(one, Done) for one in decoder.feed(event))
    with pytest.raises(GatewayError) as caught:
        decoder.feed(events[-1])
    return caught.value


def test_the_end_of_a_choice_is_told_once_the_stream_is_whole() -> None:
    """Some providers say `finish_reason` more than once, and what ends early must never have said `stop`."""
    decoder = Streamed(ChatStream("openai", 1))
    first = [
        event
        for one in (chunk({"content": "a"}), chunk({}, "stop"), chunk({}, "length"))
        for event in decoder.feed(one)
    ]
    assert first == [Start("c-1", 7), Text("a")]
    assert decoder.feed(DONE) == [Done("stop")]
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("eos", "stop"),
    ],
)
def test_every_finish_reason_has_a_meaning(said: str, meant: FinishReason) -> None:
    assert streamed(chunk({"content": "a"}, said), DONE)[-1] == Done(meant)
    assert plain({"content": "a"}, said)[-1] == Done(meant)


@pytest.mark.parametrize("said", ["error", "network_error", "insufficient_system_resource"])
def test_a_finish_reason_that_is_a_failure_is_one(said: str) -> None:
    assert broken(chunk({"content": "a"}), chunk({}, said)).code is Code.BACKEND_ERROR


@pytest.mark.parametrize("said", [None, ""])
def test_a_choice_that_never_ends_is_a_broken_format(said: str | None) -> None:
    assert broken(chunk({"content": "a"}, said), DONE).code is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    ("said", "meant"), [("stop", "tool_calls"), ("length", "length"), ("tool_calls", "tool_calls")]
)
def test_a_stop_with_tool_calls_is_a_call_of_tools(said: str, meant: FinishReason) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert streamed(chunk({"tool_calls": [call]}), chunk({}, said), DONE)[-1] == Done(meant)
    assert plain({"tool_calls": [call]}, said)[-1] == Done(meant)


def test_a_choice_that_nobody_asked_for_is_a_broken_format() -> None:
    for index in (1, -1):
        assert broken(chunk({"content": "a"}, index=index)).code is Code.UPSTREAM_SHAPE_MISMATCH
    assert streamed(chunk({"content": "a"}, "stop", index=1), DONE, choices=2)[1:] == [Text("a", 1), Done("stop", 1)]


def test_a_choice_without_an_index_is_known_by_its_place() -> None:
    assert streamed(chunk({"content": "a"}, "stop", index=None), DONE) == [Start("c-1", 7), Text("a"), Done("stop")]
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"} for text in "ab"]}
    assert decode(Whole(whole_chat("openai", 2)), [json.dumps(body).encode()])[1:3] == [Text("a", 0), Text("b", 1)]


def test_a_stream_without_a_choice_is_a_broken_format() -> None:
    assert broken(DONE).code is Code.UPSTREAM_SHAPE_MISMATCH
    assert broken(b'data: {"choices":[]}\n\n', DONE).code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_chunk_without_choices_may_come_ahead() -> None:
    """Azure tells its content filter's results so."""
    ahead = b'data: {"id":"","created":0,"choices":[],"prompt_filter_results":[{}]}\n\n'
    assert streamed(ahead, chunk({"content": "a"}, "stop"), DONE) == [Start("c-1", 7), Text("a"), Done("stop")]


def test_an_answer_may_leave_out_who_and_when_it_is() -> None:
    for head in ({}, {"id": None, "created": None}, {"id": "", "created": 0.5}):
        said = {**head, "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
        assert streamed(b"data: " + json.dumps(said).encode() + b"\n\n", DONE)[0] == Start("")


def test_the_usage_that_is_told_last_counts() -> None:
    reports = [{"prompt_tokens": 5, "completion_tokens": count} for count in (1, 2)]
    events = streamed(
        *(chunk({"content": "a"}, usage=report) for report in reports), chunk({}, "stop", usage=None), DONE
    )
    assert [event for event in events if isinstance(event, Usage)] == [Usage(input=5, output=2)]


# -- tool calls ------------------------------------------------------------------------------------------------------


def calls(*deltas: list[dict[str, Any]]) -> list[ToolCall]:
    events = streamed(*(chunk({"tool_calls": delta}) for delta in deltas), chunk({}, "tool_calls"), DONE)
    return [event for event in events if isinstance(event, ToolCall)]


def piece(arguments: str | None = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def test_calls_are_told_apart_by_their_index() -> None:
    assert calls(
        [piece("", "f", index=0, id="a"), piece("", "g", index=1, id="b")],
        [piece("{1", index=1)],
        [piece("{0", index=0), piece("}", index=1)],
    ) == [
        ToolCall(0, "a", "f"),
        ToolCall(1, "b", "g"),
        ToolCall(1, arguments="{1"),
        ToolCall(0, arguments="{0"),
        ToolCall(1, arguments="}"),
    ]


def test_calls_are_numbered_as_they_come_whatever_their_index() -> None:
    assert calls([piece("{}", "f", index=7, id="a")], [piece("[]", "g", index=2, id="b")], [piece("x", index=7)]) == [
        ToolCall(0, "a", "f", "{}"),
        ToolCall(1, "b", "g", "[]"),
        ToolCall(0, arguments="x"),
    ]


def test_ids_and_names_that_are_repeated_are_told_once() -> None:
    assert calls(
        [piece("{", "f", index=0, id="a")], [piece("}", "f", index=0, id="a")], [piece(None, index=0, id="")]
    ) == [
        ToolCall(0, "a", "f", "{"),
        ToolCall(0, arguments="}"),
    ]


def test_another_id_under_the_same_index_is_another_call() -> None:
    """Gemini's endpoint of the protocol numbers every call 0."""
    assert calls([piece("{}", "f", index=0, id="a")], [piece("[", "f", index=0, id="b")], [piece("]", index=0)]) == [
        ToolCall(0, "a", "f", "{}"),
        ToolCall(1, "b", "f", "["),
        ToolCall(1, arguments="]"),
    ]


def test_calls_without_an_index_are_told_apart_by_id_and_name() -> None:
    assert calls(
        [piece("{", "f", id="a")], [piece("}", id="a")], [piece("[", "g")], [piece("]")], [piece(" ", id="a")]
    ) == [
        ToolCall(0, "a", "f", "{"),
        ToolCall(0, arguments="}"),
        ToolCall(1, "", "g", "["),
        ToolCall(1, arguments="]"),
        ToolCall(0, arguments=" "),
    ]


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    for arguments in ("", None):
        assert calls([piece(arguments, "f", index=0, id="a")]) == [ToolCall(0, "a", "f"), ToolCall(0, arguments="{}")]


def test_arguments_that_are_an_object_become_its_text() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": {"city": "é"}}}
    assert plain({"tool_calls": [call]})[1] == ToolCall(0, "a", "f", '{"city":"é"}')


def test_the_function_call_of_old_is_a_tool_call_without_an_id() -> None:
    events = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    ]
    assert streamed(*events, DONE)[1:] == [ToolCall(0, "", "f"), ToolCall(0, arguments="{}"), Done("tool_calls")]
    assert plain({"function_call": {"name": "f", "arguments": "{}"}}, "function_call")[1:] == [
        ToolCall(0, "", "f", "{}"),
        Done("tool_calls"),
    ]


@pytest.mark.parametrize("call", [piece("{}", index=0, id="a"), piece("{}"), {"index": 0}, {}])
def test_a_call_that_names_no_function_is_a_broken_format(call: dict[str, Any]) -> None:
    assert broken(chunk({"tool_calls": [call]})).code is Code.UPSTREAM_SHAPE_MISMATCH


# -- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_once_under_either_name(name: str) -> None:
    wanted = [Reasoning("Hm.", provider="openai"), Text("a"), Done("stop")]
    assert streamed(chunk({name: "Hm.", "content": ""}), chunk({"content": "a"}, "stop"), DONE)[1:] == wanted
    assert plain({name: "Hm.", "content": "a"})[1:] == wanted
    assert plain({"reasoning_content": "Hm.", "reasoning": "Hm.", "content": "a"})[1:] == wanted


def test_content_may_come_in_parts() -> None:
    """As Mistral gives reasoning."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}, {"type": "text", "text": "Ah."}]}
    parts = [{"type": "text", "text": "a"}, thinking, {"type": "x"}, {"type": "text", "text": "b"}]
    assert plain({"content": [*parts, {"type": "refusal", "refusal": "c"}]})[1:-1] == [
        Text("a"),
        Reasoning("Hm.", provider="openai"),
        Reasoning("Ah.", provider="openai"),
        Text("b"),
        Refusal("c"),
    ]
    assert plain({"content": [{"type": "thinking", "thinking": "Hm."}]})[1] == Reasoning("Hm.", provider="openai")


def test_log_probabilities_stay_as_they_are_but_for_line_ends() -> None:
    given = '{"content":[{"token":"a","logprob":-1.50}]}'
    for text in (given, given.replace(":[", ":\n [ ")):
        body = f'{{"choices":[{{"delta":{{"content":"a"}},"logprobs":{text},"finish_reason":"stop"}}]}}'
        event = "".join(f"data: {line}\n" for line in body.splitlines()) + "\n"
        told = streamed(event.encode(), DONE)[1]
        assert isinstance(told, Text)
        assert told.logprobs == msgspec.Raw(given.encode())


def test_log_probabilities_of_a_refusal_are_not_lost() -> None:
    body = b'data: {"choices":[{"delta":{"refusal":"No."},"logprobs":{"refusal":[]},"finish_reason":"stop"}]}\n\n'
    assert streamed(body, DONE)[1:] == [Refusal("No."), Text("", 0, msgspec.Raw(b'{"refusal":[]}')), Done("stop")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ('{"message":"x","code":502}', Code.BACKEND_ERROR),
        ('{"message":"x","code":"429"}', Code.BACKEND_RATE_LIMITED),
        ('"overloaded"', Code.BACKEND_ERROR),
    ],
)
def test_an_error_in_place_of_an_answer_or_in_its_midst_is_that_error(error: str, code: Code) -> None:
    for choices in ("", ',"choices":[{"delta":{"content":""},"finish_reason":"error"}]'):
        body = f'{{"error":{error}{choices}}}'.encode()
        assert broken(b"data: " + body + b"\n\n").code is code
        assert broken(chunk({"content": "a"}), b"data: " + body + b"\n\n").code is code
        with pytest.raises(GatewayError) as caught:
            decode(Whole(whole_chat("openai", 1)), [body])
        assert caught.value.code is code


def test_an_error_that_is_null_is_none() -> None:
    assert streamed(chunk({"content": "a"}, "stop", error=None), DONE)[-1] == Done("stop")
    assert plain({"content": "a"}, error=None)[-1] == Done("stop")


def details(*said: dict[str, Any]) -> str:
    return json.dumps(said, separators=(",", ":"))


def test_reasoning_that_has_to_come_back_closes_the_thoughts_ahead_of_the_text() -> None:
    piece = {"type": "reasoning.text", "index": 0}
    told = streamed(
        chunk({"content": "", "reasoning": "Hm", "reasoning_details": [{**piece, "text": "Hm"}]}),
        chunk({"content": "", "reasoning": "m.", "reasoning_details": [{**piece, "text": "m."}]}),
        chunk({"content": "", "reasoning_details": [{**piece, "signature": "s"}]}),
        chunk({"content": "So."}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "index": 1}]}, "stop"),
        DONE,
    )
    assert told == [
        Start("c-1", 7),
        Reasoning("Hm", provider="openai"),
        Reasoning("m.", provider="openai"),
        Reasoning(redacted=details({**piece, "text": "Hmm.", "signature": "s"}), provider="openai"),
        Text("So."),
        Reasoning(redacted=details({"type": "reasoning.encrypted", "data": "d", "index": 1}), provider="openai"),
        Done("stop"),
    ]


def test_a_signature_of_gemini_says_what_it_belongs_to() -> None:
    signed = {"google": {"thought_signature": "s"}}
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": signed}
    assert plain({"content": "So.", "tool_calls": [call], "extra_content": signed}, "tool_calls") == [
        Start("c-1", 7),
        Text("So."),
        ToolCall(0, "a", "f", "{}"),
        Reasoning(signature="s", provider="openai", signs="call", call_id="a"),
        Reasoning(signature="s", provider="openai", signs="text"),
        Done("tool_calls"),
    ]


def test_what_an_answer_cites_is_told_behind_its_text() -> None:
    page = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 3}
    cited = {"type": "url_citation", "url_citation": page}
    told = plain({"content": "So.", "annotations": [cited, {"type": "file"}]})
    assert told[1:] == [Text("So."), Citation(url="https://x", title="X", start=0, end=3), Done("stop")]


def test_pages_that_an_answer_names_as_a_whole_are_cited_once_at_its_end() -> None:
    pages: dict[str, Any] = {"citations": ["https://x", "https://y"]}
    found: dict[str, Any] = {**pages, "search_results": [{"url": "https://x", "title": "X", "snippet": "x"}]}
    assert streamed(chunk({"content": "a"}, **pages), chunk({}, "stop", **pages), DONE)[2:] == [
        Citation(url="https://x"),
        Citation(url="https://y"),
        Done("stop"),
    ]
    told = streamed(chunk({"content": "a"}, **pages), chunk({}, "stop", **found), DONE)
    assert told[2:] == [Citation(url="https://x", title="X", quote="x"), Done("stop")]


def test_a_legacy_completion_is_its_text() -> None:
    body = b'{"id":"c-1","created":7,"choices":[{"index":0,"text":"So.","finish_reason":"length"}]}'
    assert whole_chat("openai", 1)(body) == [Start("c-1", 7), Text("So."), Done("length")]


def test_output_is_guessed_by_all_that_was_said() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": "x" * 40}}
    said = [
        {"content": "é" * 20, "refusal": "r" * 40, "reasoning_content": "t" * 40, "tool_calls": [call]},
        {"content": "c"},
    ]
    body = {"choices": [{"message": message, "finish_reason": "stop"} for message in said]}
    assert output_tokens(json.dumps(body).encode()) == 41
