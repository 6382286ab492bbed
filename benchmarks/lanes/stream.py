"""Streams with everything on, passed through and translated, beside the bare provider and nginx as a proxy."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from benchmarks import truth
from benchmarks.chat import ANSWER
from benchmarks.histogram import Histogram
from benchmarks.lane import Lane, between
from benchmarks.load import streams
from benchmarks.measure import Cost, costing, noise, slices
from benchmarks.rig import PYTHON, Hop, Rig, standing
from benchmarks.table import number, share, table
from benchmarks.truth import Check, Client

_ROUNDS: Final = 3


class Measured(msgspec.Struct, kw_only=True):
    """The sum over slices of load on one hop."""

    completed: int = 0
    events: int = 0
    merged: int = 0
    """Events that were read together with an earlier one of the same stream: it had been held back."""
    seconds: float = 0.0
    transit: Histogram = msgspec.field(default_factory=Histogram)
    first_event: Histogram = msgspec.field(default_factory=Histogram)
    faults: dict[str, int] = {}
    cost: Cost = msgspec.field(default_factory=Cost)

    def add(self, other: "Measured") -> None:
        self.completed += other.completed
        self.events += other.events
        self.merged += other.merged
        self.seconds += other.seconds
        self.transit.add(other.transit)
        self.first_event.add(other.first_event)
        self.cost.add(other.cost)
        for name, count in other.faults.items():
            self.faults[name] = self.faults.get(name, 0) + count

    @property
    def client(self) -> Client:
        """What the load saw: it waits for the last event of the last stream, so it leaves nothing open."""
        return Client(self.completed, 0, self.faults)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One hop in the JSON line. `transit` is from the provider's writing of an event to its being read."""

    cpu_us_per_event: float
    events_per_second: float
    transit_p50_us: int | None
    transit_p99_us: int | None
    first_event_p50_us: int | None
    first_event_p99_us: int | None
    merged: float
    """Share of the events, from 0 to 1."""
    core_taken_by_others: float | None
    """How much of the core others had meanwhile, from 0 to 1; None of the provider, which shares its with the load."""


class Report(Figures, frozen=True, kw_only=True):
    """The JSON line; the gateway's own figures are of streams that it passes through."""

    lane: str = "stream"
    translated: Figures
    bare: Figures
    nginx: Figures
    answered: int
    truth: bool
    python: str
    streams: int
    events: int
    interval_ms: int
    seconds: float


class _Run:
    """What was measured, by hop, and while it was warming up."""

    def __init__(self, rig: Rig, options: Namespace) -> None:
        self.rig = rig
        self.hops = (rig.bare, rig.nginx, rig.governed, rig.translated)
        self.streams: int = options.streams
        self.events: int = options.events
        self.interval_ms: int = options.interval_ms
        self.warm = {hop.name: Measured() for hop in self.hops}
        self.measured = {hop.name: Measured() for hop in self.hops}

    def warm_up(self, seconds: int) -> None:
        for hop in self.hops:
            self.warm[hop.name].add(self._slice(hop, seconds))

    def measure(self, seconds: int) -> None:
        """The hops take turns, so that whatever else the machine does falls on all of them."""
        for part in slices(seconds, _ROUNDS):
            for hop in self.hops:
                self.measured[hop.name].add(self._slice(hop, part))

    def all_of(self, *hops: Hop) -> Measured:
        """Every stream of some hops."""
        total = Measured()
        for hop in hops:
            total.add(self.warm[hop.name])
            total.add(self.measured[hop.name])
        return total

    def figures(self, hop: Hop) -> Figures:
        one = self.measured[hop.name]
        return Figures(
            cpu_us_per_event=round(one.cost.microseconds_each(one.events), 2),
            events_per_second=round(one.events / one.seconds, 1) if one.seconds else 0.0,
            transit_p50_us=one.transit.percentile(50),
            transit_p99_us=one.transit.percentile(99),
            first_event_p50_us=one.first_event.percentile(50),
            first_event_p99_us=one.first_event.percentile(99),
            merged=round(one.merged / one.events, 4) if one.events else 0.0,
            core_taken_by_others=None if hop is self.rig.bare else round(one.cost.others_share, 3),
        )

    def _slice(self, hop: Hop, seconds: int) -> Measured:
        rig = self.rig
        with costing(rig, hop) as cost:
            seen = streams.drive(
                hop.target,
                streams=self.streams,
                seconds=seconds,
                events=self.events,
                interval_ms=self.interval_ms,
                core=rig.cores.load,
                folder=rig.folder,
            )
        return Measured(
            completed=seen.completed,
            events=seen.events,
            merged=seen.merged,
            seconds=seen.microseconds / 1e6,
            transit=seen.transits(),
            first_event=seen.first_events(),
            faults=seen.faults,
            cost=cost,
        )


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--seconds", type=between(1, 600), default=9, help="of load on each hop (9)")
    parser.add_argument("--streams", type=between(1, 1000), default=32, help="at once (32)")
    parser.add_argument("--events", type=between(1, 10_000), default=64, help="of each stream (64)")
    parser.add_argument("--interval-ms", type=between(1, 10_000), default=5, help="between two events (5)")
    parser.add_argument("--warmup", type=between(1, 60), default=2, help="seconds of load on each hop before (2)")


