import json
from typing import Any

import pytest
from hypothesis import given
from openai.types.responses import Response

from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Done, Event, Start, Text, Usage
from tests.harness.answers import Answered, answers, frames

PATH = "/oai/v1/responses"


def call(path: str = PATH, **more: Any) -> Call:
    return OpenAI().decode(path, json.dumps({"model": "acme/chat", "input": "Hi", **more}).encode())


def plain(*events: Event, **more: Any) -> dict[str, Any]:
    renderer = OpenAI().renderer(call(**more), Answered())
    assert renderer.render(events) == b""
    whole: dict[str, Any] = json.loads(renderer.close())
    return whole


def streamed(*events: Event, **more: Any) -> list[dict[str, Any]]:
    renderer = OpenAI().renderer(call(stream=True, **more), Answered())
    text = b"".join([*[renderer.render([event]) for event in events], renderer.close()])
    found = [(name, json.loads(data)) for name, data in frames(text)]
    assert [name for name, _ in found] == [data["type"] for _, data in found]
    return [data for _, data in found]


USAGE = Usage(input=5, cache_read=3, cache_write=2, cache_write_1h=1, output=4, reasoning=2)


def test_a_plain_answer_has_every_field_of_a_response() -> None:
    got = plain(Start("msg_1", 7), Text("It rains."), USAGE, Done("stop"))
    found = Response.model_validate(got)
    assert (found.output_text, found.status, found.created_at, found.model) == (
        "It rains.",
        "completed",
        7,
        "acme/chat",
    )
    assert got["usage"] == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    assert got["store"] is False
    assert got["previous_response_id"] is None
    assert got["id"] == "resp_0123456789abcdef0123456789abcdef"
    assert (got["tool_choice"], got["tools"], got["parallel_tool_calls"], got["metadata"]) == ("auto", [], True, {})


def test_what_was_asked_is_told_back() -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
    }
    got = plain(Text("Hi"), Done("stop"), **asked)
    assert {name: got[name] for name in asked} == asked
    nothing = plain(Text("Hi"), Done("stop"), tools=None, text=None, metadata=None)
    assert (nothing["tools"], nothing["text"], nothing["metadata"]) == ([], {"format": {"type": "text"}}, {})


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_short_says_why(reason: Any, why: str) -> None:
    events: list[Event] = [Text("It"), Done(reason)]
    got = plain(*events)
    assert (got["status"], got["incomplete_details"]) == ("incomplete", {"reason": why})
    last = streamed(*events)[-1]
    assert (last["type"], last["response"]["incomplete_details"]) == ("response.incomplete", {"reason": why})


def test_a_stream_begins_with_its_response_and_ends_with_the_whole_of_it() -> None:
    events: list[Event] = [Start("msg_1", 7), Text("It "), Text("rains."), USAGE, Done("stop")]
    found = streamed(*events)
    assert [one["type"] for one in found[:2]] == ["response.created", "response.in_progress"]
    assert found[0]["response"]["status"] == "in_progress"
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"] == plain(*events)


def test_nothing_goes_out_ahead_of_the_first_content_and_the_end_waits_for_the_close() -> None:
    renderer = OpenAI().renderer(call(stream=True), Answered())
    assert renderer.render([Start("msg_1"), Usage(input=3)]) == b""
    assert renderer.render([Text("Hi")]).startswith(b"event: response.created\n")
    assert b"done" not in renderer.render([Done("stop"), USAGE])
    assert b"event: response.completed\n" in renderer.close()


def test_an_answer_of_nothing_is_one() -> None:
    assert plain(Start("msg_1"), Done("stop"))["output"] == []
    assert [one["type"] for one in streamed(Done("stop"))] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


@given(answers())
def test_a_stream_and_a_plain_answer_say_the_same(events: list[Event]) -> None:
    only = [event for event in events if getattr(event, "index", 0) == 0]
    assert streamed(*only)[-1]["response"] == plain(*only)


def test_a_size_is_told() -> None:
    renderer = OpenAI().renderer(call(f"{PATH}/input_tokens"), Answered())
    assert renderer.render([Counted(11)]) == b""
    assert json.loads(renderer.close()) == {"input_tokens": 11, "object": "response.input_tokens"}


def test_a_size_that_nobody_told_is_a_mismatch() -> None:
    with pytest.raises(GatewayError) as caught:
        OpenAI().renderer(call(f"{PATH}/input_tokens"), Answered()).close()
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
