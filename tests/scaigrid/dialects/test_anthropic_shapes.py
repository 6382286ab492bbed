import msgspec
import pytest
from msgspec import inspect

from scaigrid.dialects import anthropic_shapes as shapes


def types(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return {field.name: field.type for field in found.fields}


@pytest.mark.parametrize("field", ["model", "max_tokens", "stream"])
def test_what_governance_reads_is_typed_as_in_the_whole_request(field: str) -> None:
    """Otherwise a body could pass the one and be refused by the other."""
    assert types(shapes.MessagesHead)[field] == types(shapes.AnthropicRequest)[field]


def test_the_head_of_a_count_is_typed_as_the_whole() -> None:
    assert types(shapes.CountHead)["model"] == types(shapes.AnthropicCounted)["model"]


@pytest.mark.parametrize(
    ("tools", "own"),
    [
        (b"", True),
        (b',"tools":null', True),
        (b',"tools":[{"name":"a"},{"type":"custom"},{"type":null}]', True),
        (b',"tools":[{"name":"a"},{"type":"web_search_20250305"}]', False),
    ],
)
def test_tools_of_the_provider_are_told_from_the_callers(tools: bytes, own: bool) -> None:
    body = b'{"model":"m","max_tokens":1,"messages":[{}]%b}' % tools
    assert msgspec.json.decode(body, type=shapes.MessagesHead).own_tools is own
