"""`scaigrid plan`: what would be done, and nothing done."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from scaigrid.cli.plan import CHANGES
from scaigrid.db.migrate import current
from tests.scaigrid.cli.conftest import Scene

ANN: dict[str, Any] = {"users": {"ann": {}}}
IN_USE: dict[str, Any] = {
    "tenants": {"acme": {}},
    "users": {"bob": {"id": "user_" + "b" * 32, "origin": "api", "tenant": "acme"}},
}


def everything(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_plan_for_no_database_is_one_object_and_makes_none(scene: Scene) -> None:
    scene.write(**ANN)
    before = everything(scene.path.parent)
    assert scene.run("plan", "--json") == 0
    assert set(scene.told) == {"create", "change", "delete", "refused", "unchanged"}
    assert [step["name"] for step in scene.told["create"]] == ["default", "default", "ann"]
    assert everything(scene.path.parent) == before
    assert current(scene.url) is None


def test_a_plan_for_people_shows_each_step(scene: Scene) -> None:
    scene.apply(users={"ann": {"email": "a@example.test"}, "bob": {}})
    scene.write(users={"ann": {"email": "b@example.test"}, "cat": {}})
    assert scene.run("plan") == 0
    lines = scene.out.splitlines()
    assert [line.split(" user_")[0] for line in lines] == [
        "+ user cat",
        "~ user ann",
        '    email: "a@example.test" -> "b@example.test"',
        "- user bob",
        "1 to create, 1 to change, 1 to delete; 2 unchanged",
    ]


def test_what_is_as_declared_needs_nothing(scene: Scene) -> None:
    scene.apply(**ANN)
    assert scene.run("plan") == 0
    assert scene.out == "nothing to change; 3 unchanged\n"


def test_a_refused_step_is_an_error_with_its_reason(scene: Scene) -> None:
    scene.apply(**IN_USE)
    scene.write(tenants={"other": {}})
    assert scene.run("plan") == 1
    (line,) = [line for line in scene.out.splitlines() if line.startswith("!")]
    assert line.startswith("! tenant acme tenant_")
    assert "in use by user bob" in line
    assert scene.run("plan", "--json") == 1
    assert [step["name"] for step in scene.told["refused"]] == ["acme"]


@pytest.mark.parametrize(("option", "code"), [((), 0), (("--exit-code",), CHANGES)])
def test_a_pipeline_may_ask_whether_anything_would_change(scene: Scene, option: tuple[str, ...], code: int) -> None:
    scene.apply()
    assert scene.run("plan", *option) == 0
    scene.write(**ANN)
    assert scene.run("plan", *option) == code


def test_a_credential_is_not_shown(scene: Scene) -> None:
    provider = {"type": "openai", "api_key": "pk-first-not-to-be-seen"}
    scene.apply(providers={"up": provider})
    scene.write(providers={"up": {**provider, "api_key": "pk-second-not-to-be-seen"}})
    for option in ((), ("--json",)):
        assert scene.run("plan", *option) == 0
        assert "not-to-be-seen" not in scene.out
        assert scene.out.count("stored:") == 2


def test_a_wrong_file_is_told_line_by_line(scene: Scene) -> None:
    scene.path.write_text("users: { ann: { tenant: nobody } }\n")
    assert scene.run("plan", "--json") == 2
    assert scene.out == ""
    assert "c.yaml:1: users.ann.tenant: there is no tenant 'nobody'" in scene.err
