"""The files of this checkout, for tests about the project itself."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("scaigrid", "middlewares", "adapters")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or could be committed, relative to ROOT, sorted: what git ignores is not among them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()))
