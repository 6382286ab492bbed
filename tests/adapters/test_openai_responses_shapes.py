import pytest

from adapters.openai_responses_shapes import Event, Item, event, response
from adapters.wire import decoded
from scaigrid.errors import Code, GatewayError


def test_what_nobody_here_knows_is_overlooked() -> None:
    body = b'{"type":"response.output_item.added","output_index":1,"item":{"type":"web_search_call","action":{"q":1}}}'
    assert event.decode(body) == Event("response.output_item.added", output_index=1, item=Item("web_search_call"))


@pytest.mark.parametrize(
    "said",
    [
        b'{"output":{}}',
        b'{"output":[{"type":"message","content":"a"}]}',
        b'{"output":[],"created_at":"now"}',
        b'{"output":[{"type":"function_call","arguments":{}}]}',
    ],
)
def test_a_member_of_another_type_is_a_broken_format(said: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        decoded(response, said)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
