"""`scaigrid keys`: API keys of a running gateway: made, listed, rotated and revoked over its API."""

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from scaigrid.cli.command import Command, Failed
from scaigrid.cli.paint import harmless
from scaigrid.cli.remote import Remote, connected, remote_arguments
from scaigrid.cli.table import table

_PATH = "/v1/api-keys"
_ONCE = "This is the only time that it is shown: only its SHA-256 is kept."


def _arguments(parser: ArgumentParser) -> None:
    # No option may be shortened: `--key` would be taken for `--key-file`, and somebody would give a key there.
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", allow_abbrev=False, help="make a key, and show it once")
    create.add_argument("name", help="for people: what the key is for")
    create.add_argument("--user", help="whose it is, by id or name; left out: yours")
    create.add_argument("--expires-at", metavar="TIME", help="ISO 8601 with an offset: 2027-01-31T00:00:00Z")
    create.add_argument(
        "--scope", action="append", metavar="PERMISSION", help="carry this permission alone; repeatable"
    )
    create.add_argument("--model", action="append", metavar="SLUG", help="use this model alone; repeatable")
    create.add_argument("--address", action="append", metavar="NET", help="be used from there alone; repeatable")
    create.add_argument("--requests-per-minute", type=int, metavar="N", help="the most requests in a minute")
    listing = actions.add_parser("list", allow_abbrev=False, help="list the keys that you see")
    listing.add_argument("--user", help="those of one user, by id or name")
    listing.add_argument("--status", choices=("active", "expired", "revoked"), help="those of one status")
    rotate = actions.add_parser("rotate", allow_abbrev=False, help="give a key another text, and show it once")
    rotate.add_argument("id", help="the id of the key")
    rotate.add_argument(
        "--overlap", type=int, default=0, metavar="SECONDS", help="for how long the old one still opens"
    )
    revoke = actions.add_parser("revoke", allow_abbrev=False, help="refuse a key from now on")
    revoke.add_argument("id", help="the id of the key")
    for action, run in ((create, _create), (listing, _list), (rotate, _rotate), (revoke, _revoke)):
        remote_arguments(action)
        form = action.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="the answer as JSON, for programs")
        if action in (create, rotate):
            form.add_argument("--quiet", action="store_true", help="the key on standard output, and nothing else")
        action.set_defaults(action=run)


def _run(given: Namespace) -> int:
    with connected(given) as remote:
        given.action(remote, given)
    return 0


def _create(remote: Remote, given: Namespace) -> None:
    body: dict[str, Any] = {"name": given.name}
    if given.user:
        body["assigned_user_id"] = _user(remote, given.user)
    if given.requests_per_minute is not None:
        body["limits"] = {"requests_per_minute": given.requests_per_minute}
    lists = {"scopes": given.scope, "models": given.model, "addresses": given.address}
    body |= {name: value for name, value in lists.items() if value}
    if given.expires_at:
        body["expires_at"] = given.expires_at
    _show(remote.post(_PATH, body), given, "Made")


def _list(remote: Remote, given: Namespace) -> None:
    user = _user(remote, given.user) if given.user else None
    items = list(remote.items(_PATH, user_id=user, status=given.status, limit="1000"))
    if given.json:
        _print_json(items)
        return
    heads = ("ID", "NAME", "KEY", "USER", "STATUS", "LAST USED", "EXPIRES")
    for line in table(heads, [_row(item) for item in items]):
        print(line)


def _rotate(remote: Remote, given: Namespace) -> None:
    made = remote.post(f"{_PATH}/{_segment(given.id)}/rotate", {"overlap_seconds": given.overlap})
    _show(made, given, "Rotated")
    if made["previous_until"] and not (given.json or given.quiet):
        print(f"The old one still opens until {_time(made['previous_until'])}.", file=sys.stderr)


def _revoke(remote: Remote, given: Namespace) -> None:
    item = remote.post(f"{_PATH}/{_segment(given.id)}/revoke", {})
    if given.json:
        _print_json(item)
    else:
        print(f"Revoked {harmless(item['name'])} ({item['id']}).")


def _user(remote: Remote, text: str) -> str:
    """The id of a user, given by id or by name."""
    if text.startswith("user_"):
        return text
    found = list(remote.items("/v1/users", name=text))
    if len(found) != 1:
        what = "is no user's that you see" if not found else "is that of several users: give the id, or --tenant"
        raise Failed(f"scaigrid: --user: the name {harmless(text)} {what}")
    return str(found[0]["id"])


def _show(made: Any, given: Namespace, done: str) -> None:
    """The key alone goes to standard output where nothing else is wanted there; a person reads the rest beside it."""
    if given.json:
        _print_json(made)
        return
    if not given.quiet:
        print(f"{done} {harmless(made['name'])} ({made['id']}) of {made['user_id']}. {_ONCE}", file=sys.stderr)
    print(made["key"])


def _row(item: Any) -> tuple[str, ...]:
    prefix = f"{item['prefix']}..." if item["prefix"] else ""
    used, ends = _time(item["last_used_at"]), _time(item["expires_at"])
    return item["id"], item["name"], prefix, item["user_id"], item["status"], used or "never", ends or "never"


def _time(moment: str | None) -> str:
    """To the second."""
    return "" if moment is None else f"{moment[:19]}Z"


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode())


COMMAND = Command(
    name="keys", help="make, list, rotate and revoke API keys of a running gateway", arguments=_arguments, run=_run
)
