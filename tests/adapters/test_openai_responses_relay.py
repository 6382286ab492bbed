import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.openai_responses_relay import PlainRelay, StreamRelay, relay
from scaigrid.adapter import Pipe, Relaying
from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses import RESOURCES
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Usage
from tests.adapters.calls import SLUG, byte_by_byte
from tests.harness import responses
from tests.harness.behaviours import compact, event

ABOUT = "/oai/v1/responses/{response_id}"


def name(own: str) -> str:
    return f"named-{own}"


def asked(path: str = "/oai/v1/responses", **more: Any) -> Call:
    return OpenAI().decode(path, json.dumps({"model": SLUG, "input": "Hi", **more}).encode())


def about(template: str, method: str = "GET", query: str = "") -> Call:
    call = RESOURCES[template][method]("resp_held", query)
    call.model = SLUG
    return call


def pipe(call: Call | None = None, **more: Any) -> Pipe:
    return relay(call or asked(**more), Relaying(name=name, held=None if call is None else call.held))


def ours(text: bytes) -> bytes:
    """What the client gets of it: the gateway's name and the slug."""
    return text.replace(b'"resp_own1"', b'"named-resp_own1"').replace(b'"upstream-model"', b'"scailabs/best"')


def fed(running: Pipe, chunks: Iterable[bytes]) -> bytes:
    return b"".join([*[running.feed(chunk) for chunk in chunks], running.close()])


def failure(running: Pipe, chunks: Iterable[bytes]) -> tuple[bytes, GatewayError]:
    """What had gone out until it failed, and how it failed."""
    out = b""
    try:
        for chunk in chunks:
            out += running.feed(chunk)
        out += running.close()
    except GatewayError as error:
        return out, error
    raise AssertionError("it did not fail")


# -- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_the_providers_bytes_but_for_its_names() -> None:
    frames = responses.frames("It ", "rains.")
    assert fed(pipe(stream=True), frames) == ours(b"".join(frames))


def test_what_says_that_all_is_well_waits_for_the_close() -> None:
    *frames, last = responses.frames("It rains.", usage=responses.usage(20, 5, cached=8, reasoning=2))
    running = pipe(stream=True)
    for frame in frames:
        running.feed(frame)
    ended = [running.ended]
    assert running.feed(last) == b""
    assert [*ended, running.ended] == [False, True]
    assert running.usage == Usage(input=12, cache_read=8, output=5, reasoning=2)
    assert running.feed(b"data: junk\n\n") == b""
    assert running.close() == ours(last)


def test_the_first_events_wait_for_the_first_output() -> None:
    """Until then another backend can be tried."""
    frames = responses.frames("It rains.")
    running = pipe(stream=True)
    assert [running.feed(frame) for frame in frames[:2]] == [b"", b""]
    assert running.feed(frames[2]) == ours(b"".join(frames[:3]))


@pytest.mark.parametrize("call", [asked(stream=True, background=True), about(ABOUT, query="stream=true")])
def test_where_there_may_be_none_for_long_they_do_not_wait(call: Call) -> None:
    assert pipe(call).feed(responses.frames("It rains.")[0]).startswith(b"event: response.created")


def test_an_answer_of_nothing_is_told_with_its_end() -> None:
    begun = responses.response(status="in_progress", usage=None)
    frames = responses.numbered(
        [("response.created", {"response": begun}), ("response.completed", {"response": responses.response()})]
    )
    running = pipe(stream=True)
    assert [running.feed(frame) for frame in frames] == [b"", b""]
    assert running.close() == ours(b"".join(frames))


@pytest.mark.parametrize("kind", ["response.incomplete", "response.cancelled"])
def test_every_end_is_one(kind: str) -> None:
    running = pipe(stream=True)
    running.feed(event(kind, response=responses.response(status=kind.partition(".")[2])))
    assert running.ended


def test_however_the_bytes_are_cut_the_same_goes_out() -> None:
    text = b"".join(responses.frames("Gr", "üße", "."))
    expected = fed(pipe(stream=True), [text])
    for place in range(len(text)):
        assert fed(pipe(stream=True), [text[:place], text[place:]]) == expected
    assert fed(pipe(stream=True), byte_by_byte(text)) == expected


def test_events_that_nobody_knows_pass_and_so_do_comments_behind_the_first() -> None:
    frames = responses.frames("It rains.")
    frames.insert(3, event("response.unheard_of", something=[1, 2]))
    frames.insert(3, b": still here\n\n")
    assert fed(pipe(stream=True), [b": soon\n\n", *frames]) == ours(b"".join(frames))


