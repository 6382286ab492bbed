"""`scaigrid prices`: declared beside listed, and nothing changed."""

import json
from typing import Any

import pytest

from tests.scaigrid.cli.conftest import Scene

SECTIONS: dict[str, Any] = {
    "providers": {"anthropic": {"type": "anthropic", "api_key": "k" * 20}, "own": {"type": "simulator"}},
    "backends": {
        "sonnet": {"provider": "anthropic", "model": "claude-sonnet-4-5", "cost": {"input": 2}},
        "own": {"provider": "own", "model": "claude-sonnet-4-5"},
    },
}


def test_each_price_stands_beside_what_is_declared(scene: Scene) -> None:
    scene.write(**SECTIONS)
    before = scene.path.read_text()
    assert scene.run("prices") == 0
    lines = [line.split() for line in scene.out.splitlines()]
    head = lines[0]
    assert head[0] == "BACKEND"
    (row,) = [line for line in lines if line[0] == "sonnet" and line[3:4] == ["input"]]
    assert row[4] == "2"
    assert float(row[5]) > 0
    assert ["own", "claude-sonnet-4-5", "not", "listed"] in [line[:4] for line in lines]
    assert scene.path.read_text() == before


def test_programs_get_both(scene: Scene) -> None:
    scene.write(**SECTIONS)
    assert scene.run("prices", "--json", "--backend", "sonnet") == 0
    (told,) = scene.told["backends"].values()
    assert (told["model"], told["declared"]["input"], told["listed"]["as"]) == (
        "claude-sonnet-4-5",
        "2",
        "claude-sonnet-4-5",
    )


def test_what_it_writes_is_a_section_that_the_gateway_takes(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml

    scene.write(**SECTIONS)
    assert scene.run("prices", "--yaml") == 0
    told = yaml.safe_load(scene.out)
    assert list(told["backends"]) == ["sonnet"]
    sections = json.loads(json.dumps(SECTIONS))
    sections["backends"]["sonnet"]["cost"] = told["backends"]["sonnet"]["cost"]
    scene.write(**sections)
    assert scene.run("check") == 0, scene.err


def test_a_backend_that_is_not_declared_is_named(scene: Scene) -> None:
    scene.write(**SECTIONS)
    assert scene.run("prices", "--backend", "other") == 2
    assert "declares no backend 'other'" in scene.err
