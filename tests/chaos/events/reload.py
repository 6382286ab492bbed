"""The configuration file changes under load, to good and to wrong: what is good is in force soon, and no call fails."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Crowd
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

SOON: Final = 5.0
"""Seconds within which a change is in force."""
_NAMED: Final = re.compile(r"gateway\.yaml:\d+: users\.wrong\.tenant: ")
_METRIC: Final = "scaigrid_config_reloads"
_clock = SystemClock()


class Seen(msgspec.Struct, kw_only=True):
    applied: list[float]
    """Seconds until each good change was in force."""
    refused: int
    """Wrong files that were told in the log."""
    named: int
    """Of those: with the line and the key."""
    counted: float
    """Of those: in the metric."""
    written: int
    """Wrong files."""
    failed: Sequence[str]
    """What callers were told that were not served."""
    books: Books


def judged(seen: Seen) -> Found:
    found = seen.books.found()
    told = Found(faults=found.faults)
    slowest = max(seen.applied)
    told.measured = [
        (
            f"{len(seen.applied)} good files, in force within {slowest:.2f} s; {seen.written} wrong ones kept the old, "
            f"{seen.named} named line and key, {seen.counted:.0f} in the metric"
        ),
        f"{seen.books.finished} calls served meanwhile, {len(seen.failed)} failed",
    ]
    told.expect(slowest <= SOON, f"a change took {slowest:.1f} s")
    told.expect(seen.refused == seen.written, f"{seen.refused} of {seen.written} wrong files were told")
    told.expect(seen.named == seen.written, f"{seen.named} of {seen.written} wrong files were told by line and key")
    told.expect(seen.counted == seen.written, f"the metric has {seen.counted:.0f} of {seen.written} wrong files")
    told.expect(not seen.failed, f"{len(seen.failed)} calls failed: {sorted(set(seen.failed))}")
    return told


def show(room: Room) -> Found:
    url = room.provider.at("/reload/v1").always(Till()).url
    config = site.config(url, {"load": {}})
    chance = dice("reload")
    applied: list[float] = []
    files = room.pick(1, 4)

    def order() -> Order:
        return some(chance, "load", seconds=0.02)

    with Gateway(config, room.place("gateway")) as gateway, Crowd([gateway.port], order, callers=4) as crowd:
        for number in range(files):
            crowd.comes_to(crowd.served + 10)
            applied.append(_applied(gateway, config, f"new{number}"))
            wrong = {**config, "users": {**config["users"], "wrong": {"tenant": f"nobody{number}"}}}
            _save(gateway, wrong)
            _told(gateway, number + 1)
        answers = crowd.stop()
        told = _refusals(gateway)
        counted = sum(gateway.metrics().value(_METRIC, outcome=outcome) for outcome in ("invalid", "refused", "failed"))
        gateway.stop()
    return judged(
        Seen(
            applied=applied,
            refused=len(told),
            named=sum(bool(_NAMED.search(" ".join(line["errors"]))) for line in told),
            counted=counted,
            written=files,
            failed=[f"{one.status} {one.code}" for one in answers if not one.served],
            books=compared(site.rows(site.database_of(gateway)), answers, crowd.asked),
        )
    )


def _applied(gateway: Gateway, config: dict[str, Any], name: str) -> float:
    """Adds a caller; the seconds until it is known."""
    config["users"][name] = {"limits": UNLIMITED}
    config["keys"][name] = {"user": name, "key": secret(name), "limits": UNLIMITED}
    began = _clock.monotonic()
    _save(gateway, config)
    with http_client(gateway, secret(name)) as client:

        def known() -> bool:
            # Refused for its body alone: it costs nothing, and whoever is not known is told that first.
            return client.post(CHAT_URL["native"], json=chat("m", messages=[])).status_code == 422

        eventually(known, f"{name} is known")
    return _clock.monotonic() - began


def _save(gateway: Gateway, config: dict[str, Any]) -> None:
    """As an editor does it: all at once."""
    server = {**config["server"], "data_dir": str(gateway.data)}
    draft = gateway.file.with_suffix(".draft")
    draft.write_text(json.dumps({**config, "server": server}, indent=1))
    draft.replace(gateway.file)


def _told(gateway: Gateway, times: int) -> None:
    eventually(lambda: len(_refusals(gateway)) >= times, "the wrong file is told")


def _refusals(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.lines() if line["event"] == "config_not_reloaded"]
