"""The shapes are OpenAI's: each event and each response is read by the types of OpenAI's own client."""

from typing import Any, get_args

import msgspec
import pydantic
import pytest
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
    ResponseStreamEvent,
)

from scaigrid.dialects import openai_responses_answers as shapes

RESPONSE = shapes.ResponseObject(
    id="resp_1",
    created_at=7,
    status="incomplete",
    incomplete_details=shapes.ResponseIncomplete("max_output_tokens"),
    model="m",
    tools=(),
    output=(
        shapes.ResponseReasoning(id="rs_1", summary=(shapes.ResponseSummary("Hm."),), encrypted_content="x"),
        shapes.ResponseMessage(
            id="msg_1",
            status="completed",
            content=(
                shapes.ResponseText(
                    annotations=(
                        shapes.ResponseUrlCitation(start_index=0, end_index=1, url="https://x.example", title="X"),
                        shapes.ResponseFileCitation(file_id="", filename="a.pdf", index=0),
                    ),
                    text="Hi",
                ),
                shapes.ResponseRefusal("No."),
            ),
        ),
        shapes.ResponseFunctionCall(id="fc_1", status="completed", arguments="{}", call_id="call_1", name="f"),
    ),
    usage=shapes.ResponseUsage(9, shapes.ResponseInputDetails(1, 2), 3, shapes.ResponseOutputDetails(1), 12),
)
_VALUES: dict[str, Any] = {
    "sequence_number": 1,
    "logprobs": (),
    "response": RESPONSE,
    "item": RESPONSE.output[0],
    "part": shapes.ResponseText(text=""),
    "annotation": shapes.ResponseFileCitation(file_id="", filename="", index=0),
    "error": shapes.ResponseFailure(type="t", code="c", message="m", param=None, request_id="r"),
}
EVENTS: list[Any] = list(get_args(shapes.ResponseEvent))


def read(kind: Any, value: Any) -> Any:
    return pydantic.TypeAdapter[Any](kind).validate_json(msgspec.json.encode(value))


def made(kind: Any) -> Any:
    fields = msgspec.structs.fields(kind)
    given: dict[str, Any] = {field.name: _VALUES.get(field.name, 0 if field.type is int else "x") for field in fields}
    if "summary_index" in given and "part" in given:
        given["part"] = shapes.ResponseSummary("")
    return kind(**given)


def test_a_response_is_one_of_openais() -> None:
    found = read(Response, RESPONSE)
    thought, message, called = found.output
    assert isinstance(thought, ResponseReasoningItem)
    assert isinstance(message, ResponseOutputMessage)
    assert isinstance(called, ResponseFunctionToolCall)
    assert [part.type for part in message.content] == ["output_text", "refusal"]
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (found.usage.total_tokens, found.usage.input_tokens_details.cached_tokens) == (12, 1)
    assert found.error is None


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: str(kind.__name__))
def test_an_event_is_one_of_openais(kind: Any) -> None:
    event = made(kind)
    found = read(ResponseStreamEvent, event)
    assert found.type == event.__struct_config__.tag
    assert found.sequence_number == 1


def test_no_two_events_have_one_name() -> None:
    tags = [kind.__struct_config__.tag for kind in EVENTS]
    assert len(set(tags)) == len(tags) == 20
