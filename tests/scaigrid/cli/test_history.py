"""`scaigrid history`: which configurations were applied."""

import re

from tests.scaigrid.cli.conftest import Scene


def test_each_entry_has_a_line_and_the_latest_is_first(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    scene.apply(users={"ann": {"email": "a@b.test"}, "bob": {}})
    assert scene.run("history") == 0
    head, *lines = scene.out.splitlines()
    assert head.split() == ["SEQ", "WHEN", "CHANGES", "ACTOR", "SOURCE"]
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"
    assert re.fullmatch(rf"2 +{when}  \+1 ~1 -0 +ann +{re.escape(str(scene.path))}", lines[0])
    assert re.fullmatch(rf"1 +{when}  \+3 ~0 -0 +ann +{re.escape(str(scene.path))}", lines[1])


def test_programs_get_every_plan(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    assert scene.run("history", "--json") == 0
    (entry,) = scene.told["entries"]
    assert (entry["seq"], entry["epoch"], len(entry["config_hash"])) == (1, 1, 12)
    assert [step["name"] for step in entry["plan"]["create"]] == ["default", "default", "ann"]


def test_a_database_that_nobody_has_applied_anything_to(scene: Scene) -> None:
    assert scene.run("history") == 1
    assert "has no tables: `scaigrid serve" in scene.err


def test_a_file_with_faults_elsewhere_is_enough_to_find_the_database(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    scene.write(users={"ann": {"tenant": "nobody", "x": 1}}, models=5)
    assert scene.run("history") == 0


def test_what_others_wrote_cannot_move_a_terminal(scene: Scene) -> None:
    scene.write(users={"ann": {}})
    assert scene.run("apply", "--actor", "\x1b[31mred\x07") == 0
    assert scene.run("history") == 0
    assert "\\x1b[31mred\\x07" in scene.out
    assert "\x1b" not in scene.out
