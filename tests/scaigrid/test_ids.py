import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.ids import accepted, declared_id, new_id
from tests.harness.clock import StillClock

MILLISECONDS = st.integers(0, 2**47)


def test_an_id_is_its_prefix_and_32_hexadecimal_digits() -> None:
    assert re.fullmatch(r"usage_[0-9a-f]{32}", new_id("usage", StillClock()))


def test_an_id_begins_with_the_milliseconds_since_the_epoch() -> None:
    made = new_id("req", StillClock(wall=1_700_000_000.123))
    assert int(made.removeprefix("req_")[:12], 16) == 1_700_000_000_123


@given(MILLISECONDS, MILLISECONDS)
def test_ids_sort_by_the_time_they_were_made(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    # Half a millisecond more, so that no division and multiplication of floats falls below the whole one
    first, second = (new_id("req", StillClock(wall=(at + 0.5) / 1000)) for at in (earlier, later))
    assert (first < second) or earlier == later


def test_ids_of_one_millisecond_differ() -> None:
    clock = StillClock()
    assert len({new_id("req", clock) for _ in range(10_000)}) == 10_000


def test_a_declared_id_is_the_same_everywhere_and_for_ever() -> None:
    """The value is SHA-256 of `tenant/acme`, cut to 128 bits: data directories hold it."""
    assert declared_id("tenant", "acme") == "tenant_f1f5dce2fe0e45033b00e4873ed2f7fe"


def test_declared_ids_differ_by_prefix_and_by_name() -> None:
    assert len({declared_id(prefix, name)[-32:] for prefix in ("tenant", "user") for name in ("acme", "Acme")}) == 4


@pytest.mark.parametrize(
    "inbound", [b"12345678", b"a" * 128, b"Az09._:-", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
)
def test_a_request_id_of_8_to_128_plain_characters_is_kept(inbound: bytes) -> None:
    assert accepted(inbound) == inbound.decode()


@pytest.mark.parametrize(
    "inbound",
    [
        None,
        b"",
        b"1234567",
        b"a" * 129,
        b"has space",
        b"12345678\n",
        b"12345678\r\nset-cookie: a",
        "schlüssel".encode(),
        b'"12345678"',
        b"12345678/",
        b"{12345678}",
        b"\x0012345678",
        b"sgk_demo_0123456789abcdef0123456789abcdef",
    ],
)
def test_any_other_request_id_is_replaced(inbound: bytes | None) -> None:
    assert accepted(inbound) is None


@given(st.binary(max_size=140))
def test_what_is_kept_is_kept_as_it_came(inbound: bytes) -> None:
    kept = accepted(inbound)
    assert kept is None or (kept.encode() == inbound and 8 <= len(kept) <= 128 and kept.isprintable())
