"""What a process that was killed has left open: attempts that have begun, and of which its journal has no row."""

from pathlib import Path

import msgspec

from scaigrid.ledger.records import Begun, Record, UsageRow


class Left(msgspec.Struct):
    """Filled as the records of a journal come, in their order."""

    open: dict[str, UsageRow] = {}
    """By id, the row that stands for an attempt where no other follows."""
    told: set[str] = set()
    """Ids of attempts that have ended: what says again that one is open may have been late."""
    segments: list[Path] = []
    """That are taken, and have to stay until what is open has its rows."""

    def note(self, record: Record) -> None:
        if not isinstance(record, Begun):
            if self.open.pop(record.id, None) is not None:
                self.told.add(record.id)
        elif record.id not in self.told:
            self.open[record.id] = record.row
