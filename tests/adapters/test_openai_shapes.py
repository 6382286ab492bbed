import json

import pytest

from adapters.openai_shapes import Answer, Choice, Said, ToolCall, answer
from adapters.wire import decoded
from scaigrid.errors import Code, GatewayError


def test_what_nobody_here_knows_is_overlooked() -> None:
    body = b'{"id":"c","choices":[{"delta":{"content":"a","audio":{"id":1}},"seed":7}],"x_groq":{"id":"r"}}'
    assert answer.decode(body) == Answer(id="c", choices=[Choice(delta=Said(content="a"))])


@pytest.mark.parametrize(
    "said",
    [
        {"choices": [{"message": {"reasoning_details": {"type": "reasoning.text"}}}]},
        {"choices": [{"message": {"annotations": ["https://x"]}}]},
        {"choices": [{"message": {"tool_calls": [{"extra_content": {"google": {"thought_signature": 1}}}]}}]},
        {"choices": [], "citations": [{"url": "https://x"}]},
    ],
)
def test_a_member_of_another_type_is_a_broken_format(said: object) -> None:
    with pytest.raises(GatewayError) as caught:
        decoded(answer, json.dumps(said).encode())
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_call_of_a_tool_may_come_in_any_pieces() -> None:
    body = b'{"choices":[{"delta":{"tool_calls":[{},{"index":0,"id":null,"function":{"arguments":{"a":1}}}]}}]}'
    said = answer.decode(body).choices
    assert said is not None
    assert said[0].delta is not None
    assert said[0].delta.tool_calls is not None
    assert said[0].delta.tool_calls[0] == ToolCall()
