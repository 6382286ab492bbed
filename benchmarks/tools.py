"""What the rig takes from the machine: programs of other people, and its own in C, compiled here."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.errors import MissingToolsError, RigError

PACKAGES: Final = {"cc": "gcc", "nginx": "nginx-light", "setpriv": "util-linux", "wrk": "wrk"}
"""Each program and the Debian package that brings it."""

_BUILD = Path(__file__).parent / "build"
_CFLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
# Where daemons are, and not always on the PATH of a person.
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def where(program: str) -> str | None:
    """The path of a program, None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM)))


def require(*programs: str) -> dict[str, str]:
    """The path of each program, or a MissingToolsError that names all that are missing and how to get them."""
    found = {program: where(program) for program in programs}
    missing = sorted(program for program, path in found.items() if path is None)
    if missing:
        packages = " ".join(PACKAGES[program] for program in missing)
        raise MissingToolsError(f"not installed: {', '.join(missing)}. Run: apt-get install -y {packages}")
    return {program: path for program, path in found.items() if path is not None}


def compiled(source: Path) -> Path:
    """The program made of one C file, compiled again where the file is newer."""
    compiler = require("cc")["cc"]
    program = _BUILD / source.stem
    if program.exists() and program.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return program
    _BUILD.mkdir(exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command = [compiler, *_CFLAGS, "-o", str(unfinished), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigError(f"{' '.join(command)}:\n{done.stderr.strip()}")
    unfinished.replace(program)
    return program
