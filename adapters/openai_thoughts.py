"""Reasoning that has to come back unchanged in the next turn, as OpenRouter gives it: `reasoning_details`.

Source: OpenRouter, "Reasoning tokens". A detail is a text, a summary or something encrypted, each maybe signed; in a
stream it comes in pieces of one type and index, which belong together. The text itself is told as `reasoning` too, so
only details that nobody could make again from it are kept, with their neighbours, as one opaque text.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

_GROWS: Final = ("text", "summary", "data")
"""Members whose pieces add up."""
_OPAQUE: Final = ("signature", "data")
_SAME: Final = ("type", "index", "id", "format")


class Details:
    """The details of one choice while they come."""

    __slots__ = ("_details",)

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []

    def add(self, pieces: Sequence[dict[str, Any]]) -> None:
        for piece in pieces:
            if self._details and _continues(self._details[-1], piece):
                _join(self._details[-1], piece)
            else:
                self._details.append(dict(piece))

    def taken(self) -> str | None:
        """What has come so far, as JSON, where the provider needs it back; what comes later is another one."""
        details, self._details = self._details, []
        if not any(detail.get(name) for detail in details for name in _OPAQUE):
            return None
        return msgspec.json.encode(details).decode()


def _continues(open_: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether `piece` goes on with the detail before it: alike in all that both of them say."""
    said = [(open_.get(name), piece.get(name)) for name in _SAME]
    return "index" in piece and "type" in piece and all(None in pair or pair[0] == pair[1] for pair in said)


def _join(open_: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        before = open_.get(name)
        if name in _GROWS and isinstance(before, str) and isinstance(value, str):
            open_[name] = before + value
        elif value is not None:
            open_[name] = value
