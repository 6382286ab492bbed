import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.held import Held, Names

KEY, OLDER = b"k" * 32, b"o" * 32
HELD = Held("be_1", "tenant_1", "acme/chat", "resp_68c35098e6fc819e")
NAMES = Names((KEY,))


def test_a_name_leads_back_to_what_it_was_made_for() -> None:
    assert NAMES.opened(NAMES.name(HELD)) == HELD


def test_a_name_is_the_same_each_time_and_another_for_anything_else() -> None:
    others = [
        Held("be_2", "tenant_1", "acme/chat", HELD.own),
        Held("be_1", "tenant_2", "acme/chat", HELD.own),
        Held("be_1", "tenant_1", "acme/else", HELD.own),
        Held("be_1", "tenant_1", "acme/chat", "resp_other"),
    ]
    assert NAMES.name(HELD) == Names((KEY,)).name(HELD)
    assert len({NAMES.name(held) for held in (HELD, *others)}) == len(others) + 1


def test_a_name_needs_no_escape_in_an_address() -> None:
    name = NAMES.name(HELD)
    assert name.startswith("resp_")
    assert name.replace("_", "").replace("-", "").isalnum()


def test_a_name_made_under_an_older_key_still_holds_and_new_ones_are_made_under_the_first() -> None:
    both = Names((KEY, OLDER))
    assert both.opened(Names((OLDER,)).name(HELD)) == HELD
    assert both.name(HELD) == NAMES.name(HELD)


def test_a_name_made_under_another_key_leads_nowhere() -> None:
    assert Names((OLDER,)).opened(NAMES.name(HELD)) is None
    assert Names.passing().opened(NAMES.name(HELD)) is None


def test_a_name_changed_anywhere_leads_nowhere() -> None:
    """Each octet of it, seal and contents, is covered."""
    name = NAMES.name(HELD).removeprefix("resp_")
    octets = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4))
    for place in range(len(octets)):
        wrong = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
        text = base64.urlsafe_b64encode(wrong).rstrip(b"=").decode()
        assert NAMES.opened(f"resp_{text}") is None
    assert NAMES.opened("resp_" + base64.urlsafe_b64encode(octets[:-1]).rstrip(b"=").decode()) is None


@pytest.mark.parametrize(
    "name",
    ["", "resp_", "resp_1", "resp_0123456789abcdef0123456789abcdef", "chatcmpl-1", "resp_é", "resp_" + "A" * 5000],
)
def test_what_nobody_made_leads_nowhere(name: str) -> None:
    assert NAMES.opened(name) is None


def test_a_name_without_what_it_begins_with_leads_nowhere() -> None:
    assert NAMES.opened(NAMES.name(HELD).removeprefix("resp_")) is None


@given(st.text(max_size=200))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert NAMES.opened(text) is None
    assert NAMES.opened(f"resp_{text}") is None


@given(st.builds(Held, st.text(), st.text(), st.text(), st.text(max_size=100)))
def test_whatever_a_provider_calls_it_the_name_leads_back(held: Held) -> None:
    name = NAMES.name(held)
    assert NAMES.opened(name) == (held if len(name) <= 2048 else None)
