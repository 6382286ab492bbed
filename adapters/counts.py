"""A number of tokens as a provider gives it.

Whether a number can be meant is judged once for all providers, where it becomes a bill (`scaigrid.billing`). So what
cannot be is neither refused here, for an answer is not lost with its count, nor made into something that could be.
"""

from typing import Any, Final

from scaigrid.types import Usage

Count = Any
"""A number, or nothing. Anything else is no reason to refuse the answer that it stands in."""

_MOST: Final = 2**53
"""Far beyond any answer, and so little that a sum of such counts is a number like any other."""

Size = int | float | None
"""A number that is the answer itself, so that there is none without it."""

UNREADABLE: Final = Usage(input=-1)
"""Stands for a usage of which nothing can be read. It is refused like any other that cannot be."""


def tokens(count: Count) -> int:
    """The count as a whole number, 0 for none; one that cannot be stays one: below 0, or far too large."""
    if count is None:
        return 0
    if type(count) is int or type(count) is float:
        return int(min(max(count, -_MOST), _MOST))
    return -_MOST
