"""Plain chat calls with everything on, beside the bare provider and nginx as a proxy, and the proof that all add up."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from benchmarks import truth
from benchmarks.chat import ANSWER, FRONTEND_MODEL
from benchmarks.histogram import Histogram
from benchmarks.lane import Lane, between
from benchmarks.load import exact, wrk
from benchmarks.measure import Cost, costing, noise, slices
from benchmarks.records import database_ids, log_ids
from benchmarks.rig import PYTHON, Hop, Rig, standing
from benchmarks.table import number, share, table
from benchmarks.truth import Check, Client

_ROUNDS: Final = 5
_ONE_CONNECTION_ROUNDS: Final = 3
_EXACT_CONNECTIONS: Final = 16


class Measured(msgspec.Struct, kw_only=True):
    """The sum over slices of load on one hop."""

    answered: int = 0
    seconds: float = 0.0
    """Of load; what is waited for afterwards is not in it."""
    latency: Histogram = msgspec.field(default_factory=Histogram)
    left_open: int = 0
    """Calls that may have been under way when the load left."""
    faults: dict[str, int] = {}
    cost: Cost = msgspec.field(default_factory=Cost)

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def add(self, other: "Measured") -> None:
        self.answered += other.answered
        self.seconds += other.seconds
        self.latency.add(other.latency)
        self.left_open += other.left_open
        self.cost.add(other.cost)
        for name, count in other.faults.items():
            self.faults[name] = self.faults.get(name, 0) + count

    @property
    def client(self) -> Client:
        """What the load saw."""
        return Client(self.answered, self.left_open, self.faults)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One hop in the JSON line."""

    cpu_us_per_request: float
    rps: float
    p50_us: int | None
    p99_us: int | None
    one_connection_p50_us: int | None
    core_taken_by_others: float | None
    """How much of the core others had meanwhile, from 0 to 1; None of the provider, which shares its with the load."""


class Report(Figures, frozen=True, kw_only=True):
    """The JSON line; `answered` are the calls that the gateway answered, warm-up and the exact part included."""

    lane: str = "governed"
    bare: Figures
    nginx: Figures
    answered: int
    truth: bool
    python: str
    connections: int
    seconds: float


class _Run:
    """What was measured, by hop: at many connections, at one, and while it was warming up."""

    def __init__(self, rig: Rig, options: Namespace) -> None:
        self.rig = rig
        self.hops = (rig.bare, rig.nginx, rig.governed)
        self.connections: int = options.connections
        self.many = {hop.name: Measured() for hop in self.hops}
        self.one = {hop.name: Measured() for hop in self.hops}
        self.warm = {hop.name: Measured() for hop in self.hops}

    def warm_up(self, seconds: int) -> None:
        for hop in self.hops:
            self.warm[hop.name].add(self._slice(hop, self.connections, seconds))

    def measure(self, seconds: int) -> None:
        """The hops take turns, so that whatever else the machine does falls on all of them."""
        for part in slices(seconds, _ROUNDS):
            for hop in self.hops:
                self.many[hop.name].add(self._slice(hop, self.connections, part))
        for _ in range(_ONE_CONNECTION_ROUNDS):
            for hop in self.hops:
                self.one[hop.name].add(self._slice(hop, 1, 1))

    def all_of(self, hop: Hop) -> Measured:
        """Every call to a hop."""
        total = Measured()
        for part in (self.warm, self.many, self.one):
            total.add(part[hop.name])
        return total

    def figures(self, hop: Hop) -> Figures:
        many, one = self.many[hop.name], self.one[hop.name]
        return Figures(
            cpu_us_per_request=round(many.cost.microseconds_each(many.answered), 2),
            rps=round(many.rate, 1),
            p50_us=many.latency.percentile(50),
            p99_us=many.latency.percentile(99),
            one_connection_p50_us=one.latency.percentile(50),
            core_taken_by_others=None if hop is self.rig.bare else round(many.cost.others_share, 3),
        )

    def _slice(self, hop: Hop, connections: int, seconds: int) -> Measured:
        rig = self.rig
        with costing(rig, hop) as cost:
            seen = wrk.drive(
                hop.target, connections=connections, seconds=seconds, core=rig.cores.load, folder=rig.folder
            )
        return Measured(
            answered=seen.answered,
            seconds=seen.microseconds / 1e6,
            latency=seen.histogram(),
            left_open=connections,
            faults=seen.faults,
            cost=cost,
        )


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--seconds", type=between(1, 600), default=10, help="of load on each hop (10)")
    parser.add_argument("--connections", type=between(1, 1000), default=32, help="of the load (32)")
    parser.add_argument("--warmup", type=between(1, 60), default=3, help="seconds of load on each hop before (3)")
    parser.add_argument(
        "--requests", type=between(1, 100_000), default=2000, help="calls of the part in which all is equal (2000)"
    )