def test_a_last_line_end_may_be_missing() -> None:
    text = b"".join(responses.frames("It rains."))
    assert fed(pipe(stream=True), [text.rstrip(b"\n")]) == ours(text)


def test_data_on_several_lines_is_one_text() -> None:
    frames = responses.frames("It rains.")
    frames[0] = frames[0].replace(b',"response":', b',\ndata: "response":')
    out = fed(pipe(stream=True), frames)
    first = out.partition(b"\n\n")[0].decode()
    data = "".join(line.removeprefix("data: ") for line in first.splitlines()[1:])
    assert json.loads(data)["response"]["id"] == "named-resp_own1"


def test_a_failed_response_is_a_failure_ahead_of_any_output() -> None:
    out, error = failure(pipe(stream=True), responses.failed("server_error", "Oops."))
    assert (out, error.code) == (b"", Code.BACKEND_ERROR)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (event("error", code="rate_limit_exceeded", message="Slow down.", param=None), Code.BACKEND_RATE_LIMITED),
        (event("error", error={"type": "x", "code": "context_length_exceeded"}), Code.CONTEXT_TOO_LONG),
        (b'data: {"error":{"message":"Oops","code":"server_error"}}\n\n', Code.BACKEND_ERROR),
        (event("response.failed", response={"error": None}), Code.BACKEND_ERROR),
    ],
)
def test_a_failure_inside_a_stream_is_told_behind_what_was_sound(frame: bytes, code: Code) -> None:
    frames = responses.frames("It ", "rains.")[:5]
    for chunks in ([*frames, frame], [b"".join([*frames, frame])]):
        out, error = failure(pipe(stream=True), chunks)
        assert (out, error.code) == (ours(b"".join(frames)), code)


def test_a_failed_response_has_its_usage_read() -> None:
    running = pipe(stream=True)
    broken = responses.response(status="failed", error={"code": "server_error", "message": "Oops"})
    failure(running, [event("response.failed", response=broken)])
    assert running.usage == Usage(input=9, output=3)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        responses.frames("It rains.")[:-1],
        [b"data: [DONE]\n\n"],
        [b"data: {}\n\n"],
        [b"data: nothing\n\n"],
        [b'data: {"type":"response.completed"}\n\n'],
        [b'data: {"type":"response.created","response":[]}\n\n'],
        [b'data: {"type":"response.created","response":{"id":1}}\n\n'],
        [b'data: {"type":"x","response":{"id":"a"},"response":{"id":"b"}}\n\n'],
        [b'data: {"type":"x","delta":"\xff"}\n\n'],
        [b'data: {"type":7}\n\n'],
    ],
)
def test_a_stream_that_breaks_its_format_or_has_no_end_is_a_mismatch(chunks: list[bytes]) -> None:
    assert failure(pipe(stream=True), chunks)[1].code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_that_came_instead_of_a_stream_is_told() -> None:
    body = b'{"error":{"message":"Oops","type":"invalid_request_error","code":"context_length_exceeded"}}'
    assert failure(pipe(stream=True), [body])[1].code is Code.CONTEXT_TOO_LONG


def test_a_stream_that_is_cut_is_measured_by_its_pieces() -> None:
    running = pipe(stream=True)
    for frame in responses.frames("It rains cats and dogs.", "x")[:6]:
        running.feed(frame)
    # Twenty-three bytes and one, four bytes to a token.
    assert running.output_seen == 6


@given(
    st.lists(st.sampled_from([*responses.frames("a", "b"), b": c\n\n", b"data: {}\n\n", b"\xff\n\n", b"{"]), max_size=8)
)
def test_only_a_failure_comes_of_any_stream(chunks: list[bytes]) -> None:
    running = pipe(stream=True)
    codes: list[Code] = []
    try:
        fed(running, chunks)
    except GatewayError as error:
        codes.append(error.code)
    assert set(codes) <= {Code.UPSTREAM_SHAPE_MISMATCH, Code.BACKEND_ERROR}
    assert running.output_seen >= 0


@given(st.binary(max_size=60), st.booleans())
def test_only_a_failure_comes_of_any_bytes(data: bytes, stream: bool) -> None:
    failure(pipe(stream=stream), [b"data: " + data, b"\n\n"])


