import json
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.dialects.vectors import spelled
from scaigrid.errors import Code, GatewayError

_floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False))


@settings(deadline=None)
@given(_floats)
def test_float32s_survive_the_way_there_and_back(numbers: list[float]) -> None:
    listed = msgspec.Raw(json.dumps(numbers).encode())
    encoded = spelled(listed, "base64")
    assert isinstance(json.loads(bytes(encoded)), str)
    back: list[float] = json.loads(bytes(spelled(encoded, "float")))
    assert [struct.unpack("<f", struct.pack("<f", number))[0] for number in back] == numbers


def test_little_endian_float32s_are_what_base64_holds() -> None:
    assert bytes(spelled(msgspec.Raw(b"[1.0,-2.5]"), "base64")) == b'"AACAPwAAIMA="'
    assert bytes(spelled(msgspec.Raw(b'"AACAPwAAIMA="'), "float")) == b"[1,-2.5]"


def test_a_vector_that_is_spelled_right_keeps_its_bytes() -> None:
    assert bytes(spelled(msgspec.Raw(b"[ 0.10, 1e-5 ]"), "float")) == b"[ 0.10, 1e-5 ]"
    assert bytes(spelled(msgspec.Raw(b'"AACAPw=="'), "base64")) == b'"AACAPw=="'


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b'"AACAPw"', "float"),
        (b'"AACA"', "float"),
        (b'"%%%%"', "float"),
        (b'"AADAfw=="', "float"),
        (b'["x"]', "base64"),
        (b"[1e300]", "base64"),
        (b"{}", "base64"),
    ],
    ids=range(7),
)
def test_a_vector_that_is_none_is_the_providers_fault(value: bytes, encoding: str) -> None:
    with pytest.raises(GatewayError) as caught:
        spelled(msgspec.Raw(value), "float" if encoding == "float" else "base64")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
