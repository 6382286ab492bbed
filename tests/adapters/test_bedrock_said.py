from typing import Any

import msgspec
import pytest

from adapters.bedrock_said import Source, TokenUsage, arguments, called, cited, done, tool_use, usage
from adapters.wire import ABSENT
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, FinishReason, ToolCall, Usage


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_every_stop_reason_has_a_meaning(said: str, meant: FinishReason) -> None:
    assert done(said, ABSENT) == Done(meant)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_is_none_is_a_failure(reason: str) -> None:
    with pytest.raises(GatewayError) as caught:
        done(reason, ABSENT)
    assert caught.value.code is Code.BACKEND_ERROR


def test_the_stop_sequence_is_told_where_the_model_tells_it() -> None:
    assert done("stop_sequence", raw({"stop_sequence": "END"})) == Done("stop", stop_sequence="END")
    for fields in ("test", {"stop_sequence": None}, {"stop_sequence": 1}, {}, None):
        assert done("stop_sequence", raw(fields)) == Done("stop")
    assert done("end_turn", raw({"stop_sequence": "END"})) == Done("stop")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, Usage()),
        ({"inputTokens": 14, "outputTokens": 5, "totalTokens": 19}, Usage(input=14, output=5)),
        (
            {"inputTokens": 2, "outputTokens": 5, "cacheReadInputTokens": 1300, "cacheWriteInputTokens": 20},
            Usage(input=2, cache_read=1300, cache_write=20, output=5),
        ),
        (
            {
                "inputTokens": 2,
                "outputTokens": 5,
                "cacheWriteInputTokens": 100,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 70}, {"ttl": "5m", "inputTokens": 30}],
            },
            Usage(input=2, cache_write=30, cache_write_1h=70, output=5),
        ),
        (
            {"cacheWriteInputTokens": 10, "cacheDetails": [{"ttl": "1h", "inputTokens": 70}, {}]},
            Usage(cache_write_1h=10),
        ),
        ({"inputTokens": -3, "outputTokens": 1e300}, Usage(input=-3, output=2**53)),
    ],
)
def test_tokens_are_in_disjoint_classes(said: dict[str, Any], meant: Usage) -> None:
    assert usage(msgspec.convert(said, TokenUsage)) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, Citation(start=3, end=7)),
        (
            {
                "title": "T",
                "sourceContent": [{"text": "one "}, {"text": "two"}],
                "location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}},
            },
            Citation(title="T", quote="one two", document=1, start=3, end=7),
        ),
        (
            {"location": {"documentChar": {"documentIndex": 0}}},
            Citation(document=0, start=3, end=7),
        ),
        (
            {"location": {"web": {"url": "https://example.com/", "domain": "example.com"}}},
            Citation(url="https://example.com/", start=3, end=7),
        ),
        ({"location": {"somethingNew": {}}}, Citation(start=3, end=7)),
    ],
)
def test_a_citation_tells_its_source_and_its_place(said: dict[str, Any], meant: Citation) -> None:
    assert cited(msgspec.convert(said, Source), 3, 7) == meant


def test_a_call_of_the_callers_tool_is_told_and_one_of_the_providers_own_is_not() -> None:
    tool = tool_use(raw({"toolUseId": "t", "name": "f", "input": {"a": 1}, "type": "tool_use"}))
    assert tool is not None
    assert called(tool, 2, arguments(tool)) == ToolCall(2, "t", "f", '{"a":1}')
    bare = tool_use(raw({"toolUseId": "t", "name": "f"}))
    assert bare is not None
    assert arguments(bare) == "{}"
    assert tool_use(raw({"toolUseId": "t", "name": "f", "type": "server_tool_use"})) is None


@pytest.mark.parametrize("fields", [{"name": "f"}, {"toolUseId": "t"}, {"toolUseId": "", "name": "f"}])
def test_a_call_without_an_id_or_a_name_is_broken(fields: dict[str, str]) -> None:
    tool = tool_use(raw(fields))
    assert tool is not None
    with pytest.raises(GatewayError) as caught:
        called(tool, 0, "")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
