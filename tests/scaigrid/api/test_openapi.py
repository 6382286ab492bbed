import asyncio
import os
import subprocess
import sys

import msgspec

from scaigrid.api.document import document
from scaigrid.api.openapi import lazily
from tests.harness.checkout import ROOT
from tests.scaigrid.api.control_plane import ControlPlane

PRINT_IT = """
import asyncio, sys
from tests.scaigrid.api.control_plane import ControlPlane
plane = ControlPlane()
print("scaigrid.api.document" in sys.modules)
print(asyncio.run(plane.get("/docs/openapi.json", None)).body.decode())
"""


async def test_it_is_there_for_everybody() -> None:
    plane = ControlPlane()
    answer = await plane.get("/docs/openapi.json", None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    made = await asyncio.to_thread(document, plane.services.dialect_of)
    assert answer.body == msgspec.json.encode(made)


async def test_it_is_made_once() -> None:
    text = lazily(lambda: ControlPlane().services.dialect_of)
    assert await text() is await text()


def test_it_is_the_same_in_every_process_and_made_no_sooner_than_it_is_asked_for() -> None:
    printed: list[list[str]] = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", PRINT_IT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(run.stdout.splitlines())
    assert printed[0][0] == "False"
    assert printed[0][1].startswith('{"openapi":"3.1.0"')
    assert printed[0] == printed[1]
