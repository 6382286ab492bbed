import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.call import Call, Header
from scaigrid.dialects import DIALECTS
from scaigrid.repeats.fingerprint import fingerprint, place

CHAT = "/oai/v1/chat/completions"
BODY = '{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 1}'
OPENAI = next(dialect for dialect in DIALECTS if dialect.name == "openai")


def call(body: str | bytes, *, headers: tuple[Header, ...] = (), query: str = "") -> Call:
    return Call(
        dialect="openai",
        operation="chat",
        surface="openai/chat",
        model="m",
        body=body if isinstance(body, bytes) else body.encode(),
        members={},
        canonical=lambda: pytest.fail("nobody reads it"),
        headers=headers,
        query=query,
    )


def test_the_call_of_a_dialect_has_one() -> None:
    assert len(fingerprint(OPENAI.decode(CHAT, BODY.encode()))) == 64


@pytest.mark.parametrize(
    "same",
    [
        BODY.replace(" ", ""),
        '{"temperature": 1, "messages": [{"content": "Hi", "role": "user"}], "model": "m"}',
        BODY.replace("1}", "1.0}"),
        BODY.replace("1}", "10e-1}"),
        BODY.replace('"Hi"', '"H\\u0069"'),
        BODY.replace("1}", '2, "temperature": 1}'),
    ],
)
def test_equal_json_values_are_the_same_call(same: str) -> None:
    assert fingerprint(call(same)) == fingerprint(call(BODY))


@pytest.mark.parametrize(
    "other",
    [
        BODY.replace("Hi", "hi"),
        BODY.replace("1}", "2}"),
        BODY.replace("1}", '"1"}'),
        BODY.replace("1}", "true}"),
        BODY.replace("1}", '1, "stream": false}'),
        BODY.replace("[{", "[[{").replace("}]", "}]]"),
    ],
)
def test_others_are_not(other: str) -> None:
    assert fingerprint(call(other)) != fingerprint(call(BODY))


def test_headers_and_the_query_belong_to_it() -> None:
    beta = (("anthropic-beta", "one"),)
    made = [
        call(BODY),
        call(BODY, headers=beta),
        call(BODY, query="beta=true"),
        call(BODY, headers=beta, query="beta=true"),
        call(BODY, query="anthropic-beta:one"),
    ]
    assert len({fingerprint(one) for one in made}) == len(made)


def test_the_order_of_headers_makes_no_difference() -> None:
    one, other = ("anthropic-beta", "a"), ("anthropic-version", "b")
    assert fingerprint(call(BODY, headers=(one, other))) == fingerprint(call(BODY, headers=(other, one)))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values)
def test_the_way_it_is_written_never_matters(value: object) -> None:
    dense = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    loose = json.dumps(value, indent=3, sort_keys=True).encode()
    if b"\\ud" not in loose:
        assert fingerprint(call(dense)) == fingerprint(call(loose))


@pytest.mark.parametrize("odd", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 123456789012345678901234567890}'])
def test_what_is_no_json_is_known_by_its_bytes(odd: bytes) -> None:
    assert fingerprint(call(odd)) == fingerprint(call(odd)) != fingerprint(call(odd + b" x"))


def test_a_key_is_known_to_one_caller_at_one_path() -> None:
    places = {place("apikey_a", "/v1/x", "k"), place("apikey_b", "/v1/x", "k"), place("apikey_a", "/v1/y", "k")}
    assert len({*places, place("apikey_a", "/v1/x", "l")}) == 4
