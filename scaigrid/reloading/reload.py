"""Reads the file of a running gateway again and applies what it declares; what is wrong leaves everything as it is.

A process of its own applies it: the one that keeps the workers forks them, and has neither a database's library nor a
lock of one when it does.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scaigrid.app import Overrides, Unfit, load_config
from scaigrid.config.load import ConfigErrors
from scaigrid.config.schema import Config
from scaigrid.control.plan import Plan
from scaigrid.reloading.outcome import Reloaded
from scaigrid.reloading.settings import differing

SECONDS = 300.0
"""How long applying may take."""


_MOST = 20
"""Lines of what a command says that ended in an unforeseen way."""


class _Done(msgspec.Struct):
    """What `scaigrid apply --json` says besides the plan."""

    applied: bool
    seq: int | None = None


class Reload:
    """The file of one gateway, which was started with a configuration and with words on the command line."""

    def __init__(self, path: Path, overrides: Overrides, started: Config, apply: "Apply | None" = None) -> None:
        self._path = path
        self._overrides = overrides
        self._started = started
        self._apply = apply or applied_by_another

    def __call__(self, actor: str) -> Reloaded:
        """`actor` is why it is read again, for the history."""
        try:
            config = load_config(self._path, self._overrides)
        except (ConfigErrors, Unfit) as errors:
            return Reloaded(outcome="invalid", errors=tuple(str(errors).splitlines()))
        told = self._apply(self._path, actor)
        return msgspec.structs.replace(told, restart_needed=tuple(differing(self._started, config)))


Apply = Callable[[Path, str], Reloaded]


def applied_by_another(path: Path, actor: str) -> Reloaded:
    """Has `scaigrid apply` do it, in this environment and from this directory."""
    command = [sys.executable, "-P", "-m", "scaigrid", "apply", str(path), "--json", "--actor", actor]
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Reloaded(outcome="failed", errors=(str(error),))
    return read(ended.returncode, ended.stdout, ended.stderr)


def read(code: int, out: str, err: str) -> Reloaded:
    """What the ended command says."""
    try:
        plan = msgspec.json.decode(out, type=Plan)
        done = msgspec.json.decode(out, type=_Done)
    except msgspec.DecodeError:
        errors: Sequence[str] = err.splitlines() or [f"ended with code {code} and without a word"]
        return Reloaded(outcome="invalid" if code == 2 else "failed", errors=tuple(errors[-_MOST:]))
    if not done.applied:
        return Reloaded(outcome="refused", plan=plan)
    return Reloaded(outcome="unchanged" if done.seq is None else "applied", plan=plan)
