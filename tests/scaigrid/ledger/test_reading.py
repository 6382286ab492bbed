"""The port that the control plane asks: what a filter that says nothing means, and that the ledger answers to it."""

import msgspec

from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Position, UsageFilter, UsageReader


def test_a_filter_that_says_nothing_keeps_nothing_out() -> None:
    assert set(msgspec.structs.asdict(UsageFilter()).values()) == {None}


def test_positions_are_compared_by_time_and_then_by_id() -> None:
    assert sorted([Position(2.0, "a"), Position(1.0, "b"), Position(1.0, "a")]) == [(1.0, "a"), (1.0, "b"), (2.0, "a")]


def test_the_ledger_is_a_reader() -> None:
    reader: type[UsageReader] = LedgerReader
    assert issubclass(reader, LedgerReader)
