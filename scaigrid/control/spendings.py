"""What a correction of the ledger means for the budgets that are running: by how much each was spent more, or less."""

from collections.abc import Iterable, Iterator, Mapping

from scaigrid.config.snapshot import Fund
from scaigrid.errors import Level
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.rerate import Changed
from scaigrid.periods import bounds


class Spendings:
    """Gathers the changes of rows, for the funds of cost in whose present period the rows lie."""

    def __init__(self, funds: Iterable[Fund], now: float) -> None:
        self._now = now
        self._funds: dict[tuple[Level, str], list[tuple[Fund, float, float]]] = {}
        for fund in funds:
            if fund.kind == "cost":
                start, end = bounds(fund.period, fund.zone, now)
                self._funds.setdefault((fund.level, fund.subject), []).append((fund, start, end))
        self._changes: dict[str, int] = {}

    @property
    def changes(self) -> Mapping[str, int]:
        """Nano-units by bucket key, without those that come to nothing."""
        return {key: change for key, change in self._changes.items() if change}

    def add(self, one: Changed) -> None:
        """Counts a row that was rated again."""
        row, change = one.row, one.cost - one.row.cost
        for subject in _subjects(row):
            for fund, start, end in self._funds.get(subject, ()):
                if start <= row.created_at < end:
                    key = fund.at(self._now).key
                    self._changes[key] = self._changes.get(key, 0) + change


def _subjects(row: UsageRow) -> Iterator[tuple[Level, str]]:
    """Whose budgets a row counts against."""
    yield "partner", row.partner_id
    yield "tenant", row.tenant_id
    yield "user", row.user_id
    yield "model", row.model
    if row.key_id is not None:
        yield "key", row.key_id
    for group in row.groups:
        yield "group", group
