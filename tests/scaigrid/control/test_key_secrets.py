"""The text of a key: random, recognisable, and nowhere but with its holder."""

import hashlib
import re

from scaigrid.config.terms import KEY_PATTERN
from scaigrid.control import key_secrets
from scaigrid.control.declared import PREFIX_LENGTH
from scaigrid.secrets import MASK, Secret, masked

SOME = [key_secrets.new_key() for _ in range(500)]


def test_a_new_key_is_one_that_the_file_would_take_and_that_logs_hide() -> None:
    for key in SOME:
        assert re.fullmatch(KEY_PATTERN, key.reveal())
        assert masked(f"my key is {key.reveal()}.") == f"my key is sgk_{MASK}."


def test_no_two_are_the_same() -> None:
    assert len({key.reveal() for key in SOME}) == len(SOME)


def test_it_begins_and_ends_with_what_nobody_takes_for_punctuation() -> None:
    """A double click, or a sentence around it, would cut off a dash at the end."""
    bodies = [key.reveal().removeprefix("sgk_") for key in SOME]
    assert all(body[0].isalnum() and body[-1].isalnum() for body in bodies)
    assert {sign for body in bodies for sign in body} > {"-", "_"}


def test_what_is_kept_is_its_digest_and_what_people_tell_it_by() -> None:
    key = Secret("sgk_" + "a" * 8 + "b" * 35)
    assert key_secrets.digest(key) == hashlib.sha256(key.reveal().encode()).hexdigest()
    assert key_secrets.prefix(key) == "sgk_aaaaaaaa"
    assert len(key_secrets.prefix(key)) == PREFIX_LENGTH


def test_a_new_key_does_not_print() -> None:
    assert "sgk_" not in f"{SOME[0]} {SOME[0]!r}"
