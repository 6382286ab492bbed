"""Tells, once, that a budget has reached its soft limit or its hard one: in the log, as a metric, as an event.

A store of counters says what was spent of a fund ahead of each settling and after it. Of all settlings of all workers
there is one between whose two numbers a threshold lies, so nobody has to remember what was told. It is what was really
spent that counts: calls under way may have reserved the rest long before.

A limit that is lowered below what is spent is passed without a word: nothing was spent just then.
"""

from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any, Literal, NamedTuple

import structlog

from scaigrid.clock import Clock
from scaigrid.config.snapshot import Current, Fund, Snapshot
from scaigrid.events import Event, Events
from scaigrid.ids import new_id
from scaigrid.limiter import Spending
from scaigrid.periods import bounds
from scaigrid.pricing import to_decimal
from scaigrid.telemetry import Telemetry
from scaigrid.timestamps import iso

Threshold = Literal["soft", "hard"]

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Watched(NamedTuple):
    fund: Fund
    soft: int | None
    """The least that is the soft limit or more."""
    label: str


class Thresholds:
    """Watches the budgets of the snapshot in force."""

    def __init__(self, current: Current, clock: Clock, telemetry: Telemetry, events: Events) -> None:
        self._current = current
        self._clock = clock
        self._telemetry = telemetry
        self._events = events
        self._snapshot: Snapshot | None = None
        self._watched: Mapping[str, _Watched] = {}

    def heard(self, spending: Mapping[str, Spending]) -> None:
        """By bucket key, what became of the funds of one settling; buckets that are no budget's mean nothing."""
        snapshot = self._current.snapshot
        if snapshot is not self._snapshot:
            self._snapshot, self._watched = snapshot, _watched(snapshot)
        for key, (before, after) in spending.items():
            series, _, since = key.rpartition(":")
            found = self._watched.get(series)
            if found is None:
                continue
            if found.soft is not None and before < found.soft <= after:
                self._tell("soft", found, after, float(since))
            if before < found.fund.limit <= after:
                self._tell("hard", found, after, float(since))

    def _tell(self, threshold: Threshold, found: _Watched, spent: int, since: float) -> None:
        fund, now = found.fund, self._clock.now()
        # Of the period that the money was spent in, which may be over by now.
        _, end = bounds(fund.period, fund.zone, since)
        payload: dict[str, Any] = {
            "budget_id": fund.id,
            "name": fund.name,
            "scope": fund.level,
            "scope_id": fund.subject,
            "kind": fund.kind,
            "limit": _amount(fund, fund.limit),
            "spent": _amount(fund, spent),
            "period_end": None if end == inf else iso(end),
            "hard_action": fund.action,
        }
        event = Event(
            event_type=f"budget.{threshold}_limit_reached",
            event_id=new_id("evt", self._clock),
            tenant_id=fund.tenant_id,
            partner_id=fund.partner_id,
            payload=payload,
            timestamp=iso(now),
        )
        _log.warning(f"budget_{threshold}_limit_reached", **payload)
        self._telemetry.budget_thresholds.labels(found.label, threshold).inc()
        self._events.publish(event)


def labels_of(snapshot: Snapshot) -> Mapping[str, str]:
    """What metrics call each budget, by id: its name, with the id where two tenants have one of that name."""
    names = {fund.id: fund.name for fund in snapshot.funds}
    times = Counter(names.values())
    return {id_: name if times[name] == 1 else f"{name} ({id_})" for id_, name in names.items()}


def _watched(snapshot: Snapshot) -> Mapping[str, _Watched]:
    labels = labels_of(snapshot)
    return {fund.series: _Watched(fund, _soft(fund), labels[fund.id]) for fund in snapshot.funds}


def _soft(fund: Fund) -> int | None:
    if fund.soft is None:
        return None
    # Rounded up: below it, not even the last unit has reached the part.
    return -(-fund.limit * fund.soft.numerator // fund.soft.denominator)


def _amount(fund: Fund, amount: int) -> str | int:
    return to_decimal(amount) if fund.kind == "cost" else amount
