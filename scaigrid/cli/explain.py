"""`scaigrid explain`: what would become of a call of a running gateway, without making it."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaigrid.cli.command import WRONG, Command, Failed
from scaigrid.cli.paint import harmless, say
from scaigrid.cli.remote import connected, remote_arguments
from scaigrid.cli.table import table
from scaigrid.secrets import masked

_PATH = "/v1/routing/explain"
_PERCENT = 100
_BECAUSE = {"context_too_long": "is too long", "content_refused": "is refused for its content"}
REFUSED = 3
"""The exit code where the call would be refused; 1 and 2 say what they say everywhere."""


def _arguments(parser: ArgumentParser) -> None:
    # No option may be shortened: `--key` would be taken for another one, and somebody would give a key there.
    parser.allow_abbrev = False
    parser.epilog = (
        f"exit code: 0 where the call would be made, {REFUSED} where it would be refused, 1 where the gateway did not "
        "tell, 2 where the command line is wrong"
    )
    parser.add_argument("model", help="the slug of the model")
    parser.add_argument("--key-id", metavar="ID", help="the API key that would be used, by its id; left out: yours")
    parser.add_argument("--dialect", choices=("native", "openai", "anthropic"), help="in which it would be made")
    parser.add_argument("--path", help="where it would be sent: /oai/v1/responses")
    parser.add_argument("--request", type=Path, metavar="FILE", help="the body that would be sent, JSON")
    parser.add_argument("--session", help="what the header X-ScaiGrid-Session would say")
    remote_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the answer as JSON, for programs")


def _run(given: Namespace) -> int:
    if given.key_id is not None and masked(given.key_id) != given.key_id:
        raise Failed("scaigrid: --key-id: give the id of the key, apikey_..., not the key", WRONG)
    question: dict[str, Any] = {"model": given.model}
    for name in ("key_id", "dialect", "path", "session"):
        if getattr(given, name) is not None:
            question[name] = getattr(given, name)
    if given.request is not None:
        question["request"] = _body(given.request)
    with connected(given) as remote:
        told = remote.post(_PATH, question)
    if given.json:
        # With escapes for all that is no ASCII: any terminal can show it.
        print(json.dumps(told))
    else:
        say(_lines(told))
    return 0 if told["refusal"] is None else REFUSED


def _body(file: Path) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no JSON object"
        raise Failed(f"scaigrid: --request: {masked(harmless(str(file)))}: {why}", WRONG) from error


def _lines(told: Any) -> Iterator[str]:
    refusal = told["refusal"]
    named = f"{harmless(told['model'])} at {harmless(told['path'])}"
    if refusal is None:
        yield f"A call of {named} would be made."
    else:
        yield f"A call of {named} would be refused."
        for one in told["refusals"]:
            yield harmless(f"  {_refusal(one)}")
    route = told["route"]
    if route is not None:
        yield ""
        yield f"Backends, {route['strategy']}:"
        heads = ("RANK", "TIER", "BACKEND", "HEALTH", "SHARE", "LEFT OUT BECAUSE")
        yield from table(heads, [_target(one) for one in route["targets"]])
    if told["limits"]:
        yield ""
        yield "Limits and budgets:"
        heads = ("LEVEL", "OF", "ASKED", "LEFT", "LIMIT", "")
        yield from table(heads, [_limit(one) for one in told["limits"]])
    instead = told.get("stand_ins")
    if instead:
        yield ""
        yield "Models that stand in:"
        yield from table(("MODEL", "IF THE CALL", "WOULD BE ASKED"), list(_stand_ins(instead)))
    reserved = told["reserved"]
    if reserved is not None:
        yield ""
        yield f"It can use {reserved['tokens']} tokens, and cost {reserved['cost']}, at the most."


def _refusal(one: Any) -> str:
    details = "".join(f" ({detail['field']}: {detail['message']})" for detail in one["details"])
    return f"{one['status']} {one['code']}: {one['message']}{details}"


def _stand_ins(told: Any) -> Iterator[tuple[str, str, str]]:
    """One row each, and for one that would not be asked as many as there are reasons."""
    for one in told:
        reserved, because = one["reserved"], str(_BECAUSE.get(one["because"], one["because"]))
        cost = "" if reserved is None else f", for {reserved['cost']} at the most"
        first, *others = [f"no: {_refusal(why)}" for why in one["refusals"]] or [f"yes{cost}"]
        yield one["model"], because, first
        yield from ((" ", " ", other) for other in others)


def _target(one: Any) -> tuple[str, ...]:
    share = one.get("share")
    return (
        "" if one["rank"] is None else str(one["rank"]),
        str(one["tier"]),
        one.get("backend") or one["backend_id"],
        one["health"],
        "" if share is None else f"{share * _PERCENT:.0f} %",
        one["reason"] or "",
    )


def _limit(one: Any) -> tuple[str, ...]:
    what = one["kind"]
    if one["name"]:
        what += f" ({one['name']})"
    elif one["period_seconds"]:
        what += f" in {one['period_seconds']:g} s"
    told = "refuses" if one["refuses"] else "lets it pass"
    return one["level"], what, one["asked"], one["left"] or "", one["limit"] or "", told


COMMAND = Command(
    name="explain",
    help="say what would become of a call of a running gateway, without making it",
    arguments=_arguments,
    run=_run,
)
