"""Plays cases against one gateway, many at a time, and judges them once it has stopped and the ledger is whole."""

import asyncio
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults.case import WAYS, Case, Key, Way
from tests.faults.fault import Fault
from tests.faults.judge import judged
from tests.faults.surfaces import SURFACES, Clients, Surface
from tests.harness.gateway import Gateway, Row
from tests.harness.lanes import UNLIMITED, secret
from tests.harness.provider import Provider

_AT_ONCE: Final = 24
_FRAMES: Final = 3
_USER: Final = "ann"


def cases(
    faults: Iterable[Fault], surfaces: Iterable[str], provider: Provider, rude: Provider
) -> list[tuple[Fault, Case]]:
    """Every way of every fault on these surfaces, streamed and plain. `rude` is for backends that only ever hang up."""
    keys: list[tuple[Fault, Surface, bool, Way]] = [
        (fault, SURFACES[surface], stream, way)
        for fault in faults
        for surface in surfaces
        for stream in (True, False)
        for way in WAYS
        if stream or not fault.not_plain
    ]
    made: list[tuple[Fault, Case]] = []
    for number, (fault, surface, stream, way) in enumerate(keys):
        case = Case(Key(fault.name, surface.name, stream, way), number, surface, provider, rude)
        fault.declare(case)
        made.append((fault, case))
    return made


def play(several: Sequence[tuple[Fault, Case]], directory: Path, **sections: Any) -> None:
    """Plays them in a gateway in this directory, and hands them what the ledger has.

    `sections` are added to what the gateway is configured with.
    """
    config: dict[str, Any] = {
        "log": {"level": "warning"},
        # Far more calls fail here than succeed: the retry budget is for another day.
        "forwarder": {"retry_share": 10, "retries_per_second": 1_000_000},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {_USER: {"limits": UNLIMITED}},
        "keys": {_USER: {"user": _USER, "key": secret(_USER), "limits": UNLIMITED}},
        "providers": {},
        "backends": {},
        "models": {},
    }
    for section, entries in sections.items():
        config[section] = {**config.get(section, {}), **entries}
    for _, case in several:
        case.declare(config)
    gateway = Gateway(config, directory)
    with gateway:
        asyncio.run(_all(several, gateway.url))
        assert gateway.stop() == 0, gateway.stderr
    assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []
    rows = _by_backend(gateway.rows("usage"))
    for _, case in several:
        mine = [placed for id_ in case.backend_ids.values() for placed in rows.get(id_, ())]
        case.take_rows([row for _, row in sorted(mine, key=lambda placed: placed[0])])


async def _all(several: Sequence[tuple[Fault, Case]], url: str) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(fault: Fault, case: Case) -> None:
        async with room:
            case.join(clients)
            case.sound()
            try:
                await fault.show(case)
            except Exception as error:  # noqa: BLE001 - a case that breaks off is one that was not shown
                where = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:])
                case.faults.append(f"broke off: {type(error).__name__}: {error}\n{where}")

    async with Clients(url, secret(_USER)) as clients:
        await asyncio.gather(*(one(fault, case) for fault, case in several))


def _by_backend(rows: Iterable[Row]) -> dict[str, list[tuple[int, Row]]]:
    """The rows of each backend, with their places in the order in which they were written."""
    found: dict[str, list[tuple[int, Row]]] = {}
    for place, row in enumerate(rows):
        found.setdefault(row["backend_id"], []).append((place, row))
    return found


def verdict(case: Case, *, kept_alive: bool = False) -> list[str]:
    """What speaks against a case that was played; nothing where all is as promised.

    `kept_alive`: the head of each answer went out with a comment, ahead of what would be told in it.
    """
    site = msgspec.structs.replace(case.site(), kept_alive=kept_alive)
    found = [
        f"call {number}, of {got.wanted.model}: {fault}"
        for number, got in enumerate(case.got, 1)
        for fault in judged(site, got)
    ]
    return [*case.faults, *found, *(() if case.got else ("no call was made",))]
