"""Every operation keeps to its document, whatever is asked of it, on either kind of database.

`just schemathesis` looks for longer, with other requests each time: SCHEMATHESIS_SECONDS is for how long, in each test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaigrid.api.operations import AREAS
from tests.harness import databases
from tests.harness.fuzzing import KEY, Run, configuration, run
from tests.harness.gateway import Gateway
from tests.harness.planting import plant

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))

PARTS = 3
"""So that as many workers have something to do."""

INDEPENDENT = {"Inference", "Operations"}
"""Areas whose answers come from no database."""

Gateways = Callable[[databases.Kind], Gateway]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    """One gateway for each kind of database; in the end their logs know of nothing unexpected."""
    with ExitStack() as running:

        @cache
        def started(kind: databases.Kind) -> Gateway:
            directory = tmp_path_factory.mktemp(kind)
            config: dict[str, Any] = configuration(databases.fresh(kind, directory))
            return running.enter_context(Gateway(config, directory / "gateway"))

        yield started
        for kind in databases.KINDS:
            assert [line for line in started(kind).lines() if line["event"] == "unexpected_error"] == []


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", databases.KINDS)
def test_every_operation_keeps_to_its_document(
    gateways: Gateways, kind: databases.Kind, part: int, tmp_path: Path
) -> None:
    # What databases have no part in is asked with one of them
    areas = [area for area in AREAS if kind == "sqlite" or area.name not in INDEPENDENT][part::PARTS]
    tags = [f"--include-tag={area.name}" for area in areas]
    done = fuzzed(gateways(kind), tmp_path, *tags, "--phases=examples,coverage,fuzzing")
    rows = [row for area in areas for row in area.operations]
    assert done.operations == len(rows)
    assert done.code == 0, done.text


@pytest.mark.parametrize("kind", databases.KINDS)
def test_operations_keep_to_it_one_after_another(gateways: Gateways, kind: databases.Kind, tmp_path: Path) -> None:
    """What one answers is asked of the next: a thing that was made is read, changed, and gone once it was deleted."""
    done = fuzzed(gateways(kind), tmp_path, "--phases=stateful")
    assert done.phases["stateful"] != "skip"
    assert done.cases > 0
    assert done.code == 0, done.text


def fuzzed(gateway: Gateway, directory: Path, *arguments: str) -> Run:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        planted, _ = plant(client)
    return run(f"{gateway.url}/docs/openapi.json", directory, *arguments, planted=planted, seconds=SECONDS)
