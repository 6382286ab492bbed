"""The port of lanes: a name on the command line, its options, and one run that prints its numbers."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable

import msgspec


class Lane(msgspec.Struct, frozen=True):
    """One thing to measure. `run` returns the exit code: 0 where it was measured and everything said the same."""

    name: str
    summary: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def between(low: int, high: int) -> Callable[[str], int]:
    """An option's type: a whole number with bounds, since every run is bounded."""

    def whole_number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ArgumentTypeError(f"must be from {low} to {high}, got {value}")
        return value

    return whole_number
