import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses import RESOURCES, stream_error
from scaigrid.errors import Code, Detail, GatewayError
from tests.harness.answers import frames

PATH = "/oai/v1/responses"
ABOUT = "/oai/v1/responses/{response_id}"


def call(path: str = PATH, **more: Any) -> Call:
    return OpenAI().decode(path, json.dumps({"model": "m", "input": "Hi", **more}).encode())


def test_what_governance_reads_is_read() -> None:
    found = call(stream=True, max_output_tokens=50, metadata={"team": "weather"}, previous_response_id="resp_1")
    assert (found.operation, found.surface, found.model, found.stream) == ("chat", "openai/responses", "m", True)
    assert (found.max_output, found.output_field, found.n) == (50, "max_output_tokens", 1)
    assert (found.held, found.held_field, found.tags) == ("resp_1", "previous_response_id", {"team": "weather"})
    bare = call()
    assert (bare.held, bare.held_field, bare.output_field, bare.stream) == (None, None, None, False)


def test_the_body_is_kept_as_it_came() -> None:
    body = b'{ "model":"m","input" : [ {"role":"user","content":"Hi"} ],"odd":1.0 }'
    found = OpenAI().decode(PATH, body)
    found.canonical()
    assert found.body is body


@pytest.mark.parametrize(
    ("more", "grows"),
    [
        ({}, False),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}, False),
        ({"conversation": None, "prompt": None}, False),
        ({"tools": [{"type": "web_search"}]}, True),
        ({"conversation": "conv_1"}, True),
        ({"prompt": {"id": "pmpt_1"}}, True),
        ({"previous_response_id": "resp_1"}, True),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, True),
    ],
)
def test_a_call_to_which_the_provider_may_add_is_known(more: dict[str, Any], grows: bool) -> None:
    assert call(**more).grows is grows


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"model"}),
        ({"model": "m", "input": 7}, {"input"}),
        ({"model": "m", "input": ["Hi"]}, {"input[0]"}),
        ({"model": "m", "input": "Hi", "max_output_tokens": 0, "stream": "yes"}, {"max_output_tokens", "stream"}),
        ({"model": "", "input": [{"role": "user", "content": 1}], "tools": {}}, {"model", "input[0].content", "tools"}),
    ],
)
def test_every_fault_is_told_by_its_place(body: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(GatewayError) as caught:
        OpenAI().decode(PATH, json.dumps(body).encode())
    assert caught.value.code is Code.VALIDATION_ERROR
    assert fields <= {detail.field for detail in caught.value.details}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "role", "content", "id", "text", "output", "call_id"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_only_a_refusal_comes_of_any_input(value: object) -> None:
    codes: list[Code] = []
    try:
        call(input=value).canonical()
    except GatewayError as error:
        codes.append(error.code)
    assert set(codes) <= {Code.VALIDATION_ERROR}


def test_a_size_is_a_question_that_never_streams() -> None:
    found = call(f"{PATH}/input_tokens", stream=True)
    assert (found.operation, found.surface, found.stream) == ("count_tokens", "openai/input_tokens", False)


# -- stored answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "method", "surface"),
    [
        (ABOUT, "GET", "openai/responses/retrieve"),
        (ABOUT, "DELETE", "openai/responses/delete"),
        (f"{ABOUT}/cancel", "POST", "openai/responses/cancel"),
        (f"{ABOUT}/input_items", "GET", "openai/responses/input_items"),
    ],
)
def test_each_thing_that_can_be_asked_is_a_surface_of_its_own(template: str, method: str, surface: str) -> None:
    found = RESOURCES[template][method]("resp_1", "limit=5")
    assert (found.operation, found.surface, found.held, found.query) == ("resource", surface, "resp_1", "limit=5")
    assert (found.held_field, found.body, found.stream) == (None, b"", False)
    with pytest.raises(GatewayError) as caught:
        found.canonical()
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("query", "streams"),
    [("stream=true", True), ("include=a&stream=True", True), ("stream=false", False), ("", False), ("x=stream", False)],
)
def test_a_stored_answer_can_be_told_as_a_stream(query: str, streams: bool) -> None:
    assert RESOURCES[ABOUT]["GET"]("resp_1", query).stream is streams
    assert not RESOURCES[ABOUT]["DELETE"]("resp_1", query).stream


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_failure_inside_a_stream_is_an_event_that_counts_on() -> None:
    error = GatewayError(Code.VALIDATION_ERROR, "No.", details=(Detail("input", "is odd"),))
    ((name, data),) = frames(stream_error(error, "req_1", 7))
    told = json.loads(data)
    assert name == told["type"] == "error"
    assert told["sequence_number"] == 7
    assert (told["code"], told["message"], told["param"]) == ("VALIDATION_ERROR", "No. input is odd.", "input")
    assert told["error"] == {
        "type": "invalid_request_error",
        "code": "VALIDATION_ERROR",
        "message": "No. input is odd.",
        "param": "input",
        "request_id": "req_1",
    }
    assert json.loads(frames(stream_error(GatewayError(Code.BACKEND_ERROR), "req_1", 0))[0][1])["param"] is None
