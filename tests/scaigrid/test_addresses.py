"""Who stands behind trusted proxies is who the nearest of them names; nobody else's word counts."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.addresses import Address, address, caller, networks, within

TRUSTED = networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
PROXY = ip_address("10.0.0.1")


def found(*forwarded: str, peer: Address | None = PROXY) -> str | None:
    answer = caller(peer, forwarded, TRUSTED)
    return None if answer is None else str(answer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\t", "192.0.2.7"),
        ("192.0.2.7:443", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ("::1", "::1"),
    ],
)
def test_an_address_is_read_as_people_and_proxies_write_it(text: str, expected: str) -> None:
    assert str(address(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "example.com:80",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.07",
        "192.0.2.7:",
        "192.0.2.7:http",
        "192.0.2.7/32",
        "[192.0.2.7",
        "[]",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "::1::",
        "0x7f000001",
        "3221225991",
        "for=192.0.2.7",
        '"192.0.2.7"',
        "1" * 100,
        "192.0.2.7\x00",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert address(text) is None


@given(st.text(max_size=80))
def test_no_text_does_harm(text: str) -> None:
    read = address(text)
    assert read is None or address(str(read)) == read


@pytest.mark.parametrize("text", ["10.0.0.1/8", "300.0.0.0/8", "host", "", "10.0.0.0/33", "10.0.0.0/x"])
def test_what_is_no_network_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks(["192.0.2.0/24", text])


def test_an_address_is_within_a_network_of_its_kind() -> None:
    assert within(ip_address("10.255.255.255"), TRUSTED)
    assert within(ip_address("192.0.2.1"), TRUSTED)
    assert within(ip_address("2001:db8:ffff::1"), TRUSTED)
    assert not within(ip_address("11.0.0.0"), TRUSTED)
    assert not within(ip_address("192.0.2.2"), TRUSTED)
    assert not within(ip_address("::a00:1"), TRUSTED)
    assert not within(None, TRUSTED)
    assert not within(ip_address("10.0.0.1"), ())


def test_without_a_proxy_it_is_the_other_end_of_the_connection() -> None:
    assert found() == "10.0.0.1"
    assert found(peer=ip_address("198.51.100.9")) == "198.51.100.9"
    assert found(peer=None) is None


def test_a_stranger_s_word_does_not_count() -> None:
    assert found("10.0.0.5, 203.0.113.1", peer=ip_address("198.51.100.9")) == "198.51.100.9"
    assert found("203.0.113.1", peer=None) is None


def test_a_trusted_proxy_says_where_it_had_the_request_from() -> None:
    assert found("203.0.113.1") == "203.0.113.1"
    assert found("203.0.113.1:5123") == "203.0.113.1"


def test_what_the_caller_wrote_itself_stands_to_the_left_and_does_not_count() -> None:
    assert found("10.0.0.5, 203.0.113.1") == "203.0.113.1"
    assert found("127.0.0.1, 10.0.0.9, 203.0.113.1, 10.0.0.2") == "203.0.113.1"
    assert found("not an address, 203.0.113.1") == "203.0.113.1"


def test_headers_that_were_added_are_one_list() -> None:
    assert found("127.0.0.1", "203.0.113.1, 10.0.0.3", "2001:db8::5") == "203.0.113.1"


def test_where_all_are_trusted_it_is_the_first_of_them() -> None:
    assert found("10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("words", ["unknown", "", "203.0.113.1,", "203.0.113.1, _hidden", "203.0.113.1,,10.0.0.2"])
def test_a_proxy_that_does_not_know_leaves_it_unknown(words: str) -> None:
    """To go on to the left would be to take the caller's own word."""
    assert found(words) is None


@given(st.lists(st.sampled_from(["10.0.0.5", "203.0.113.9", "unknown", "", "::1", "x" * 99]), max_size=6))
def test_nothing_that_a_caller_writes_changes_who_it_is(words: list[str]) -> None:
    assert found(", ".join([*words, "203.0.113.1"])) == "203.0.113.1"
    assert found(*words, "203.0.113.1, 10.0.0.2") == "203.0.113.1"
