import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.google_decode import AnswerStream, counted, whole
from adapters.google_framing import UntilClosed
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Done, Event, Reasoning, Start, Text, ToolCall, Usage
from tests.adapters.calls import decode, until_failure

USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}


def candidate(*parts: dict[str, Any], reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    return {"content": {"parts": list(parts), "role": "model"}, "finishReason": reason, **more}


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r-1", **more}


def plain(body: Any, candidates: int = 1) -> list[Event]:
    """What a plain answer says behind its beginning."""
    start, *events = whole(candidates)(json.dumps(body).encode())
    assert isinstance(start, Start)
    return events


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def streamed(*chunks: Any, candidates: int = 1) -> list[Event]:
    return decode(UntilClosed(AnswerStream(candidates)), [sse(*chunks)])[1:]


def refused(body: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        plain(body)
    return caught.value


def called(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, **more}}


# -- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "done"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("OTHER", "stop"),
        ("A_NEW_WORD", "stop"),
    ],
)
def test_every_reason_has_its_meaning(reason: str, done: Any) -> None:
    assert plain(answer(candidate(reason=reason)))[-1] == Done(done)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
def test_an_answer_that_is_none_fails(reason: str) -> None:
    assert refused(answer(candidate(reason=reason))).code is Code.BACKEND_ERROR


def test_a_stop_with_calls_is_for_the_calls_and_a_length_is_not() -> None:
    assert plain(answer(candidate(called("f"))))[-1] == Done("tool_calls")
    assert plain(answer(candidate(called("f"), reason="MAX_TOKENS")))[-1] == Done("length")


def test_the_last_reason_counts_and_more_may_follow_it() -> None:
    """Older models say STOP in every chunk."""
    events = streamed(
        answer(candidate({"text": "a"})),
        answer(candidate({"text": "b"}, reason="MAX_TOKENS"), usageMetadata=USAGE),
        answer(usageMetadata={**USAGE, "candidatesTokenCount": 4, "totalTokenCount": 13}),
    )
    assert events == [
        Text("a"),
        Text("b"),
        Usage(input=9, output=3),
        Usage(input=9, output=4),
        Done("length"),
    ]


def test_a_candidate_without_an_end_is_broken() -> None:
    for body in (
        answer(candidate({"text": "a"}, reason=None)),
        answer(),
        {},
        answer(candidate(reason="FINISH_REASON_UNSPECIFIED")),
    ):
        assert refused(body).code is Code.UPSTREAM_SHAPE_MISMATCH


def test_each_of_several_candidates_has_its_own_end() -> None:
    first, second = candidate({"text": "a"}, index=0), candidate({"text": "b"}, reason="MAX_TOKENS", index=1)
    assert plain(answer(first, second), 2) == [Text("a"), Text("b", 1), Done("stop"), Done("length", 1)]
    assert refused(answer(first, second)).code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_stream_is_cut_short_where_a_candidate_is_missing_and_a_plain_answer_may_have_fewer() -> None:
    body = answer(candidate({"text": "a"}))
    assert plain(body, 2) == [Text("a"), Done("stop")]
    _, failure = until_failure(UntilClosed(AnswerStream(2)), [sse(body)])
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_blocked_prompt_is_refused_with_its_reason() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "Too wild."}
    found = refused({"promptFeedback": feedback, "usageMetadata": {"trafficType": "ON_DEMAND"}})
    assert (found.code, found.message) == (Code.CONTENT_REFUSED, "Too wild.")
    assert refused({"promptFeedback": {"blockReason": "OTHER"}}).code is Code.CONTENT_REFUSED
    harmless = answer(candidate({"text": "a"}), promptFeedback={"safetyRatings": []})
    assert plain(harmless)[-1] == Done("stop")


def test_a_failure_inside_a_stream_is_told_after_what_came_ahead_of_it() -> None:
    body = sse(answer(candidate({"text": "Half"}, reason=None)), {"error": {"code": 503, "status": "UNAVAILABLE"}})
    events, failure = until_failure(UntilClosed(AnswerStream(1)), [body])
    assert events[1:] == [Text("Half")]
    assert failure is not None
    assert failure.code is Code.BACKEND_ERROR


def test_a_failure_is_told_even_behind_an_end() -> None:
    body = sse(answer(candidate({"text": "a"})), {"error": {"code": 500, "status": "INTERNAL"}})
    _, failure = until_failure(UntilClosed(AnswerStream(1)), [body])
    assert failure is not None
    assert failure.code is Code.BACKEND_ERROR


# -- parts -----------------------------------------------------------------------------------------------------------


def test_signatures_are_told_of_what_they_sign() -> None:
    events = plain(
        answer(
            candidate(
                {"text": "Hm.", "thought": True, "thoughtSignature": "a"},
                {"text": "So.", "thoughtSignature": "b"},
                {**called("f", id="c1"), "thoughtSignature": "c"},
                {"thoughtSignature": "d"},
            )
        )
    )
    assert events[:-1] == [
        Reasoning("Hm.", "a", provider="google"),
        Text("So."),
        Reasoning(signature="b", provider="google", signs="text"),
        Reasoning(signature="c", provider="google", signs="call", call_id="c1"),
        ToolCall(0, "c1", "f", "{}"),
        Reasoning(signature="d", provider="google", signs="text"),
    ]


def test_empty_parts_say_nothing() -> None:
    assert plain(answer(candidate({"text": ""}, {"text": "", "thought": True}, {}))) == [Done("stop")]


