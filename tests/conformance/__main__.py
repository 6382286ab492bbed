"""`python -m tests.conformance`: plays every recording and says which pass, which do not, which are not run, and why.

The last line is one JSON object, `{"passed": ..., "failed": ..., "not_run": ...}`, that counts recorded exchanges: one
has failed where any of its cases has, and is not run where none of them was. Further arguments go to pytest.
"""

import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.conformance import cases
from tests.harness import recordings

_EXCHANGE: Final = re.compile(r".*#\d+")
_LONGEST: Final = 600


class Case(msgspec.Struct, frozen=True):
    """One test as it ended; `reason` is empty where it passed."""

    test: str
    name: str
    outcome: str
    reason: str

    @property
    def exchange(self) -> str:
        """The exchange that it played; of no recording's name for a test of the suite itself."""
        found = _EXCHANGE.match(self.name)
        return found[0] if found else ""


class Tally:
    """A plugin of pytest that keeps how each case ended."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.errors: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            test, _, name = report.nodeid.rpartition("::")[2].partition("[")
            self.cases.append(Case(test, name.removesuffix("]"), report.outcome, _reason(report)))


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext if crash is None else str(crash.message).removeprefix("AssertionError: ")
    return text[:_LONGEST] if report.failed else ""


def _counted(names: Iterable[str], ended: Sequence[Case]) -> dict[str, int]:
    outcomes: dict[str, set[str]] = {name: set() for name in names}
    for case in ended:
        outcomes.get(case.exchange, set()).add(case.outcome)
    failed = sum("failed" in one for one in outcomes.values())
    not_run = sum(one <= {"skipped"} for one in outcomes.values())
    return {"passed": len(outcomes) - failed - not_run, "failed": failed, "not_run": not_run}


def _lines(tally: Tally) -> Iterator[str]:
    """The report."""
    failed = [case for case in tally.cases if case.outcome == "failed"]
    skipped = [case for case in tally.cases if case.outcome == "skipped"]
    yield "-- not run"
    for (test, reason), count in sorted(Counter((case.test, case.reason) for case in skipped).items()):
        yield f"{count:4}  {test}: {reason}"
    yield "-- failed"
    for case in failed:
        yield f"{case.test}[{case.name}]\n      {case.reason}"
    yield from tally.errors
    yield "-- cases"
    for test, outcomes in sorted(_by_test(tally.cases).items()):
        yield f"{outcomes['passed']:4} passed {outcomes['failed']:4} failed {outcomes['skipped']:4} not run  {test}"
    yield f"-- fixtures of this project: {_counted(map(str, cases.fixtures()), tally.cases)}"
    yield "-- recordings of real providers" + ("" if recordings.folder() else f": {recordings.VARIABLE} is unset")
    names = {*map(str, cases.recorded()), *recordings.TALLY.left_out}
    yield json.dumps(_counted(names, tally.cases))


def _by_test(ended: Sequence[Case]) -> dict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in ended:
        found[case.test][case.outcome] += 1
    return found


def main(arguments: Sequence[str]) -> int:
    """Pytest's exit code."""
    tally = Tally()
    said = io.StringIO()
    with redirect_stdout(said):
        code = pytest.main([str(Path(__file__).parent), *arguments], plugins=[tally])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.stderr.write(said.getvalue())
    for line in _lines(tally):
        sys.stdout.write(f"{line}\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
