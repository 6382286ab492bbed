"""The files of this checkout, for tests about the project itself."""

import importlib.util
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("scaigrid", "middlewares", "adapters")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or could be committed, relative to ROOT, sorted: what git ignores is not among them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()))


def script(name: str) -> Any:
    """A script of `.ci` as a module, though its folder is no package."""
    specification = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
