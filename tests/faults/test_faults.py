"""Each of the sixteen faults ends as promised on every surface that can chat, streamed and plain; and could fail."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.case import WAYS, Case
from tests.faults.judge import Got, judged
from tests.faults.kinds import FAULTS
from tests.faults.play import cases, play, verdict
from tests.faults.surfaces import SURFACES
from tests.harness.provider import Provider


@pytest.mark.parametrize("surface", SURFACES)
def test_all_sixteen_end_as_promised_and_their_judge_finds_what_is_wrong(surface: str, tmp_path: Path) -> None:
    """One test a surface, with a gateway of its own: every fault, streamed and plain, and every way of it.

    Then each sample that the gateway gave is made wrong in one place, and the judge has to say so.
    """
    with Provider() as provider, Provider() as rude:
        several = cases(FAULTS, [surface], provider, rude)
        play(several, tmp_path)
    assert {case.key: found for _, case in several if (found := verdict(case))} == {}
    assert len(several) == len(FAULTS) * len(WAYS) * 2
    assert [missed for _, case in several for missed in unnoticed(case)] == []


def test_silence_that_is_filled_with_comments_ends_as_promised_too(tmp_path: Path) -> None:
    """No client takes them for an answer: the next backend's is whole, and a failure is told inside the stream."""
    chosen = [fault for fault in FAULTS if fault.name in ("silent", "slow", "stalled")]
    with Provider() as provider, Provider() as rude:
        several = [one for one in cases(chosen, SURFACES, provider, rude) if one[1].stream]
        play(several, tmp_path, forwarder={"keep_alive_seconds": 0.02})
    assert {case.key: found for _, case in several if (found := verdict(case, kept_alive=True))} == {}
    assert any(verdict(case) for _, case in several), "comments went out"


def unnoticed(case: Case) -> Iterator[str]:
    """What the judge does not see."""
    site = case.site()
    for got in case.got:
        for wrong, change in WRONG.items():
            sample = change(got)
            if sample is not None and judged(site, sample) == []:
                yield f"{case.key}: {wrong}: {got.wanted}"


# -- teeth: what is made wrong in one place of a sample that the gateway gave ----------------------------------------


def rows(got: Got, change: Callable[[dict[str, Any]], dict[str, Any]], *, served: bool) -> Got | None:
    """The same with the last row changed that serves, or that does not; None where there is none."""
    places = [place for place, row in enumerate(got.rows) if bool(row["serving"]) is served]
    if not places:
        return None
    changed = list(got.rows)
    changed[places[-1]] = {**changed[places[-1]], **change(dict(changed[places[-1]]))}
    return msgspec.structs.replace(got, rows=changed)


def hears(got: Got, **otherwise: Any) -> Got:
    return msgspec.structs.replace(got, heard=msgspec.structs.replace(got.heard, **otherwise))


def cut_short(got: Got) -> Got | None:
    """A client that takes what it has for all there is."""
    if got.wanted.told is None:
        return hears(got, text=got.heard.text[:-1])
    return hears(got, looks_complete=True, raised="")


def asked_more(got: Got) -> Got:
    backend = next(iter(got.asked), "first")
    return msgspec.structs.replace(got, asked={**got.asked, backend: got.asked.get(backend, 0) + 1})


WRONG: dict[str, Callable[[Got], Got | None]] = {
    "a part is taken for the whole": cut_short,
    "nobody noticed": lambda got: None if got.wanted.told is None else hears(got, raised="", code=None),
    "another code": lambda got: hears(got, code="INTERNAL_ERROR", looks_complete=False, raised="APIError"),
    "another status": lambda got: None if got.wanted.told is None else hears(got, status=500),
    "what came twice": lambda got: hears(got, text=got.heard.text + "From the "),
    "one more call": asked_more,
    "no call at all": lambda got: msgspec.structs.replace(got, asked={}) if got.asked else None,
    "a row too many": lambda got: msgspec.structs.replace(got, rows=[*got.rows, *got.rows[-1:]]) if got.rows else None,
    "a row is missing": lambda got: msgspec.structs.replace(got, rows=got.rows[:-1]) if got.rows else None,
    "another backend served": lambda got: rows(got, lambda row: {"backend_id": "be_another"}, served=True),
    "another model served": lambda got: rows(got, lambda row: {"model": "another"}, served=True),
    "another price": lambda got: rows(got, lambda row: {"cost": row["cost"] + 1}, served=True),
    "another cost": lambda got: rows(got, lambda row: {"backend_cost": row["backend_cost"] + 1}, served=True),
    "a failure is billed": lambda got: rows(got, lambda row: {"cost": 1}, served=False),
    "a failure serves": lambda got: rows(got, lambda row: {"serving": 1}, served=False),
    "a failure is called well": lambda got: rows(got, lambda row: {"outcome": "ok", "error_code": None}, served=False),
}
