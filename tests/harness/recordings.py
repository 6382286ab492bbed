"""Recorded answers of real providers, read from the folder that SCAIGRID_RECORDINGS names; never part of a checkout.

The files are VCR cassettes in YAML: `interactions[].request` and `.response`, a JSON body decoded under `parsed_body`,
any other under `body` (a response's as `body.string`).
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

VARIABLE: Final = "SCAIGRID_RECORDINGS"


class Recorded(msgspec.Struct, frozen=True):
    """One HTTP exchange.

    Header names are lower case. The recorded `content-length`, `content-encoding` and `transfer-encoding` describe the
    bytes of that day, not `response_body`, so a server that replays it has to leave them out.
    """

    file: str
    """Path below the recordings folder, without the suffix."""
    index: int
    """Position in the file, from 0."""
    method: str
    uri: str
    request_headers: tuple[tuple[str, str], ...]
    request_json: Any
    """The decoded request body; None where it is absent or no JSON."""
    status: int
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    """A JSON body as compact JSON in the recorded order of keys, any other as recorded."""

    def __str__(self) -> str:
        return f"{self.file}#{self.index}"


class Cassette(msgspec.Struct, frozen=True):
    """One file: its exchanges, and the names of those that are no HTTP exchange (xAI's SDK speaks gRPC)."""

    exchanges: tuple[Recorded, ...]
    left_out: tuple[str, ...]


class Tally(msgspec.Struct):
    """The names of the exchanges that tests asked for, and of those that they could not have."""

    read: set[str] = set()
    left_out: set[str] = set()

    def add(self, other: "Tally") -> None:
        """Join what another test process read: every process collects the same tests, so by name, not by number."""
        self.read |= other.read
        self.left_out |= other.left_out

    def __str__(self) -> str:
        if not self.read:
            return "recordings: none read" + ("" if folder() else f", {VARIABLE} is unset")
        left_out = f", {len(self.left_out)} left out (gRPC, no HTTP request)" if self.left_out else ""
        return f"recordings: {len(self.read)} exchanges read{left_out}"


TALLY: Final = Tally()
"""What this process handed to tests."""


def folder() -> Path | None:
    """The recordings folder; None where the variable is unset."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def read(path: Path) -> Cassette:
    """One file, its exchanges in their order."""
    root = folder()
    file = str((path.relative_to(root) if root and path.is_relative_to(root) else path).with_suffix(""))
    interactions: list[dict[str, Any]] = yaml.load(path.read_bytes(), yaml.CSafeLoader)["interactions"]
    return Cassette(
        tuple(_recorded(file, index, one) for index, one in enumerate(interactions) if "request" in one),
        tuple(f"{file}#{index}" for index, one in enumerate(interactions) if "request" not in one),
    )


def exchanges(host: str | None, path_suffix: str) -> list[Recorded]:
    """Every recorded exchange with `host` (None: any) whose path, without its query, ends in `path_suffix`.

    Empty where the variable is unset. Where it is set, finding none is a LookupError: a claim must not pass unread.
    """
    root = folder()
    if root is None:
        return []
    cassettes = [_read_once(path) for path in _paths(root)]
    found = [
        one
        for cassette in cassettes
        for one in cassette.exchanges
        if (host is None or urlsplit(one.uri).hostname == host) and urlsplit(one.uri).path.endswith(path_suffix)
    ]
    if not found:
        raise LookupError(f"no recorded exchange with {host or 'any host'} on a path ending in {path_suffix!r}")
    TALLY.read.update(map(str, found))
    TALLY.left_out.update(name for cassette in cassettes for name in cassette.left_out)
    return found


def cases(host: str | None, path_suffix: str) -> list[pytest.ParameterSet]:
    """`exchanges` as values for `pytest.mark.parametrize`, each with its name.

    Where the variable is unset, one skipped case remains, so that the summary names what was not run.
    """
    if folder() is None:
        reason = f"{VARIABLE} is unset, so {host or 'any host'} {path_suffix} is not replayed"
        return [pytest.param(None, id="not-run", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(one, id=str(one)) for one in exchanges(host, path_suffix)]


@cache
def _paths(root: Path) -> tuple[Path, ...]:
    return tuple(sorted(root.rglob("*.yaml")))


_read_once = cache(read)


def _recorded(file: str, index: int, interaction: dict[str, Any]) -> Recorded:
    request, response = interaction["request"], interaction["response"]
    return Recorded(
        file=file,
        index=index,
        method=request["method"],
        uri=request["uri"],
        request_headers=_pairs(request["headers"]),
        request_json=_decoded(request),
        status=response["status"]["code"],
        response_headers=_pairs(response["headers"]),
        response_body=_body(response),
    )


def _pairs(headers: dict[str, list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, values in headers.items() for value in values)


def _decoded(request: dict[str, Any]) -> Any:
    body = request.get("parsed_body", request.get("body"))
    if not isinstance(body, str):
        return body
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return None


def _body(response: dict[str, Any]) -> bytes:
    if "parsed_body" in response:
        return json.dumps(response["parsed_body"], ensure_ascii=False, separators=(",", ":")).encode()
    text: str | bytes = response["body"]["string"]
    return text.encode() if isinstance(text, str) else text
