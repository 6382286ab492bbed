"""`scaigrid rerate`: rates what was billed again, at the prices that hold now or at earlier ones."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from scaigrid.cli.command import WRONG, Command, Failed, actor_argument, file_argument, json_argument

if TYPE_CHECKING:
    from scaigrid.control.rerating import Rerated
    from scaigrid.ledger.rerate import Difference


_COUNTERS = {
    "amended": "The counters of the budgets have followed.",
    "away": "The store of the counters cannot be reached: the budgets do not know of it until they are counted anew.",
    "own": "The gateway counts its budgets anew from the ledger when it starts: restart it.",
}
"""What is to be said of the counters of budgets."""


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time: write 2026-11-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} needs an offset from UTC: write 2026-11-01T00:00:00Z")
    return moment


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--from", dest="start", type=_moment, required=True, metavar="TIME", help="the earliest time")
    parser.add_argument(
        "--to", dest="end", type=_moment, required=True, metavar="TIME", help="the time behind the last"
    )
    parser.add_argument("--model", action="append", default=[], metavar="SLUG", help="only calls of this model")
    parser.add_argument("--backend", action="append", default=[], metavar="NAME", help="only calls of this backend")
    parser.add_argument("--tenant", action="append", default=[], metavar="NAME", help="only calls of this tenant")
    parser.add_argument("--stamped", metavar="VERSION", help="only rows that were billed at this version of a price")
    parser.add_argument("--with", dest="version", metavar="VERSION", help="rate at this version; left out: as of now")
    parser.add_argument("--apply", action="store_true", help="write it; left out: only tell")
    json_argument(parser, "the report")
    actor_argument(parser)


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import settings
    from scaigrid.cli.database import actor, asked, must_be_there, vault

    if given.end <= given.start:
        raise Failed("scaigrid: --to must be later than --from", WRONG)
    config = settings(given.file)
    must_be_there(config, given.file)
    from scaigrid.control.rerating import Asked, NoSuch, rerate

    question = Asked(
        start=given.start.timestamp(),
        end=given.end.timestamp(),
        models=tuple(given.model),
        backends=tuple(given.backend),
        tenants=tuple(given.tenant),
        stamped=given.stamped,
        version=given.version,
        apply=given.apply,
        actor=actor(given),
    )
    try:
        done = asked(config, rerate(config, vault(config, look=True), question))
    except NoSuch as error:
        raise Failed(f"scaigrid: {error}", WRONG) from error
    if given.json:
        import msgspec

        print(msgspec.json.encode(_object(done)).decode())
    else:
        for line in _lines(done, apply=given.apply):
            print(line)
    return 0


def _object(done: "Rerated") -> dict[str, object]:
    report = done.report
    return {
        "applied": done.applied,
        "counters": done.counters,
        "rows": report.rows,
        "unknown": report.unknown,
        "changed": _told(report.changed),
        "models": {name: _told(one) for name, one in sorted(report.models.items())},
        "tenants": {name: _told(one) for name, one in sorted(report.tenants.items())},
    }


def _told(one: "Difference") -> dict[str, object]:
    from scaigrid.pricing import to_decimal

    return {
        "rows": one.rows,
        "cost_before": to_decimal(one.cost_before),
        "cost_after": to_decimal(one.cost_after),
        "cost_difference": to_decimal(one.cost_after - one.cost_before),
        "backend_cost_before": to_decimal(one.backend_cost_before),
        "backend_cost_after": to_decimal(one.backend_cost_after),
        "backend_cost_difference": to_decimal(one.backend_cost_after - one.backend_cost_before),
    }


def _lines(done: "Rerated", *, apply: bool) -> Iterator[str]:
    from scaigrid.cli.table import table

    report = done.report
    after = "IS NOW" if apply else "WOULD BE"
    heads = ("ROWS", "COST", after, "DIFFERENCE", "BACKEND COST", after, "DIFFERENCE")
    for title, differences in (("MODEL", report.models), ("TENANT", _named(report.tenants, done.tenants))):
        if differences:
            rows = [(name, *map(str, _told(one).values())) for name, one in sorted(differences.items())]
            yield from table((title, *heads), rows)
            yield ""
    yield f"{report.changed.rows} of {report.rows} billed rows {'cost' if apply else 'would cost'} something else."
    if report.unknown:
        yield f"{report.unknown} rows are of models and backends that have no such price: they stay as they are."
    if report.changed.rows and not apply:
        yield "Nothing was written: repeat it with --apply."
    if (about := _COUNTERS.get(done.counters)) is not None:
        yield about


def _named(differences: Mapping[str, "Difference"], names: Mapping[str, str]) -> dict[str, "Difference"]:
    return {f"{names.get(id_, '')} {id_}".strip(): one for id_, one in differences.items()}


COMMAND = Command(
    name="rerate",
    help="rate what was billed again, after a price has been corrected",
    arguments=_arguments,
    run=_run,
)
