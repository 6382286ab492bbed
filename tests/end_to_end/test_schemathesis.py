"""Every operation keeps to its document, whatever is asked of it, on either kind of database.

`just schemathesis` looks for longer, with other requests each time: SCHEMATHESIS_SECONDS is for how long, in each test.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaigrid.api.operation import Area
from scaigrid.api.operations import AREAS
from tests.harness import databases
from tests.harness.fuzzing import KEY, Run, configuration, run
from tests.harness.gateway import Gateway
from tests.harness.planting import plant

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))

PARTS = 3
"""So that as many workers have something to do."""

INDEPENDENT = {"Inference", "Operations", "Responses"}
"""Areas whose answers come from no database."""

_runs = count(1)

Gateways = Callable[[databases.Kind], Gateway]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    """One gateway for each kind of database; in the end their logs know of nothing unexpected."""
    with ExitStack() as running:
        begun: list[Gateway] = []

        @cache
        def started(kind: databases.Kind) -> Gateway:
            directory = tmp_path_factory.mktemp(kind)
            config: dict[str, Any] = configuration(databases.fresh(kind, directory))
            begun.append(running.enter_context(Gateway(config, directory / "gateway")))
            return begun[-1]

        yield started
        for gateway in begun:
            assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


@pytest.mark.parametrize("part", range(PARTS))
def test_every_operation_keeps_to_its_document(gateways: Gateways, part: int, tmp_path: Path) -> None:
    areas = sorted(AREAS, key=lambda area: len(area.operations))[part::PARTS]
    done = fuzzed(gateways("sqlite"), tmp_path, *of(areas), "--phases=examples,coverage,fuzzing")
    assert done.operations == sum(len(area.operations) for area in areas)
    assert done.code == 0, done.text


def test_every_operation_keeps_to_it_on_another_database(gateways: Gateways, tmp_path: Path) -> None:
    """Without what is asked to find out how faults are told: the same code tells them before any database is asked."""
    areas = [area for area in AREAS if area.name not in INDEPENDENT]
    done = fuzzed(gateways("postgres"), tmp_path, *of(areas), "--phases=examples,fuzzing")
    assert done.operations == sum(len(area.operations) for area in areas)
    assert done.code == 0, done.text


@pytest.mark.parametrize("kind", databases.KINDS)
def test_operations_keep_to_it_one_after_another(gateways: Gateways, kind: databases.Kind, tmp_path: Path) -> None:
    """What one answers is asked of the next: a thing that was made is read, changed, and gone once it was deleted."""
    done = fuzzed(gateways(kind), tmp_path, "--phases=stateful")
    assert done.phases["stateful"] != "skip"
    assert done.cases > 0
    assert done.code == 0, done.text


def of(areas: Sequence[Area]) -> list[str]:
    return [f"--include-tag={area.name}" for area in areas]


def fuzzed(gateway: Gateway, directory: Path, *arguments: str) -> Run:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        planted, _ = plant(client, f"run{next(_runs)}")
    return run(f"{gateway.url}/docs/openapi.json", directory, *arguments, planted=planted, seconds=SECONDS)
