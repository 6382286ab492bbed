"""`scaigrid trace`: what became of one request of a running gateway, step by step."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from scaigrid.cli.command import WRONG, Command, Failed
from scaigrid.cli.paint import harmless, say
from scaigrid.cli.remote import connected, remote_arguments
from scaigrid.cli.table import table
from scaigrid.secrets import masked

_PATH = "/v1/requests"
_WIDTH = 32
"""Signs of the bar that the whole request takes."""


class _Step(NamedTuple):
    """A line of the timeline. Times are milliseconds; None where nobody knows."""

    name: str
    at: float | None
    took: float | None


def _arguments(parser: ArgumentParser) -> None:
    # No option may be shortened: `--key` would be taken for `--key-file`, and somebody would give a key there.
    parser.allow_abbrev = False
    parser.add_argument("request_id", help="the id that the answer has in X-Request-ID")
    remote_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the answer as JSON, for programs")


def _run(given: Namespace) -> int:
    if masked(given.request_id) != given.request_id:
        # It would stand in every log on the way.
        raise Failed("scaigrid: give the id of a request, req_..., not a key", WRONG)
    with connected(given) as remote:
        told = remote.get(f"{_PATH}/{quote(given.request_id, safe='')}")
    if given.json:
        # With escapes for all that is no ASCII: any terminal can show it.
        print(json.dumps(told))
    else:
        say(_lines(told))
    return 0


def _lines(told: Any) -> Iterator[str]:
    ended = told["error_code"] or told["outcome"]
    status = "" if told["status"] is None else f" {told['status']}"
    streamed = ", streamed" if told["stream"] else ""
    yield harmless(
        f"{told['request_id']}: {told['operation']} of {told['model'] or 'no model'}{streamed}:{status} {ended}"
    )
    yield from _of_whom(told)
    if told["source"] != "timeline":
        yield "Nothing was kept of its steps: this is what the ledger knows of its attempts."
    if told["repeats"]:
        yield harmless(f"It was given the answer of {told['repeats']} again.")
    steps = [step for step in _steps(told) if step.at is not None]
    if steps:
        yield ""
        whole = max([told["duration_ms"] or 0.0, *(step.at or 0.0 for step in steps)])
        yield from table(("STEP", "AT MS", "TOOK MS", f"|{'-' * _WIDTH}|"), [_row(step, whole) for step in steps])
    asked = list(_asked(told))
    if asked:
        yield ""
        yield from asked
    sums = list(_sums(told))
    if sums:
        yield ""
        yield from sums


def _of_whom(told: Any) -> Iterator[str]:
    """When, and whose it was: the id, and the name where that is told."""
    yield harmless(f"  at      {told['created_at']}")
    for what in ("tenant", "user", "key"):
        name, id_ = told.get(what), told[f"{what}_id"]
        yield harmless(f"  {what:<8}{id_ or 'none'}{f' ({name})' if name else ''}")


def _steps(told: Any) -> Iterator[_Step]:
    for link in told["links"]:
        yield _Step(link["name"], link["reached_ms"], link["took_ms"])
    for number, one in enumerate(told["attempts"], 1):
        started, ended = one["started_ms"], one["ended_ms"]
        took = None if started is None or ended is None else ended - started
        yield _Step(f"attempt {number}", started, took)
    yield _Step("first byte", told["first_byte_ms"], None)
    yield _Step("settled", told["settled_ms"], None)
    yield _Step("end", told["duration_ms"], None)


def _asked(told: Any) -> Iterator[str]:
    """Each backend that was left out, and each that was asked, by its name where that is told."""
    for one in told["skipped"]:
        yield harmless(f"left out: {_backend(one)}: {one['reason']}")
    for number, one in enumerate(told["attempts"], 1):
        instead = "" if one["model"] == told["model"] else f" for {one['model']}"
        yield harmless(f"attempt {number}: {_backend(one)}{instead}: {_became(one)}")


def _became(one: Any) -> str:
    status = "" if one["provider_status"] is None else f" with {one['provider_status']}"
    parts = [
        one["because"] or "",
        f"waited {one['waited_ms']:.1f} ms" if one["waited_ms"] else "",
        f"{one['outcome']}{status}",
        one["failure"] or "",
        one["error_code"] or "",
    ]
    return ", ".join(part for part in parts if part)


def _backend(one: Any) -> str:
    name: str = one.get("backend") or one["backend_id"]
    return name


def _row(step: _Step, whole: float) -> tuple[str, ...]:
    return step.name, _number(step.at), _number(step.took), _bar(step, whole)


def _bar(step: _Step, whole: float) -> str:
    """Where in the request it lies: at least one sign."""
    if step.at is None or not whole:
        return " " * (_WIDTH + 2)
    begins = min(int(step.at / whole * _WIDTH), _WIDTH - 1)
    length = max(round((step.took or 0.0) / whole * _WIDTH), 1)
    return f"|{(' ' * begins + '#' * length)[:_WIDTH].ljust(_WIDTH)}|"


def _number(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.3f}"


def _sums(told: Any) -> Iterator[str]:
    if told["overhead_ms"] is not None:
        yield f"Gateway {told['overhead_ms']:.3f} ms, providers {told['upstream_ms']:.3f} ms up to the first byte."
    tokens = told["tokens"]
    if tokens is not None:
        yield f"{tokens['input']} tokens in, {tokens['output']} out ({told['usage_source']}), cost {told['cost']}."
    for one in told["limits"]:
        name = f" ({harmless(one['name'])})" if one["name"] else ""
        amounts = f"{one['reserved']} taken, {one['settled']} kept"
        yield f"{one['type']} of the {one['level']}, {one['kind']}{name}: {amounts}"
    if told["client_left"]:
        yield "The client left before the end."


COMMAND = Command(
    name="trace",
    help="show what became of a request of a running gateway, step by step",
    arguments=_arguments,
    run=_run,
)
