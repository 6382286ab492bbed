"""Valkey is stopped, paused and slow: calls go as their limits say, nobody waits for it, and the log says it once."""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from tests.chaos.event import Found
from tests.money.fact import Room
from tests.money.facts import outage
from tests.money.facts.outage import Away


class Told(msgspec.Struct, kw_only=True):
    """What the log says of one outage."""

    lost: int
    found: int
    order: bool = True
    """Never the same twice in a row."""


def judged(away: Sequence[Away], told: Mapping[str, Told]) -> Found:
    found = Found(faults=outage.judged(away, []).faults)
    for one in away:
        passed = one.codes.count("200")
        found.measured.append(
            f"{one.how}, {one.policy}: {passed} of {len(one.codes)} served, half within "
            f"{1000 * median(one.seconds):.0f} ms, {one.waits} waited for it; counters less ledger "
            f"{one.spent - one.ledger}"
        )
    for how, lines in told.items():
        found.measured.append(f"{how}: the log says {lines.lost} times lost, {lines.found} times found")
        found.expect(lines.lost == lines.found > 0 and lines.order, f"{how}: lost {lines.lost}, found {lines.found}")
        # One that is slow comes and goes: each time is a change.
        found.expect(how == "slow" or lines.lost == 1, f"{how}: one change was told {lines.lost} times")
    return found


def show(room: Room) -> Found:
    away: defaultdict[str, list[Away]] = defaultdict(list)
    told: dict[str, Told] = {}
    before = 0
    log = room.directory / "outage-store" / "stdout"
    for one in outage.store_away(room):
        if one.how not in away:
            # All callers of one outage are told together, once it is over.
            changes = _changes(log)
            told[one.how] = _told(changes[before:])
            before = len(changes)
        away[one.how].append(one)
    return judged([one for several in away.values() for one in several], told)


def _changes(log: Path) -> list[str]:
    lines = [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]
    return [event for event in lines if event in ("store_lost", "store_found")]


def _told(changes: Sequence[str]) -> Told:
    return Told(
        lost=changes.count("store_lost"),
        found=changes.count("store_found"),
        order=all(one != other for one, other in itertools.pairwise(changes)),
    )
