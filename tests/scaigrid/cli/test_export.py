"""`scaigrid export`: the database as a file that changes nothing."""

import json
from typing import Any

import pytest
import yaml

from scaigrid.control import documents as docs
from scaigrid.ids import declared_id
from tests.scaigrid.cli.conftest import KEY, Scene

ACME: dict[str, Any] = {
    "tenants": {"acme": {}},
    "users": {"ann": {"tenant": "acme"}},
    "providers": {"up": {"type": "openai", "api_key": "pk-not-to-be-seen"}},
    "log": {"level": "warning"},
}
BOB = docs.User(name="Bob", tenant_id=declared_id("tenant", "acme"))


@pytest.mark.parametrize("origin", ["all", "config"])
def test_what_is_exported_plans_to_nothing(scene: Scene, origin: str) -> None:
    scene.apply(**ACME)
    scene.by_the_api(BOB, "user")
    assert scene.run("export", "--origin", origin) == 0
    text = scene.out
    assert "pk-not-to-be-seen" not in text
    scene.path.write_text(text)
    assert scene.run("plan", "--json") == 0
    assert [scene.told[name] for name in ("create", "change", "delete", "refused")] == [[], [], [], []]
    assert scene.run("apply", "--json") == 0
    assert scene.told["seq"] is None


def test_it_is_a_whole_file_with_the_settings_of_the_one_given(scene: Scene) -> None:
    scene.apply(**ACME)
    assert scene.run("export") == 0
    assert scene.out.startswith("# Exported by ScaiGrid: the database at epoch 1, and the settings of c.yaml.\n")
    found = yaml.safe_load(scene.out)
    assert found["log"] == {"level": "warning"}
    assert found["database"] == {"url": scene.url, "encryption_key": KEY}


def test_what_the_api_made_can_be_had_alone(scene: Scene) -> None:
    scene.apply(**ACME)
    bob = scene.by_the_api(BOB, "user")
    assert scene.run("export", "--origin", "api") == 0
    assert yaml.safe_load(scene.out) == {
        "users": {"bob": {"id": bob, "name": "Bob", "origin": "api", "tenant": "acme"}}
    }


def test_a_file_with_faults_elsewhere_still_names_the_database(scene: Scene) -> None:
    scene.apply(**ACME)
    broken = json.loads(scene.path.read_text())
    broken["users"]["ann"]["tenant"] = "nobody"
    scene.path.write_text(json.dumps(broken))
    assert scene.run("export") == 0
    assert yaml.safe_load(scene.out)["users"] == {"ann": {"tenant": "acme"}}


def test_there_is_nothing_to_export_before_anything_was_applied(scene: Scene) -> None:
    assert scene.run("export") == 1
    assert "has no tables" in scene.err


def test_another_key_is_an_error_that_names_the_setting(scene: Scene) -> None:
    scene.apply(**ACME)
    changed = json.loads(scene.path.read_text())
    changed["database"]["encryption_key"] = "x" * 32
    scene.path.write_text(json.dumps(changed))
    assert scene.run("export") == 1
    assert "database.previous_encryption_keys" in scene.err


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("valkey://:hush@127.0.0.1:6379", "But database.encryption_key, store.url: here as plain text"),
        ("valkey://127.0.0.1:6379", "But database.encryption_key: here as plain text"),
        ("valkey://:${STORE_PASSWORD}@127.0.0.1:6379", "But database.encryption_key: here as plain text"),
    ],
)
def test_a_secret_that_stands_in_the_file_is_named_at_the_top(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, store: str, told: str
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "hush")
    scene.apply(**ACME, store={"type": "valkey", "url": store})
    assert scene.run("export") == 0
    head = [line for line in scene.out.splitlines() if line.startswith("#")]
    assert (told in head[-1], "hush" in "".join(head)) == (True, False)
    assert scene.run("export", "--origin", "api") == 0
    assert "plain text" not in scene.out
