"""Colour on a terminal, and text that a terminal may be given."""

import os
import sys
from collections.abc import Iterable
from typing import Literal, TextIO

Colour = Literal["green", "yellow", "red", "dim"]
_CODES: dict[Colour, str] = {"green": "32", "yellow": "33", "red": "31", "dim": "2"}


class Paint:
    """Colours what a person sees: on a terminal, unless NO_COLOR (https://no-color.org) or an option say no."""

    def __init__(self, stream: TextIO, *, never: bool = False) -> None:
        wanted = not never and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._on = wanted and stream.isatty()

    def __call__(self, colour: Colour, text: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._on else text


def say(lines: Iterable[str]) -> None:
    """Prints them; a sign that the terminal's encoding has not is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        print(line.encode(encoding, "backslashreplace").decode(encoding))


def harmless(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
