"""The command line as a person uses it: a process of its own, and what it wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.eventually import PATIENCE


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Standard output, where it is one JSON object and nothing else."""
        return json.loads(self.out)


def scaigrid(*arguments: str | Path, directory: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Runs `scaigrid` with these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "scaigrid", *map(str, arguments)],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
