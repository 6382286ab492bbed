"""Plain chat calls with everything on, beside the bare provider and nginx as a proxy, and the proof that all add up."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from benchmarks import truth
from benchmarks.chat import ANSWER, FRONTEND_MODEL
from benchmarks.lane import Lane, between
from benchmarks.load import exact
from benchmarks.measure import Measured, one_slice, slices
from benchmarks.records import database_ids, log_ids
from benchmarks.rig import PYTHON, Hop, Rig, standing
from benchmarks.truth import Check, Client

_ROUNDS: Final = 5
_ONE_CONNECTION_ROUNDS: Final = 3
_EXACT_CONNECTIONS: Final = 16


class Figures(msgspec.Struct, frozen=True):
    """One hop in the JSON line."""

    cpu_us_per_request: float
    rps: float
    p50_us: int | None
    p99_us: int | None
    one_connection_p50_us: int | None
    core_taken_by_others: float | None
    """How much of the core others had meanwhile, from 0 to 1; None of the provider, which shares its with the load."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON line; `answered` are the calls that the gateway answered, warm-up and the exact part included."""

    lane: str = "governed"
    cpu_us_per_request: float
    rps: float
    p50_us: int | None
    p99_us: int | None
    one_connection_p50_us: int | None
    core_taken_by_others: float | None
    bare: Figures
    nginx: Figures
    answered: int
    truth: bool
    python: str
    connections: int
    seconds: float


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
        everything = _Everything(rig)
        before = rig.tally()
        _warm_up(everything, options)
        _measure(everything, options)
        after_load = rig.tally()
        failed = _tell("load", _load_checks(everything, before, after_load))
        failed += _tell("exact", _exact_checks(rig, options, after_load))
        answered = rig.tally().get("metrics: status 200", 0)
        _print_table(everything)
        report = _report(everything, options, answered, not failed)
    print(msgspec.json.encode(report).decode(), flush=True)
    return 1 if failed else 0


class _Everything:
    """What was measured, by hop: at many connections, at one, and while it was warming up."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.many = {hop.name: Measured() for hop in rig.hops}
        self.one = {hop.name: Measured() for hop in rig.hops}
        self.warm = {hop.name: Measured() for hop in rig.hops}

    def all_of(self, hop: Hop) -> Measured:
        """Every call to a hop."""
        total = Measured()
        for part in (self.warm, self.many, self.one):
            total.add(part[hop.name])
        return total


def _warm_up(everything: _Everything, options: Namespace) -> None:
    rig = everything.rig
    for hop in rig.hops:
        everything.warm[hop.name].add(one_slice(rig, hop, connections=options.connections, seconds=options.warmup))


def _measure(everything: _Everything, options: Namespace) -> None:
    """The hops take turns, so that whatever else the machine does falls on all of them."""
    rig = everything.rig
    for seconds in slices(options.seconds, _ROUNDS):
        for hop in rig.hops:
            everything.many[hop.name].add(one_slice(rig, hop, connections=options.connections, seconds=seconds))
    for _ in range(_ONE_CONNECTION_ROUNDS):
        for hop in rig.hops:
            everything.one[hop.name].add(one_slice(rig, hop, connections=1, seconds=1))


def _load_checks(everything: _Everything, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Check]:
    """The load leaves calls open, so what it saw is a lower bound; what the gateway keeps has to agree all the same."""
    rig = everything.rig
    for hop in (rig.bare, rig.nginx):
        total = everything.all_of(hop)
        client = Client(total.answered, total.left_open, total.faults)
        yield from truth.provider_checks(hop.name, client, total.upstream, total.upstream_refused)
    total = everything.all_of(rig.governed)
    client = Client(total.answered, total.left_open, total.faults)
    grown = truth.growth(before, after)
    grown |= {"provider: answered": total.upstream, "provider: refused": total.upstream_refused}
    yield from truth.checks(client, grown, ANSWER)


def _exact_checks(rig: Rig, options: Namespace, before: Mapping[str, int]) -> Iterator[Check]:
    """Every call is waited for, so every number has to be the client's own."""
    connections = min(_EXACT_CONNECTIONS, options.requests)
    counts = rig.provider.counts()
    seen = exact.call(rig.governed.target, ANSWER, requests=options.requests, connections=connections)
    grown = truth.growth(before, rig.tally())
    answered = rig.provider.counts()
    grown["provider: answered"] = answered.answered - counts.answered
    grown["provider: refused"] = answered.refused - counts.refused
    yield Check("client: answers", len(seen.ids), options.requests, options.requests, "every call is answered")
    yield from truth.checks(Client(len(seen.ids), 0, seen.faults), grown, ANSWER)
    kept = {**database_ids(rig.gateway.database), "log": log_ids(rig.gateway.log, FRONTEND_MODEL)}
    yield from truth.id_checks(seen.ids, kept)


def _tell(part: str, made: Iterable[Check]) -> int:
    """Prints every check that does not hold; how many those are."""
    checks = list(made)
    wrong = [check for check in checks if not check.holds]
    print(f"truth, {part}: {len(checks) - len(wrong)} of {len(checks)} hold", flush=True)
    for check in wrong:
        print(f"  NOT EQUAL  {check}", file=sys.stderr, flush=True)
    return len(wrong)


def _figures(everything: _Everything, hop: Hop) -> Figures:
    many, one = everything.many[hop.name], everything.one[hop.name]
    return Figures(
        cpu_us_per_request=round(many.cpu_us, 2),
        rps=round(many.rate, 1),
        p50_us=many.latency.percentile(50),
        p99_us=many.latency.percentile(99),
        one_connection_p50_us=one.latency.percentile(50),
        core_taken_by_others=round(many.others_share, 3) if hop is not everything.rig.bare else None,
    )


def _report(everything: _Everything, options: Namespace, answered: int, true: bool) -> Report:
    rig = everything.rig
    own: dict[str, Any] = msgspec.structs.asdict(_figures(everything, rig.governed))
    return Report(
        **own,
        bare=_figures(everything, rig.bare),
        nginx=_figures(everything, rig.nginx),
        answered=answered,
        truth=true,
        python=PYTHON,
        connections=options.connections,
        seconds=round(everything.many[rig.governed.name].seconds, 2),
    )


def _print_table(everything: _Everything) -> None:
    rig = everything.rig
    print(f"{'':10}{'CPU us':>9}{'req/s':>9}{'of nginx':>10}{'p50 us':>9}{'p99 us':>9}{'p50, 1 conn':>13}{'others':>8}")
    nginx = everything.many[rig.nginx.name]
    for hop in rig.hops:
        figures = _figures(everything, hop)
        share = figures.rps / nginx.rate if nginx.rate else 0.0
        others = "" if figures.core_taken_by_others is None else f"{figures.core_taken_by_others:.1%}"
        print(
            f"{hop.name:10}{figures.cpu_us_per_request:9.1f}{figures.rps:9,.0f}{share:10.1%}"
            f"{figures.p50_us or 0:9,}{figures.p99_us or 0:9,}{figures.one_connection_p50_us or 0:13,}"
            f"{others:>8}"
        )
    direct = everything.one[rig.bare.name].latency.percentile(50) or 0
    for hop in (rig.nginx, rig.governed):
        added = (everything.one[hop.name].latency.percentile(50) or 0) - direct
        print(f"{hop.name} adds at one connection, p50: {added:,} us", flush=True)


LANE: Final = Lane(
    name="governed",
    summary="plain chat calls with every limit, budget, audit and ledger on: CPU per call, rate, latency, truth",
    add_options=add_options,
    run=run,
)
