import msgspec
import pytest

from scaigrid.dialects.native_shapes import AnsweredMessage, AssistantMessage, ChatMessage, ChatRequest
from scaigrid.dialects.shapes import AnsweredFunction, AnsweredToolCall

MESSAGES = [
    AnsweredMessage(content="x"),
    AnsweredMessage(
        content=None,
        reasoning="r",
        tool_calls=(AnsweredToolCall(id="1", function=AnsweredFunction(name="f", arguments="{}")),),
        refusal="no",
        provider_state="s",
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=["short", "full"])
def test_an_answered_message_can_be_sent_back_as_it_is(message: AnsweredMessage) -> None:
    back: AssistantMessage = msgspec.json.decode(msgspec.json.encode(message), type=ChatMessage)
    assert (back.content, back.refusal or msgspec.UNSET) == (message.content, message.refusal)
    assert (back.reasoning or msgspec.UNSET) == message.reasoning
    assert (back.provider_state or msgspec.UNSET) == message.provider_state
    assert len(back.tool_calls or ()) == len(message.tool_calls or ())


def test_the_schema_of_a_request_knows_its_roles_and_refuses_other_fields() -> None:
    schema = msgspec.json.schema(ChatRequest)["$defs"]
    assert schema["ChatRequest"]["additionalProperties"] is False
    assert set(schema["ChatRequest"]["required"]) == {"model", "messages"}
    roles = schema["ChatRequest"]["properties"]["messages"]["items"]["discriminator"]["mapping"]
    assert set(roles) == {"system", "developer", "user", "assistant", "tool"}
