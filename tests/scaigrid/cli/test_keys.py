"""`scaigrid keys`: what it asks of the gateway, and what it prints where."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from scaigrid.__main__ import main
from tests.harness.provider import Endpoint, Provider
from tests.scaigrid.cli.gateway import KEY, page, refusal, told

NEW = "sgk_" + "n" * 43
ITEM: dict[str, Any] = {
    "id": "apikey_1",
    "name": "laptop",
    "prefix": "sgk_nnnnnnnn",
    "user_id": "user_1",
    "status": "active",
    "last_used_at": "2027-01-15T08:00:05.123456Z",
    "expires_at": None,
    "previous_until": None,
}
MADE = {**ITEM, "key": NEW}


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with Provider() as running:
        yield running


class Scene(NamedTuple):
    gateway: Endpoint
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """What stands on standard output and on standard error."""
        assert main(["keys", *arguments]) == code
        out, err = self.capsys.readouterr()
        return out, err


@pytest.fixture
def scene(
    server: Provider,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Scene:
    endpoint = server.at(f"/{request.node.originalname}")
    monkeypatch.setenv("SCAIGRID_URL", endpoint.url)
    monkeypatch.setenv("SCAIGRID_API_KEY", KEY)
    return Scene(endpoint, capsys)


def test_a_key_is_made_and_shown_once(scene: Scene) -> None:
    scene.gateway.then(told(MADE, 201))
    out, err = scene.run("create", "laptop")
    assert out == f"{NEW}\n"
    assert err == (
        "Made laptop (apikey_1) of user_1. This is the only time that it is shown: only its SHA-256 is kept.\n"
    )
    seen = scene.gateway.seen()
    assert (seen.method, seen.path.rpartition("/")[2], seen.json) == ("POST", "api-keys", {"name": "laptop"})


def test_a_program_gets_the_key_and_nothing_else(scene: Scene) -> None:
    scene.gateway.then(told(MADE, 201), told({**MADE, "previous_until": "2027-01-15T08:00:05.123456Z"}))
    assert scene.run("create", "laptop", "--quiet") == (f"{NEW}\n", "")
    assert scene.run("rotate", "apikey_1", "--overlap", "60", "--quiet") == (f"{NEW}\n", "")


def test_or_the_whole_answer_as_json(scene: Scene) -> None:
    scene.gateway.then(told(MADE, 201), page(ITEM), told(MADE), told(ITEM))
    for arguments, expected in (
        (("create", "laptop"), MADE),
        (("list",), [ITEM]),
        (("rotate", "apikey_1"), MADE),
        (("revoke", "apikey_1"), ITEM),
    ):
        out, err = scene.run(*arguments, "--json")
        assert (json.loads(out), err) == (expected, "")


def test_everything_that_a_key_may_be_bound_by_can_be_said(scene: Scene) -> None:
    scene.gateway.then(told(MADE, 201))
    scene.run(
        "create",
        "laptop",
        *("--user", "user_7"),
        *("--expires-at", "2027-01-31T00:00:00Z"),
        *("--scope", "models:use", "--scope", "models:list"),
        *("--model", "openai/gpt-4o"),
        *("--address", "10.0.0.0/8"),
        *("--requests-per-minute", "5"),
    )
    assert scene.gateway.seen().json == {
        "name": "laptop",
        "assigned_user_id": "user_7",
        "expires_at": "2027-01-31T00:00:00Z",
        "scopes": ["models:use", "models:list"],
        "models": ["openai/gpt-4o"],
        "addresses": ["10.0.0.0/8"],
        "limits": {"requests_per_minute": 5},
    }


def test_a_user_may_be_called_by_name(scene: Scene) -> None:
    scene.gateway.then(page({"id": "user_9"}), told(MADE, 201), page({"id": "user_9"}), page())
    scene.run("create", "laptop", "--user", "ada")
    assert scene.gateway.seen().path.endswith("/v1/users?name=ada")
    assert scene.gateway.seen().json["assigned_user_id"] == "user_9"
    scene.run("list", "--user", "ada")
    scene.gateway.seen()
    assert "user_id=user_9" in scene.gateway.seen().path


@pytest.mark.parametrize("found", [(), ({"id": "user_1"}, {"id": "user_2"})])
def test_a_name_of_nobody_or_of_several_is_refused(scene: Scene, found: tuple[Any, ...]) -> None:
    scene.gateway.then(page(*found))
    out, err = scene.run("create", "laptop", "--user", "ada", code=1)
    assert out == ""
    assert err.startswith("scaigrid: --user: the name ada is")


def test_keys_are_listed_as_a_table(scene: Scene) -> None:
    other = {**ITEM, "id": "apikey_22", "name": "ci", "prefix": None, "status": "revoked", "last_used_at": None}
    scene.gateway.then(page(ITEM, following="c"), page({**other, "expires_at": "2027-02-01T00:00:00.000000Z"}))
    out, err = scene.run("list", "--status", "active")
    assert out.splitlines() == [
        "ID         NAME    KEY              USER    STATUS   LAST USED             EXPIRES",
        "apikey_1   laptop  sgk_nnnnnnnn...  user_1  active   2027-01-15T08:00:05Z  never",
        "apikey_22  ci      -                user_1  revoked  never                 2027-02-01T00:00:00Z",
    ]
    assert err == ""
    assert "status=active" in scene.gateway.seen().path


def test_a_key_is_rotated_with_an_overlap(scene: Scene) -> None:
    scene.gateway.then(told({**MADE, "previous_until": "2027-01-15T08:01:00.000000Z"}))
    out, err = scene.run("rotate", "apikey_1", "--overlap", "60")
    assert out == f"{NEW}\n"
    assert err.splitlines()[-1] == "The old one still opens until 2027-01-15T08:01:00Z."
    seen = scene.gateway.seen()
    assert (seen.path.endswith("/v1/api-keys/apikey_1/rotate"), seen.json) == (True, {"overlap_seconds": 60})


def test_a_key_is_revoked(scene: Scene) -> None:
    scene.gateway.then(told(ITEM))
    assert scene.run("revoke", "apikey_1") == ("Revoked laptop (apikey_1).\n", "")
    assert scene.gateway.seen().path.endswith("/v1/api-keys/apikey_1/revoke")


def test_an_id_stays_one_part_of_the_path(scene: Scene) -> None:
    scene.gateway.then(refusal("NOT_FOUND", "There is no such API key.", 404))
    scene.run("revoke", "../users/u?x", code=1)
    assert scene.gateway.seen().path.endswith("/v1/api-keys/..%2Fusers%2Fu%3Fx/revoke")


def test_a_refusal_is_one_line_on_standard_error(scene: Scene) -> None:
    scene.gateway.then(refusal("AUTHZ_PERMISSION_DENIED", "The user has rights that go beyond yours."))
    assert scene.run("create", "k", "--user", "user_1", code=1) == (
        "",
        "scaigrid: AUTHZ_PERMISSION_DENIED: The user has rights that go beyond yours. [req_12345678]\n",
    )


def test_without_an_action_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["keys"])
    assert caught.value.code == 2
    assert "ACTION" in capsys.readouterr().err


def test_no_key_is_taken_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--key", "--api-key"):
        for action in (["list"], ["create", "k"], ["rotate", "apikey_1"], ["revoke", "apikey_1"]):
            with pytest.raises(SystemExit):
                main(["keys", *action, option, KEY])
    capsys.readouterr()
    assert main(["keys", "list", "--key-file", KEY]) == 2
    assert "k" * 32 not in capsys.readouterr().err
