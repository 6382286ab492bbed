"""`scaigrid rollback`: back to what was applied before, and a word about the file."""

from scaigrid.control import documents as docs
from scaigrid.ids import declared_id
from tests.scaigrid.cli.conftest import Scene


def names(scene: Scene) -> list[str]:
    """The users that the database has now."""
    assert scene.run("plan", "--json") == 0
    return sorted(step["name"] for step in scene.told["delete"])


def test_it_goes_back_to_the_one_before_and_says_what_that_means(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    scene.apply(users={"bob": {}})
    assert scene.run("rollback") == 0
    assert "Applied, entry 3 of the history: 1 created, 1 deleted; 2 unchanged." in scene.out
    assert "This is what entry 1 declared." in scene.out
    assert f"{scene.path} is as it was." in scene.err
    assert f"the next `scaigrid serve {scene.path}`" in scene.err
    scene.write(users={})
    assert names(scene) == ["ann"]


def test_it_goes_back_to_any_entry(scene: Scene) -> None:
    for name in ("ann", "bob", "cat"):
        scene.apply(users={name: {}})
    assert scene.run("rollback", "--to", "1", "--json") == 0
    assert (scene.told["applied"], scene.told["seq"]) == (True, 4)
    scene.write(users={})
    assert names(scene) == ["ann"]


def test_a_broken_file_can_be_gone_back_from(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    scene.apply(users={"bob": {}})
    scene.write(users={"bob": {"tenant": "nobody"}})
    assert scene.run("rollback") == 0


def test_an_entry_that_is_not_there(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    assert scene.run("rollback") == 1
    assert "there is no entry before the last one: the history has the entries 1 to 1" in scene.err
    assert scene.run("rollback", "--to", "9") == 1
    assert "there is no entry 9" in scene.err


def test_a_refused_step_goes_back_nowhere(scene: Scene) -> None:
    scene.apply(tenants={"other": {}})
    scene.apply(tenants={"other": {}, "acme": {}})
    scene.by_the_api(docs.User(name="bob", tenant_id=declared_id("tenant", "acme")), "user")
    assert scene.run("rollback") == 1
    assert "in use by user bob" in scene.out
    assert scene.err == ""
    assert scene.run("history", "--json") == 0
    assert len(scene.told["entries"]) == 2


def test_going_nowhere_says_nothing_of_the_file(scene: Scene) -> None:
    scene.apply(users={"ann": {}})
    assert scene.run("rollback", "--to", "1") == 0
    assert "Nothing to change" in scene.out
    assert scene.err == ""
