"""`scaigrid apply`: all of it or nothing, and who did it."""

import getpass
from typing import Any

import pytest

from scaigrid.db import migrate
from scaigrid.db.migrate import HEAD, REVISIONS, current, upgrade
from tests.scaigrid.cli.conftest import Scene

ANN: dict[str, Any] = {"users": {"ann": {}}}
IN_USE: dict[str, Any] = {
    "tenants": {"acme": {}},
    "users": {"bob": {"id": "user_" + "b" * 32, "origin": "api", "tenant": "acme"}},
}


def test_a_database_without_tables_gets_them_and_everything(scene: Scene) -> None:
    scene.write(**ANN)
    assert scene.run("apply") == 0
    assert current(scene.url) == HEAD
    assert scene.out.splitlines()[-1] == "Applied, entry 1 of the history: 3 created; 0 unchanged."
    assert scene.run("apply") == 0
    assert scene.out == "Nothing to change: 3 resources are as declared.\n"


def test_for_programs_it_is_one_object(scene: Scene) -> None:
    scene.write(**ANN)
    assert scene.run("apply", "--json") == 0
    assert (scene.told["applied"], scene.told["seq"], len(scene.told["create"])) == (True, 1, 3)
    assert scene.run("apply", "--json") == 0
    assert (scene.told["applied"], scene.told["seq"], scene.told["unchanged"]) == (True, None, 3)


def test_one_refused_step_applies_nothing(scene: Scene) -> None:
    scene.apply(**IN_USE)
    scene.write(tenants={"other": {}})
    assert scene.run("apply") == 1
    assert scene.out.splitlines()[-1] == "Nothing was applied: 1 to create, 1 to delete, 1 refused; 1 unchanged."
    assert scene.run("apply", "--json") == 1
    assert scene.told["applied"] is False
    assert [step["name"] for step in scene.told["refused"]] == ["acme"]
    assert scene.run("history", "--json") == 0
    assert len(scene.told["entries"]) == 1


def test_the_history_names_who_did_it(scene: Scene) -> None:
    assert scene.run("apply") == 0
    scene.write(**ANN)
    assert scene.run("apply", "--actor", "pipeline 7") == 0
    assert scene.run("history", "--json") == 0
    assert [entry["actor"] for entry in scene.told["entries"]] == ["pipeline 7", getpass.getuser()]
    assert {entry["source"] for entry in scene.told["entries"]} == {str(scene.path)}


def test_an_older_database_is_left_alone_and_the_command_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(migrate, "REVISIONS", REVISIONS[:1])
        then.setattr(migrate, "HEAD", REVISIONS[0])
        upgrade(scene.url)
    for command in ("apply", "plan", "history", "export", "rollback"):
        assert scene.run(command) == 1, command
        assert scene.err.endswith(f"run `scaigrid migrate {scene.path}`\n")
    assert current(scene.url) == REVISIONS[0]


def test_a_wrong_file_is_told_and_touches_nothing(scene: Scene) -> None:
    scene.path.write_text("nothing: 1\n")
    assert scene.run("apply") == 2
    assert "c.yaml:1: nothing: unknown key" in scene.err
    assert current(scene.url) is None
