"""A number of tokens as a provider gives it."""

from typing import Final

Count = int | float | None

_MOST: Final = 10**9
"""No answer has that many tokens: a count beyond it is a fault, and must not become a bill."""


def tokens(count: Count) -> int:
    """The count as a whole number, from 0 to the most that can be meant; 0 for none."""
    return int(min(max(count, 0), _MOST)) if count else 0