# -- plain answers ---------------------------------------------------------------------------------------------------


def test_a_plain_answer_is_the_providers_bytes_but_for_its_names() -> None:
    body = json.dumps(responses.response(responses.message("It rains."), unheard_of=1.50)).encode()
    running = pipe()
    assert isinstance(running, PlainRelay)
    assert running.feed(body[:9]) == running.feed(body[9:]) == b""
    assert running.close() == body.replace(b"resp_own1", b"named-resp_own1").replace(b"upstream-model", SLUG.encode())
    assert running.usage == Usage(input=9, output=3)


@pytest.mark.parametrize(
    ("status", "bound", "seen"), [("queued", 70, 70), ("in_progress", None, 0), ("completed", 70, 27)]
)
def test_an_answer_without_usage_is_measured_by_what_it_is_or_may_become(
    status: str, bound: int | None, seen: int
) -> None:
    running = pipe()
    said = [responses.message("It rains.")] if status == "completed" else []
    running.feed(compact(responses.response(*said, status=status, usage=None, max_output_tokens=bound)))
    running.close()
    assert running.usage is None
    assert abs(running.output_seen - seen) <= 15


def test_an_answer_whose_usage_is_nothing_is_measured_too() -> None:
    running = pipe()
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    running.feed(compact(responses.response(responses.message("It rains."), usage=nothing)))
    running.close()
    assert running.usage == Usage()
    assert running.output_seen > 0


def test_a_plain_answer_that_failed_is_a_failure() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    got = failure(pipe(), [compact(responses.response(status="failed", error=error))])
    assert got[1].code is Code.BACKEND_RATE_LIMITED


def test_a_stored_answer_that_failed_is_told_as_it_is() -> None:
    body = compact(responses.response(status="failed", error={"code": "server_error", "message": "Oops."}))
    got = json.loads(fed(pipe(about(ABOUT)), [body]))
    assert (got["id"], got["status"], got["error"]["message"]) == ("resp_held", "failed", "Oops.")


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (about(f"{ABOUT}/input_items"), {"object": "list", "data": [{"id": "msg_1"}], "first_id": "msg_1"}),
        (asked("/oai/v1/responses/input_tokens"), {"object": "response.input_tokens", "input_tokens": 11}),
    ],
)
def test_what_has_no_names_in_it_is_passed_as_it_is(call: Call, body: dict[str, Any]) -> None:
    assert fed(pipe(call), [compact(body)]) == compact(body)


@pytest.mark.parametrize(
    "call", [asked(), about(ABOUT), about(f"{ABOUT}/input_items"), asked("/oai/v1/responses/input_tokens")]
)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id":null,"data":{},"input_tokens":"1"}', b"\xff", b'{"id":1}'])
def test_an_answer_of_another_form_is_a_mismatch(call: Call, body: bytes) -> None:
    assert failure(pipe(call), [body])[1].code is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize("body", [b'{"id":"chatcmpl-1","choices":[]}', b'{"id":"resp_1","output":null}'])
def test_an_answer_without_output_is_none(body: bytes) -> None:
    """Clients read it without a look whether it is there."""
    assert failure(pipe(asked()), [body])[1].code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_in_an_answer_of_200_is_told() -> None:
    body = b'{"error":{"message":"Oops","code":"insufficient_quota"}}'
    assert failure(pipe(), [body])[1].code is Code.BACKEND_ERROR


def test_a_call_that_streams_is_relayed_as_a_stream() -> None:
    assert isinstance(pipe(stream=True), StreamRelay)
    assert isinstance(pipe(about(ABOUT)), PlainRelay)


@pytest.mark.parametrize("words", [b"Authorization: Bearer k\n", b"database: k\n"])
def test_lines_that_are_no_field_of_an_event_are_passed_to_nobody(words: bytes) -> None:
    frames = responses.frames("It ", "rains.")
    for place in range(len(frames)):
        for stray in ([*frames[:place], words + frames[place]], [*frames[:place], frames[place][:-1] + words + b"\n"]):
            out, error = failure(pipe(stream=True), stray)
            assert (words.strip() in out, error.code) == (False, Code.UPSTREAM_SHAPE_MISMATCH)
    out, error = failure(pipe(stream=True), [*frames[:-1], words + b"\n", frames[-1]])
    assert (words.strip() in out, error.code) == (False, Code.UPSTREAM_SHAPE_MISMATCH)
