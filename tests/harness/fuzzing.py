"""Schemathesis over a running gateway: every operation of its document, asked rightly and wrongly, each answer judged.

Run as a process of its own, as its makers mean it, so that none of what it brings is in the tests' process. What it
forgives is in `fuzz_hooks.py`, with reasons.
"""

import os
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from scaigrid.api import examples
from tests.harness import fuzz_hooks
from tests.harness.checkout import ROOT
from tests.harness.planting import Planted

KEY: Final = f"sgk_fuzz_{'0' * 32}"

_COMMAND: Final = Path(sysconfig.get_path("scripts"), "schemathesis")
_EXAMPLES: Final = 5
_MORE_EXAMPLES: Final = 50
_STEPS: Final = 5
_STORIES: Final = 60
_LIMITS: Final = {"requests_per_minute": 10_000_000}


class Run(msgspec.Struct, frozen=True):
    """What came of it: its words, and in numbers how much was asked."""

    code: int
    text: str
    operations: int
    cases: int
    forgiven: int
    phases: Mapping[str, str]
    """What came of each phase, by name."""


class _Operations(msgspec.Struct):
    tested: int


class _Cases(msgspec.Struct):
    generated: int


class _Phase(msgspec.Struct):
    status: str


class _Report(msgspec.Struct):
    operations: _Operations
    test_cases: _Cases
    phases: dict[str, _Phase]
    filtered: int


def configuration(database: str) -> dict[str, Any]:
    """A gateway in which the document's own examples are calls that are answered, by a simulator, for a super admin."""
    return {
        "database": {"url": database, "encryption_key": "k" * 32},
        "partners": {"default": {"limits": _LIMITS}},
        "tenants": {"default": {"limits": _LIMITS}},
        "users": {"fuzz": {"roles": ["super_admin"], "limits": _LIMITS}},
        "keys": {"fuzz": {"user": "fuzz", "key": KEY, "limits": _LIMITS}},
        "providers": {"simulator": {"type": "simulator"}},
        "backends": {
            "chat": {"provider": "simulator", "model": "simulated-chat-1"},
            "embed": {"provider": "simulator", "model": "simulated-embed-1"},
        },
        "models": {
            examples.asked("", "chat")["model"]: _model("chat", "chat"),
            examples.asked("", "embed")["model"]: _model("embed", "embedding"),
        },
    }


def run(document: str, directory: Path, *arguments: str, planted: Planted | None = None, seconds: int = 0) -> Run:
    """Fuzzes what the document at the address `document` describes; `arguments` go to `schemathesis run`.

    `planted` is there to be found. The same requests each time, as many as make a suite; with `seconds`, others each
    time for as long as that.
    """
    there = directory / "planted.json"
    there.write_bytes(msgspec.json.encode(planted or Planted()))
    settings = directory / "schemathesis.toml"
    report = directory / "report.json"
    settings.write_text(_settings(report, deterministic=not seconds))
    longer = [f"--max-time={seconds}"] if seconds else []
    command = [str(_COMMAND), "--config-file", str(settings), "run", document, "--checks=all", *longer, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), fuzz_hooks.PLANTED: str(there)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if not report.exists():
        raise AssertionError(text)
    read = msgspec.json.decode(report.read_bytes(), type=_Report)
    return Run(
        code=done.returncode,
        text=text,
        operations=read.operations.tested,
        cases=read.test_cases.generated,
        forgiven=read.filtered,
        phases={name: phase.status for name, phase in read.phases.items()},
    )


def _model(backend: str, modality: str) -> dict[str, Any]:
    targets: Sequence[dict[str, str]] = [{"backend": backend}]
    return {"modality": modality, "unpriced": "free", "max_output_tokens": 1000, "route": {"targets": targets}}


def _settings(report: Path, *, deterministic: bool) -> str:
    return f"""
color = false
continue-on-failure = true
warnings = false
hooks = "tests/harness/fuzz_hooks.py"
reports = {{ json.path = "{report}" }}
cache = {{ enabled = false }}
# Nothing here is about how long it takes, or how much of what it makes it throws away.
suppress-health-check = ["too_slow", "filter_too_much", "data_too_large"]

[auth.openapi.key]
bearer = "{KEY}"

[generation]
deterministic = {"true" if deterministic else "false"}
database = "none"
max-examples = {_EXAMPLES if deterministic else _MORE_EXAMPLES}

# 412 too: whoever sends a state that is gone may be told so before the body is looked at.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]

[phases.stateful]
max-steps = {_STEPS}

[phases.stateful.generation]
max-examples = {_STORIES}
"""