def run(options: Namespace) -> int:
    with standing() as rig:
        print(rig.conditions(), flush=True)
        measured = _Run(rig, options)
        before = rig.tally()
        measured.warm_up(options.warmup)
        measured.measure(options.seconds)
        after_load = rig.tally()
        wrong = truth.tell("load", _load_checks(measured, before, after_load))
        wrong += truth.tell("exact", _exact_checks(rig, options.requests, after_load))
        if wrong:
            rig.point_to_complaints()
        answered = rig.tally().get("metrics: status 200", 0)
    _print_table(measured)
    print(msgspec.json.encode(_report(measured, answered, not wrong)).decode(), flush=True)
    return 1 if wrong else 0


def _load_checks(measured: _Run, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Check]:
    """The load leaves calls open, so what it saw is a lower bound; what the gateway keeps has to agree all the same."""
    rig = measured.rig
    for hop in (rig.bare, rig.nginx):
        total = measured.all_of(hop)
        yield from truth.provider_checks(hop.name, total.client, total.cost.upstream, total.cost.upstream_refused)
    total = measured.all_of(rig.governed)
    grown = truth.growth(before, after)
    grown |= {"provider: answered": total.cost.upstream, "provider: refused": total.cost.upstream_refused}
    yield from truth.checks(total.client, grown, ANSWER)


def _exact_checks(rig: Rig, requests: int, before: Mapping[str, int]) -> Iterator[Check]:
    """Every call is waited for, so every number has to be the client's own."""
    connections = min(_EXACT_CONNECTIONS, requests)
    with costing(rig, rig.governed) as cost:
        seen = exact.call(rig.governed.target, ANSWER, requests=requests, connections=connections)
    grown = truth.growth(before, rig.tally())
    grown |= {"provider: answered": cost.upstream, "provider: refused": cost.upstream_refused}
    yield Check("client: answers", len(seen.ids), requests, requests, "every call is answered")
    yield from truth.checks(Client(len(seen.ids), 0, seen.faults), grown, ANSWER)
    kept = {**database_ids(rig.gateway.database), "log": log_ids(rig.gateway.log, FRONTEND_MODEL)}
    yield from truth.id_checks(seen.ids, kept)


def _report(measured: _Run, answered: int, true: bool) -> Report:
    rig = measured.rig
    own: dict[str, Any] = msgspec.structs.asdict(measured.figures(rig.governed))
    return Report(
        **own,
        bare=measured.figures(rig.bare),
        nginx=measured.figures(rig.nginx),
        answered=answered,
        truth=true,
        python=PYTHON,
        connections=measured.connections,
        seconds=round(measured.many[rig.governed.name].seconds, 2),
    )


def _print_table(measured: _Run) -> None:
    figures = {hop.name: measured.figures(hop) for hop in measured.hops}
    nginx, direct = figures[measured.rig.nginx.name], figures[measured.rig.bare.name]
    rows = [
        (
            name,
            number(one.cpu_us_per_request, 1),
            number(one.rps),
            share(one.rps / nginx.rps if nginx.rps else None),
            number(one.p50_us),
            number(one.p99_us),
            number(one.one_connection_p50_us),
            number((one.one_connection_p50_us or 0) - (direct.one_connection_p50_us or 0)),
            share(one.core_taken_by_others),
        )
        for name, one in figures.items()
    ]
    head = ("", "CPU us", "calls/s", "of nginx", "p50 us", "p99 us", "1 conn. p50", "added", "others")
    print(table(head, rows), flush=True)
    for sentence in noise({name: one.core_taken_by_others for name, one in figures.items()}):
        print(sentence, flush=True)


LANE: Final = Lane(
    name="governed",
    summary="plain chat calls with every limit, budget, audit and ledger on: CPU per call, rate, latency, truth",
    add_options=add_options,
    run=run,
)
