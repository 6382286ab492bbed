"""The matrix: which feature of which provider is proved over which dialect, by how many exchanges.

A unit is one exchange in one mode, passed through or translated. It has failed where any of its plays has, and is not
run where its call cannot be said, even if its answer alone came through.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from adapters import ADAPTERS
from tests.conformance import cases, features, plans
from tests.conformance.dialects import CLIENTS
from tests.conformance.plans import Mode, Planned

Outcome = Literal["passed", "failed", "not_run"]
Outcomes = Callable[[Planned], Outcome]
ROOT: Final = Path(__file__).parents[2]
JSON: Final = ROOT / "scaigrid/api/conformance.json"
DOCUMENT: Final = ROOT / "docs/conformance.md"
_BEGIN: Final = "<!-- the matrix, written by `just conformance --write` -->"
_MODES: Final[Mapping[Mode, Literal["passthrough", "translation"]]] = {
    "passed": "passthrough",
    "translated": "translation",
    "answer": "translation",
}
_SOURCES: Final = ("recorded", "fixture")

Key = tuple[str, str, str, Literal["passthrough", "translation"], Literal["recorded", "fixture"]]


class Cell(msgspec.Struct, frozen=True):
    """One feature of one provider over one dialect in one mode; `fixture` is of the project's own exchanges."""

    provider: str
    dialect: str
    feature: str
    mode: Literal["passthrough", "translation"]
    proof: Literal["recorded", "fixture"]
    passed: int
    failed: int
    not_run: int


class Cells(msgspec.Struct, frozen=True):
    cells: tuple[Cell, ...]


@cache
def _features() -> Mapping[str, tuple[str, ...]]:
    """Those of each play, by its name."""
    return {planned.name: features.of(planned) for planned in plans.everything()}


def as_planned(planned: Planned) -> Outcome:
    """What comes of a play where no test fails."""
    return "not_run" if planned.not_run is not None else "passed"


def cells(outcome: Outcomes = as_planned) -> Cells:
    """All of them, in an order of their own."""
    units: defaultdict[Key, defaultdict[str, set[Outcome]]] = defaultdict(lambda: defaultdict(set))
    for planned in plans.everything():
        ended = outcome(planned)
        if planned.mode == "answer" and ended == "passed":
            continue
        for feature in _features()[planned.name]:
            key = (planned.provider, planned.client.name, feature, _MODES[planned.mode], _proof(planned, feature))
            units[key][str(planned.recorded)].add(ended)
    return Cells(tuple(_cell(key, units[key]) for key in sorted(units, key=_order)))


def _proof(planned: Planned, feature: str) -> Literal["recorded", "fixture"]:
    """A stream that was made here of an answer is none that was recorded."""
    made_here = feature == "stream" and planned.told_as_stream
    return "fixture" if made_here or cases.is_fixture(planned.recorded) else "recorded"


def _order(key: Key) -> tuple[str, int, int, str, int]:
    provider, dialect, feature, mode, proof = key
    dialects = [client.name for client in CLIENTS]
    return provider, dialects.index(dialect), features.ALL.index(feature), mode, _SOURCES.index(proof)


def _cell(key: Key, units: Mapping[str, set[Outcome]]) -> Cell:
    failed = sum("failed" in ended for ended in units.values())
    not_run = sum(ended == {"not_run"} for ended in units.values())
    return Cell(*key, len(units) - failed - not_run, failed, not_run)


# -- as text ---------------------------------------------------------------------------------------------------------


def lines(found: Cells) -> Iterator[str]:
    """A table for each dialect: a row for each provider, a column for each feature."""
    for client in CLIENTS:
        of_dialect = [cell for cell in found.cells if cell.dialect == client.name]
        yield ""
        yield f"### {client.title}"
        yield ""
        yield f"| provider | {' | '.join(features.ALL)} |"
        yield f"|{'---|' * (len(features.ALL) + 1)}"
        for provider in sorted({cell.provider for cell in of_dialect}):
            of_provider = [cell for cell in of_dialect if cell.provider == provider]
            row = [_shown([cell for cell in of_provider if cell.feature == feature]) for feature in features.ALL]
            yield f"| {provider} | {' | '.join(row)} |"


def _shown(found: Sequence[Cell]) -> str:
    """How many passed, with a star where all of them are fixtures; in brackets those that are not run."""
    passed, failed, left = (sum(getattr(cell, name) for cell in found) for name in ("passed", "failed", "not_run"))
    mark = "" if any(cell.proof == "recorded" and cell.passed for cell in found) else "*"
    said = [f"{passed}{mark}"] if passed else []
    said += [f"({left})"] if left else []
    said += [f"**{failed} failed**"] if failed else []
    return " ".join(said)


def document(found: Cells, text: str) -> str:
    """The document with the matrix at its end."""
    return text.partition(_BEGIN)[0] + _BEGIN + "\n" + "\n".join(lines(found)) + "\n"


def encoded(found: Cells) -> bytes:
    """The file that the gateway answers with, a cell a line."""
    made = b",\n".join(msgspec.json.encode(cell) for cell in found.cells)
    return b'{"cells":[\n%b\n]}\n' % made


def written(found: Cells) -> None:
    JSON.write_bytes(encoded(found))
    DOCUMENT.write_text(document(found, DOCUMENT.read_text()))


def providers() -> list[str]:
    """Those that are asked over HTTP."""
    return sorted(name for name, adapter in ADAPTERS.items() if adapter.transport == "http")
