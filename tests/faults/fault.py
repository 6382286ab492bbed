"""What one of the sixteen faults is: what it needs, how it is played, and what is promised of it."""

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.case import Case, Show


class Fault(NamedTuple):
    """One row of the score."""

    name: str
    promise: str
    declare: Callable[[Case], None]
    """Says which backends and models a case of it needs."""
    show: Show
    """Plays it: plans what backends do, asks, and says what is to come of each call."""
    not_plain: str = ""
    """Why it has no meaning for plain calls, where it has none."""