def test_a_call_without_an_id_gets_one_that_is_always_the_same() -> None:
    body = answer(candidate(called("f"), called("f", id="own"), called("g")))
    ids = [event.id for event in plain(body) if isinstance(event, ToolCall)]
    assert ids == ["call_r-1_0_0", "own", "call_r-1_0_2"]
    again = streamed(answer(candidate(called("f"), reason=None)), answer(candidate(called("f", id="own"), called("g"))))
    assert [event.id for event in again if isinstance(event, ToolCall)] == ids
    nameless = {**body, "responseId": None}
    assert next(event.id for event in plain(nameless) if isinstance(event, ToolCall)) == "call_0_0"


def test_arguments_are_the_models_own_json_on_one_line() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{\n "a": 1.50,\n "b": []}}}]},'
    events = whole(1)(body + b'"finishReason":"STOP"}]}')
    assert events[1] == ToolCall(0, "call_0_0", "f", '{"a":1.50,"b":[]}')


@pytest.mark.parametrize(
    "part",
    [
        called("f", args=[1]),
        called("f", args="x"),
        {"functionCall": {"args": {}}},
        called("f", partialArgs=[{"jsonPath": "$.a"}]),
        called("f", willContinue=True),
        {"text": 1},
        {"thoughtSignature": {}},
        7,
    ],
)
def test_a_part_that_is_none_is_broken(part: Any) -> None:
    assert refused(answer(candidate(part))).code is Code.UPSTREAM_SHAPE_MISMATCH


def test_parts_that_only_gemini_reads_are_kept_as_they_are() -> None:
    part = {"toolResponse": {"id": "t", "response": {"a": "<b>"}}, "thoughtSignature": "s"}
    events = plain(answer(candidate(part, {"text": "So."})))
    assert isinstance(events[0], Reasoning)
    assert json.loads(events[0].redacted or "") == part
    assert events[1:] == [Text("So."), Done("stop")]


def test_a_picture_fails_an_answer_unless_code_has_drawn_it() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aQ=="}}
    assert refused(answer(candidate({"text": "See:"}, picture))).code is Code.UNSUPPORTED_BY_MODEL
    drawn = plain(answer(candidate({"executableCode": {"code": "draw()"}}, picture, {"text": "See."})))
    assert drawn[-2:] == [Text("See."), Done("stop")]


def test_log_probabilities_go_with_the_text_of_their_chunk() -> None:
    result = {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}]}
    (text, _) = plain(answer(candidate({"text": "Hi"}, logprobsResult=result)))
    assert isinstance(text, Text)
    assert text.logprobs is not None
    assert json.loads(bytes(text.logprobs))["content"][0]["logprob"] == -0.5
    (alone, _) = plain(answer(candidate(logprobsResult=result)))
    assert isinstance(alone, Text)
    assert (alone.text, alone.logprobs) == ("", text.logprobs)


@pytest.mark.parametrize(
    ("said", "created"),
    [
        ("2026-02-17T11:12:40.135001Z", 1771326760),
        ("2026-02-17T11:12:40.135001123Z", 1771326760),
        ("2026-02-17T11:12:40", 0),
        ("yesterdayZ", 0),
        (None, 0),
    ],
)
def test_an_answer_says_when_it_was_made(said: str | None, created: int) -> None:
    body = json.dumps({**answer(candidate({"text": "a"})), "createTime": said}).encode()
    assert whole(1)(body)[0] == Start("r-1", created)


# -- counting, and anything ------------------------------------------------------------------------------------------


def test_a_count_is_the_total() -> None:
    assert counted(b'{"totalTokens": 12, "cachedContentTokenCount": 2}') == (Counted(12),)
    for body in (b"{}", b"[]", b'{"totalTokens":"12"}'):
        with pytest.raises(GatewayError) as caught:
            counted(body)
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    with pytest.raises(GatewayError) as caught:
        counted(b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}')
    assert caught.value.code is Code.BACKEND_RATE_LIMITED


WORDS = re.findall(
    r"\w+",
    "candidates content parts text thought thoughtSignature functionCall name args id finishReason index logprobsResult"
    " chosenCandidates token logProbability groundingMetadata groundingChunks groundingSupports segment startIndex"
    " endIndex groundingChunkIndices web uri promptFeedback blockReason usageMetadata promptTokenCount inlineData"
    " error",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["STOP", "a°", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)


def shaped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    part: st.SearchStrategy[Any] = st.dictionaries(st.sampled_from(WORDS[3:9]), inner, max_size=3) | st.just(
        {"text": "4°"}
    )
    content: st.SearchStrategy[Any] = st.fixed_dictionaries({"parts": st.lists(part, max_size=3)})
    one: st.SearchStrategy[Any] = st.fixed_dictionaries(
        {"content": content, "finishReason": st.just("STOP")},
        optional={"groundingMetadata": inner, "logprobsResult": inner, "index": inner},
    )
    return st.fixed_dictionaries({"candidates": st.lists(one, max_size=2)}, optional={"usageMetadata": inner})


@given(bodies=st.lists(JSON | shaped(JSON), max_size=3))
@settings(deadline=None, max_examples=200)
def test_any_json_ends_in_events_or_in_a_gateway_error(bodies: list[Any]) -> None:
    until_failure(UntilClosed(AnswerStream(2)), [sse(*bodies)])
    for body in bodies:
        with suppress(GatewayError):
            plain(body, 2)
