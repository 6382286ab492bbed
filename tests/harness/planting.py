"""Things for a fuzzed gateway to have: each that can be made is made, from the document's own example of it.

Ids in the examples are made up, so they are replaced by those of what was made before; whatever needs something that is
not there yet is tried again once it is. What cannot be made at all is told.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import httpx
import msgspec

from scaigrid.api.operation import Operation
from scaigrid.api.operations import OPERATIONS

Node = dict[str, Any]

MODEL: Final = "acme/chat"
"""The model of the examples that the configuration does not have: it stands for the one that is made."""

_ID: Final = re.compile(r"([a-z]+)_[0-9a-f]{32}")
_NAMES: Final = frozenset({"name", "slug", "email", "external_name", "external_id"})
_CREATED: Final = 201


class Planted(msgspec.Struct, frozen=True):
    """What is there: ids by their prefix (`prov`), a model, and for each operation a path that leads somewhere."""

    ids: Mapping[str, str] = {}
    model: str = MODEL
    addresses: Mapping[str, Mapping[str, str]] = {}
    """By the operation (`GET /v1/users/{id}`): the parameters of its path."""

    def put_in(self, value: Any) -> Any:
        """An example, or what was made of it, with things that are there. Of two that become one, one stays."""
        if isinstance(value, dict):
            return {key: self.put_in(one) for key, one in cast("Node", value).items()}
        if isinstance(value, list):
            return self._each(cast("Sequence[Any]", value))
        if isinstance(value, str) and (found := _ID.fullmatch(value)) is not None:
            return self.ids.get(found[1], value)
        return self.model if value == MODEL else value

    def _each(self, values: Sequence[Any]) -> list[Any]:
        seen: set[frozenset[str]] = set()
        kept: list[Any] = []
        for value in values:
            named = frozenset(_ID.findall(str(value)))
            put = self.put_in(value)
            if not named or named not in seen:
                kept.append(put)
            seen.add(named)
        return kept


def plant(client: httpx.Client, mark: str = "planted") -> tuple[Planted, list[str]]:
    """Makes two of each, one to stay and one to be deleted; beside them, why what could not be made could not.

    `mark` is in their names, so that each of several plantings in one gateway finds its names free.
    """
    stays, refused = _made(client, f"{mark}-stays", None)
    goes, refused_too = _made(client, f"{mark}-goes", stays)
    rows = ((f"{row.method.upper()} {row.path}", _address(row, stays, goes)) for row in OPERATIONS)
    addresses = {name: found for name, found in rows if found}
    return msgspec.structs.replace(stays, addresses=addresses), [*refused, *refused_too]


def _made(client: httpx.Client, mark: str, beside: Planted | None) -> tuple[Planted, list[str]]:
    """One of each, named after `mark`, that refer to each other, or to those `beside`, so that nothing needs them."""
    made = Planted()
    waiting = [row for row in OPERATIONS if row.method == "post" and row.status == _CREATED and "{" not in row.path]
    refusals: dict[str, str] = {}
    while waiting:
        left: list[Operation] = []
        for row in waiting:
            body = (beside or made).put_in(_plain(row.body_example))
            answer = client.post(row.path, json=_marked(body, mark))
            if answer.status_code != _CREATED:
                refusals[row.path] = f"{row.path}: {answer.text}"
                left.append(row)
                continue
            data = answer.json()["data"]
            prefix = _prefix_of(data["id"])
            model = data["slug"] if prefix == "model" else made.model
            made = msgspec.structs.replace(made, ids={**made.ids, prefix: data["id"]}, model=model)
        if len(left) == len(waiting):
            break
        waiting = left
    return made, [refusals[row.path] for row in waiting]


def _address(row: Operation, stays: Planted, goes: Planted) -> dict[str, str]:
    of = goes if row.method == "delete" or row.path.endswith("/revoke") else stays
    prefix = _prefix(row.path.partition("/{")[0])
    found = {
        "id": of.ids.get(prefix, stays.ids.get(prefix)),
        "user_id": stays.ids.get("user"),
        "scope": "user",
        "scope_id": stays.ids.get("user"),
        "slug": None if row.method == "get" else of.model,
    }
    return {name: value for name in row.parameters if (value := found.get(name)) is not None}


def _prefix(collection: str) -> str:
    """The prefix of the ids of what is made at a path: that of the example of its answer."""
    made = (row for row in OPERATIONS if (row.path, row.method, row.status) == (collection, "post", _CREATED))
    return next((_prefix_of(_plain(row.example)["data"]["id"]) for row in made), "")


def _prefix_of(id_: str) -> str:
    return id_.partition("_")[0]


def _plain(example: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(example))


def _marked(body: Node, mark: str) -> Node:
    """The same under another name: of two things with one name the second would be refused."""
    return {
        key: f"{mark}-{value}" if key in _NAMES and isinstance(value, str) else value for key, value in body.items()
    }
