"""`python -m tests.conformance`: plays every recording and says which pass, which do not, which are not run, and why.

The last line is one JSON object, `{"passed": ..., "failed": ..., "not_run": ...}`, that counts recorded exchanges: one
has failed where any of its cases has, and is not run where none of them was. `-v` names what is not run; `--write`
writes the matrix into the documentation and to where the gateway answers with it. Further arguments go to pytest.
"""

import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import pytest

from tests.conformance import cases
from tests.harness import recordings

if TYPE_CHECKING:
    from tests.conformance.plans import Planned

Outcome = Literal["passed", "failed", "not_run"]
_LONGEST: Final = 600


class Case(msgspec.Struct, frozen=True):
    """One test as it ended; `reason` is empty where it passed."""

    test: str
    name: str
    outcome: str
    reason: str


class Tally:
    """A plugin of pytest that keeps how each case ended."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.errors: list[str] = []
        self._ended: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            test, _, name = report.nodeid.rpartition("::")[2].partition("[")
            case = Case(test, name.removesuffix("]"), report.outcome, _reason(report))
            self.cases.append(case)
            self._ended[case.name].add(case.outcome)

    def outcome(self, planned: "Planned") -> Outcome:
        """How a play ended; that of the whole gateway counts too."""
        ended = self._ended[planned.name]
        if "failed" in ended:
            return "failed"
        return "passed" if "passed" in ended else "not_run"


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext if crash is None else str(crash.message).removeprefix("AssertionError: ")
    return text[:_LONGEST] if report.failed else ""


def counted(names: Iterable[str], played: dict[str, set[Outcome]]) -> dict[str, int]:
    """The exchanges of these names by how they ended; `played` has what came of each of their plays."""
    ended = [played.get(name, set()) for name in names]
    failed = sum("failed" in one for one in ended)
    not_run = sum(one <= {"not_run"} for one in ended)
    return {"passed": len(ended) - failed - not_run, "failed": failed, "not_run": not_run}


def _lines(tally: Tally, *, verbose: bool) -> Iterator[str]:
    """The report."""
    from tests.conformance import matrix, plans, stability

    outcomes: dict[str, Outcome] = {planned.name: tally.outcome(planned) for planned in plans.everything()}
    yield "-- matrix: exchanges that passed (* fixtures alone), in brackets those that a dialect has no words for"
    yield from matrix.lines(matrix.cells(lambda planned: outcomes[planned.name]))
    yield ""
    yield "-- bodies: what the first and the second turn of a conversation have in common"
    yield from stability.report()
    yield "-- not run"
    skipped = [case for case in tally.cases if case.outcome == "skipped"]
    for (test, reason), count in sorted(Counter((case.test, case.reason) for case in skipped).items()):
        yield f"{count:4}  {test}: {reason}"
        if verbose:
            yield from (f"        {case.name}" for case in skipped if (case.test, case.reason) == (test, reason))
    yield "-- failed"
    for case in tally.cases:
        if case.outcome == "failed":
            yield f"{case.test}[{case.name}]\n      {case.reason}"
    yield from tally.errors
    yield "-- cases"
    for test, ended in sorted(_by_test(tally.cases).items()):
        yield f"{ended['passed']:4} passed {ended['failed']:4} failed {ended['skipped']:4} not run  {test}"
    played: defaultdict[str, set[Outcome]] = defaultdict(set)
    for planned in plans.everything():
        played[str(planned.recorded)].add(outcomes[planned.name])
    yield f"-- fixtures of this project: {json.dumps(counted(map(str, cases.fixtures()), played))}"
    yield "-- recordings of real providers" + ("" if recordings.folder() else f": {recordings.VARIABLE} is unset")
    yield json.dumps(counted({*map(str, cases.recorded()), *recordings.TALLY.left_out}, played))


def _by_test(ended: Sequence[Case]) -> dict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in ended:
        found[case.test][case.outcome] += 1
    return found


def main(arguments: Sequence[str]) -> int:
    """Pytest's exit code."""
    tally = Tally()
    said = io.StringIO()
    further = [one for one in arguments if one not in ("--write", "-v")]
    if "--write" in arguments:
        # What is about to be written is not yet what lies there.
        further += ["-k", "not of_the_suite"]
    with redirect_stdout(said):
        code = pytest.main([str(Path(__file__).parent), *further], plugins=[tally])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.stderr.write(said.getvalue())
    if "--write" in arguments:
        # What knows hypothesis may only be read once pytest has prepared itself for it.
        from tests.conformance import matrix

        matrix.written(matrix.cells(tally.outcome))
    for line in _lines(tally, verbose="-v" in arguments):
        sys.stdout.write(f"{line}\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