def run(options: Namespace) -> int:
    with standing(events=options.events, interval_ms=options.interval_ms, streams=True) as rig:
        print(rig.conditions(), flush=True)
        measured = _Run(rig, options)
        before = rig.tally()
        measured.warm_up(options.warmup)
        measured.measure(options.seconds)
        after = rig.tally()
        wrong = truth.tell("streams", _checks(measured, before, after))
        if wrong:
            rig.point_to_complaints()
    _print_table(measured)
    answered = after.get("metrics: status 200", 0)
    print(msgspec.json.encode(_report(measured, answered, not wrong)).decode(), flush=True)
    return 1 if wrong else 0


def _checks(measured: _Run, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Check]:
    """Every stream is read to its end, so every number has to be the client's own."""
    rig = measured.rig
    for hop in (rig.bare, rig.nginx):
        total = measured.all_of(hop)
        yield from truth.provider_checks(hop.name, total.client, total.cost.upstream, total.cost.upstream_refused)
    total = measured.all_of(rig.governed, rig.translated)
    grown = truth.growth(before, after)
    grown |= {"provider: answered": total.cost.upstream, "provider: refused": total.cost.upstream_refused}
    # The provider bills a token for each event.
    yield from truth.checks(total.client, grown, msgspec.structs.replace(ANSWER, completion_tokens=measured.events))


def _report(measured: _Run, answered: int, true: bool) -> Report:
    rig = measured.rig
    own: dict[str, Any] = msgspec.structs.asdict(measured.figures(rig.governed))
    return Report(
        **own,
        translated=measured.figures(rig.translated),
        bare=measured.figures(rig.bare),
        nginx=measured.figures(rig.nginx),
        answered=answered,
        truth=true,
        python=PYTHON,
        streams=measured.streams,
        events=measured.events,
        interval_ms=measured.interval_ms,
        seconds=round(measured.measured[rig.governed.name].seconds, 2),
    )


def _print_table(measured: _Run) -> None:
    figures = {hop.name: measured.figures(hop) for hop in measured.hops}
    rows = [
        (
            name,
            number(one.cpu_us_per_event, 1),
            number(one.events_per_second),
            number(one.transit_p50_us),
            number(one.transit_p99_us),
            number(one.first_event_p50_us),
            number(one.first_event_p99_us),
            share(one.merged),
            share(one.core_taken_by_others),
        )
        for name, one in figures.items()
    ]
    head = ("", "CPU us/event", "events/s", "transit p50", "p99 us", "first p50", "p99 us", "merged", "others")
    print(table(head, rows), flush=True)
    for sentence in noise({name: one.core_taken_by_others for name, one in figures.items()}):
        print(sentence, flush=True)


LANE: Final = Lane(
    name="stream",
    summary="streams with every limit, budget, audit and ledger on: CPU per event, transit, first event, truth",
    add_options=add_options,
    run=run,
)
