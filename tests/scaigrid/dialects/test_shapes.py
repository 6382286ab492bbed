import inspect
from typing import Generic

import msgspec
import pytest

from scaigrid.dialects import native_shapes, openai_shapes, shapes
from scaigrid.dialects.shapes import AnswerShape, RequestShape

STRUCTS = sorted(
    {
        one
        for module in (shapes, openai_shapes, native_shapes)
        for _, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, RequestShape | AnswerShape) and one not in (RequestShape, AnswerShape)
    },
    key=lambda one: one.__name__,
)


def test_no_two_public_shapes_share_a_name() -> None:
    """They become the components of one document."""
    names = [one.__name__ for one in STRUCTS]
    assert sorted(set(names)) == names


PLAIN = [one for one in STRUCTS if not issubclass(one, Generic)]


@pytest.mark.parametrize("shape", PLAIN, ids=[one.__name__ for one in PLAIN])
def test_every_public_shape_has_a_schema(shape: type[msgspec.Struct]) -> None:
    (schema,), components = msgspec.json.schema_components([shape])
    assert schema == {"$ref": f"#/$defs/{shape.__name__}"}
    assert shape.__name__ in components


def test_requests_are_strict_and_nothing_changes_after_it_is_read() -> None:
    assert [one.__name__ for one in STRUCTS if not one.__struct_config__.frozen] == []
    requests = [one for one in STRUCTS if issubclass(one, RequestShape)]
    assert [one.__name__ for one in requests if not one.__struct_config__.forbid_unknown_fields] == []
