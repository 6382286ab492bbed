"""The port fits who implements it."""

from scaigrid.ledger.timeline_queries import Timelines
from scaigrid.ledger.timeline_reading import TimelineReader


def test_the_database_is_read_through_the_port() -> None:
    reader: type[TimelineReader] = Timelines
    assert reader is Timelines
