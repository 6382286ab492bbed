"""Which headers an operator may set: names and values that are none of the gateway's own and cannot break a message."""

import pytest

from scaigrid.config.headers import header_fault

RESERVED = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-request-id",
]


@pytest.mark.parametrize("name", RESERVED)
def test_what_the_gateway_and_its_client_say_themselves_is_not_set_in_any_case(name: str) -> None:
    for spelled in (name, name.title(), name.upper()):
        assert header_fault(spelled, "x") == "not a header that can be set here"


@pytest.mark.parametrize(
    "name", ["", "x team", "x:team", "x\r\nhost", "x-team\n", "x(1)", 'x"', "größe", "x/y", "\x00"]
)
def test_a_name_is_a_token(name: str) -> None:
    assert header_fault(name, "x") == "not a header that can be set here"


@pytest.mark.parametrize(
    "value", ["a\r\nhost: b", "a\nb", "a\n", "a\rb", "a\tb", "a\x00b", "\x7f", "größe", "a\u2028b"]
)
def test_a_value_is_one_line_of_ascii_and_not_quoted_where_it_is_none(value: str) -> None:
    fault = header_fault("x-team", value)
    assert fault == "a header's value is one line of ASCII text"
    assert value not in fault


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OpenAI-Organization", "org-1"),
        ("Authorization", "Bearer x"),
        ("anthropic-beta", "a,b; c=1"),
        ("!#$%&'*+.^_`|~0-9", "{}"),
        ("x-empty", ""),
        ("hosts", "x"),
    ],
)
def test_any_other_is_set(name: str, value: str) -> None:
    assert header_fault(name, value) is None
