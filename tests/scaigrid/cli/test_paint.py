"""Colour where a person sees it, and nothing that a terminal would obey."""

import sys
from io import BytesIO, StringIO, TextIOWrapper

import pytest

from scaigrid.cli.paint import Paint, harmless, say


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def nobody_minds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_gets_colour_and_nothing_else_does() -> None:
    assert Paint(Terminal())("green", "+ a") == "\x1b[32m+ a\x1b[0m"
    assert Paint(StringIO())("green", "+ a") == "+ a"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_the_environment_may_say_no(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert Paint(Terminal())("red", "- a") == "- a"


def test_an_empty_no_color_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org: when present and not an empty string."""
    monkeypatch.setenv("NO_COLOR", "")
    assert Paint(Terminal())("dim", "a") != "a"


def test_an_option_may_say_no() -> None:
    assert Paint(Terminal(), never=True)("yellow", "~ a") == "~ a"


@pytest.mark.parametrize(
    ("text", "shown"), [("Ann", "Ann"), ("ümlaut", "ümlaut"), ("\x1b[2J", "\\x1b[2J"), ("a\nb\u202e", "a\\nb\\u202e")]
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"caf\\xe9 \\u2192\n"), ("utf-8", "café →\n".encode())])
def test_a_sign_that_a_terminal_has_not_is_escaped(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes
) -> None:
    written = BytesIO()
    terminal = TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    say(["café →"])
    terminal.flush()
    assert written.getvalue() == shown
