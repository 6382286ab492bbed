"""Have the wheel serve on each Python that pyproject.toml promises, as far as this machine has them.

    python .ci/pythons.py                  each promised Python that uv finds
    python .ci/pythons.py INTERPRETER ...  these, for example those that lie where uv does not look

Each runs .ci/smoke.py, which makes an environment of the interpreter that runs it. A Python that is not on this machine
is named and proves nothing; only one that fails is an error.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMOKE = ROOT / ".ci" / "smoke.py"
PROMISE = re.compile(r"Programming Language :: Python :: (\d+\.\d+)")


def promised(pyproject: str) -> list[str]:
    """The releases of Python that the classifiers of a pyproject.toml name, in their order."""
    classifiers: list[str] = tomllib.loads(pyproject)["project"]["classifiers"]
    return [match[1] for match in map(PROMISE.fullmatch, classifiers) if match]


def found(version: str) -> str | None:
    """The path of an interpreter of this release; None where uv finds none. None is downloaded."""
    command = ["uv", "python", "find", "--system", "--no-python-downloads", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def serves(interpreter: str) -> bool:
    """Does the wheel serve there? The story is on standard output as it happens, the reason on standard error."""
    try:
        return subprocess.run([interpreter, SMOKE], check=False).returncode == 0
    except OSError as missing:
        print(f"pythons: {missing}", file=sys.stderr)
        return False


def main(arguments: Sequence[str]) -> int:
    """0 where no Python failed and at least one was tried, else 1."""
    there: dict[str, str | None] = {given: given for given in arguments}
    if not there:
        there = {version: found(version) for version in promised((ROOT / "pyproject.toml").read_text())}
    lines: list[str] = []
    outcomes: list[bool] = []
    for name, interpreter in there.items():
        if interpreter is None:
            lines.append(f"{name}: not on this machine, so not tried")
            continue
        print(f"pythons: {name}: {interpreter}", flush=True)
        outcomes.append(serves(interpreter))
        lines.append(f"{name}: {'fine' if outcomes[-1] else 'FAILED'}")
    for line in lines:
        print(f"pythons: {line}", flush=True)
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
