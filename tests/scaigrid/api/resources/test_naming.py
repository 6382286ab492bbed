"""A name that is made is one that could have been given."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.api.resources.naming import free_name, name_of
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.state import State

NAME = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
"""`config.terms.Name`."""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada.L+x", "ada.l-x"),
        ("Help desk!", "help-desk"),
        ("..a..", "a"),
        ("a" * 63 + "-b", "a" * 63),
        ("部", None),
        ("", None),
    ],
)
def test_what_can_be_in_a_name_stays(text: str, name: str | None) -> None:
    assert name_of(text) == name


@given(st.text(max_size=100))
def test_whatever_is_made_is_a_name(text: str) -> None:
    made = name_of(text)
    assert made is None or re.fullmatch(NAME, made)


def _state(*names: str) -> State:
    return State.of(
        Resource(kind="user", id=f"user_{name}", origin="api", document=docs.User(name=name, tenant_id="t"))
        for name in names
    )


def test_the_first_number_that_is_free_stands_behind_a_name_that_is_taken() -> None:
    assert free_name(_state(), "user", "t", "ada") == "ada"
    assert free_name(_state("ada", "ada-3"), "user", "t", "ada") == "ada-2"
    assert free_name(_state("ada", "ada-2"), "user", "t", "ada") == "ada-3"
    assert free_name(_state("ada"), "user", "other", "ada") == "ada"


def test_a_number_does_not_make_it_too_long() -> None:
    long = "a" * 64
    assert free_name(_state(long), "user", "t", long) == "a" * 62 + "-2"
