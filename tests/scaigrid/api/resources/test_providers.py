"""Providers: the operator's alone, and what is written of a credential is never read back."""

from typing import Any

import pytest

from adapters import ADAPTERS
from scaigrid.control import documents as docs
from tests.harness import databases
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, model, provider, route, told

KEY = "sk-first-credential-0123456789"
OTHER = "sk-other-credential-0123456789"


def kept(plane: ControlPlane, id_: str) -> docs.Provider:
    return plane.control.state.document(docs.Provider, id_)


def secrets(plane: ControlPlane, id_: str) -> tuple[str | None, dict[str, str]]:
    """What is kept: the key, and the headers."""
    found = kept(plane, id_)
    key = None if found.api_key is None else found.api_key.reveal()
    return key, {name: value.reveal() for name, value in found.headers.items()}


async def test_a_provider_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    body = {"name": "acme", "type": "custom", "base_url": "https://acme.example/v1"}
    made = await plane.ask("POST", "/v1/providers", body, who="super")
    assert made.status == 201
    found = made.json["data"]
    assert {name: found[name] for name in ("name", "type", "base_url", "has_api_key", "header_names", "origin")} == {
        **body,
        "has_api_key": False,
        "header_names": [],
        "origin": "api",
    }
    path = f"/v1/providers/{found['id']}"
    assert (await plane.get(path, "super")).json["data"] == found
    changed = await plane.ask("PATCH", path, {"base_url": "http://10.0.0.1:8000/v1"}, who="super")
    assert changed.json["data"]["base_url"] == "http://10.0.0.1:8000/v1"
    replaced = await plane.ask("PUT", path, {"name": "acme", "type": "openai"}, who="super")
    assert (replaced.json["data"]["type"], replaced.json["data"]["base_url"]) == ("openai", None)
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert told(await plane.get(path, "super")) == (404, "PROVIDER_NOT_FOUND")


async def test_what_is_written_of_a_credential_is_nowhere_to_be_read(plane: ControlPlane, database_url: str) -> None:
    body = {"name": "acme", "type": "openai", "api_key": KEY, "headers": {"X-Secret": OTHER, "X-Team": "blue"}}
    made = await plane.ask("POST", "/v1/providers", body, who="super")
    found = made.json["data"]
    assert (found["has_api_key"], found["header_names"]) == (True, ["X-Secret", "X-Team"])
    path = f"/v1/providers/{found['id']}"
    answers = [
        made,
        await plane.get(path, "super"),
        await plane.get("/v1/providers", "super"),
        await plane.ask("PATCH", path, {"name": "acme-two"}, who="super"),
        await plane.ask("PATCH", path, {"api_key": 7, "headers": {"X-Secret": 7}}, who="super"),
        await plane.ask("PUT", path, {**body, "type": "nobody"}, who="super"),
    ]
    assert [answer.status for answer in answers] == [201, 200, 200, 200, 422, 422]
    await plane.settle()
    assert len(databases.execute(database_url, "SELECT * FROM audit WHERE action = 'provider.update'")) == 3
    kept_rows = [databases.execute(database_url, f"SELECT * FROM {table}") for table in ("resources", "audit")]  # noqa: S608 - names from here
    for secret in (KEY, OTHER):
        assert not [answer for answer in answers if secret.encode() in answer.body]
        assert secret not in str(kept_rows)


async def test_a_credential_that_is_left_out_stays_and_null_takes_it_away(plane: ControlPlane) -> None:
    both = {"X-One": "1", "X-Two": "2"}
    made = await provider(plane, "acme", type="openai", api_key=KEY, headers=both)
    id_, path = made["id"], f"/v1/providers/{made['id']}"
    least = {"name": "acme", "type": "openai"}
    await plane.ask("PATCH", path, {"name": "acme-two"}, who="super")
    assert secrets(plane, id_) == (KEY, both)
    await plane.ask("PUT", path, least, who="super")
    assert secrets(plane, id_) == (KEY, both)
    await plane.ask("PUT", path, {**least, "api_key": OTHER}, who="super")
    assert secrets(plane, id_) == (OTHER, both)
    gone = await plane.ask("PATCH", path, {"api_key": None}, who="super")
    assert gone.json["data"]["has_api_key"] is False
    assert secrets(plane, id_) == (None, both)
    await plane.ask("PUT", path, {**least, "api_key": KEY, "headers": None}, who="super")
    assert secrets(plane, id_) == (KEY, {})
    await plane.ask("PUT", path, {**least, "api_key": None}, who="super")
    assert secrets(plane, id_) == (None, {})


async def test_a_key_does_not_follow_to_another_address(plane: ControlPlane) -> None:
    made = await provider(plane, "acme", type="openai", api_key=KEY)
    path = f"/v1/providers/{made['id']}"
    moved = {"base_url": "https://elsewhere.example"}
    refused = await plane.ask("PATCH", path, moved, who="super")
    assert (refused.status, set(refused.details)) == (422, {"api_key"})
    assert (await plane.ask("PATCH", path, {**moved, "api_key": KEY}, who="super")).status == 200
    assert secrets(plane, made["id"])[0] == KEY


async def test_a_patch_names_single_headers(plane: ControlPlane) -> None:
    made = await provider(plane, "acme", headers={"X-One": "1", "X-Two": "2"})
    path = f"/v1/providers/{made['id']}"
    changed = await plane.ask("PATCH", path, {"headers": {"X-One": None, "X-Three": "3"}}, who="super")
    assert changed.json["data"]["header_names"] == ["X-Three", "X-Two"]
    assert secrets(plane, made["id"])[1] == {"X-Two": "2", "X-Three": "3"}


async def test_every_fault_is_named_and_no_value_with_it(plane: ControlPlane) -> None:
    bad = {"name": "No!", "type": "", "base_url": "ftp://x", "api_key": "two words", "headers": {"X": 1}, "x": 1}
    refused = await plane.ask("POST", "/v1/providers", bad, who="super")
    assert (refused.status, set(refused.details)) == (
        422,
        {"name", "type", "base_url", "api_key", "headers.X", "x"},
    )
    assert b"two words" not in refused.body
    later = {"name": "a", "type": "custom", "headers": {"Host": "x", "X": "a"}}
    assert set((await plane.ask("POST", "/v1/providers", later, who="super")).details) == {"base_url", "headers.Host"}
    unknown = await plane.ask("POST", "/v1/providers", {"name": "a", "type": "nobody"}, who="super")
    assert f"must be one of {', '.join(sorted(ADAPTERS))}" in unknown.details["type"]


async def test_a_provider_with_backends_stays_and_stays_what_it_is(plane: ControlPlane) -> None:
    made = await provider(plane, "acme")
    used = await backend(plane, "b", provider_id=made["id"])
    path = f"/v1/providers/{made['id']}"
    deleted = await plane.ask("DELETE", path, who="super")
    assert told(deleted) == (409, "PROVIDER_HAS_BACKENDS")
    assert used["id"] in deleted.details["backend"]
    retyped = await plane.ask("PATCH", path, {"type": "openai"}, who="super")
    assert told(retyped) == (409, "PROVIDER_HAS_BACKENDS")
    assert (await plane.ask("PATCH", path, {"name": "acme2"}, who="super")).status == 200
    await plane.ask("DELETE", f"/v1/backends/{used['id']}", who="super")
    assert (await plane.ask("PATCH", path, {"type": "openai"}, who="super")).status == 200


async def test_a_name_is_taken_once(plane: ControlPlane) -> None:
    await provider(plane, "acme")
    clash = await plane.ask("POST", "/v1/providers", {"name": "acme", "type": "openai"}, who="super")
    assert (*told(clash), list(clash.details)) == (409, "SLUG_CONFLICT", ["name"])


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    (found,) = (await plane.get("/v1/providers?name=sim", "super")).json["data"]["items"]
    path = f"/v1/providers/{found['id']}"
    for method, body in (("PATCH", {"name": "b"}), ("PUT", {"name": "b", "type": "openai"}), ("DELETE", None)):
        assert told(await plane.ask(method, path, body, who="super")) == (409, "MANAGED_BY_CONFIG")


@pytest.mark.parametrize("who", ["partner_one", "admin_a", "user_a", "viewer_a"])
async def test_nobody_but_the_operator_sees_or_changes_a_provider(plane: ControlPlane, who: str) -> None:
    path = f"/v1/providers/{(await provider(plane))['id']}"
    asked = [
        await plane.get("/v1/providers", who),
        await plane.get(path, who),
        await plane.ask("POST", "/v1/providers", {"name": "b", "type": "openai"}, who=who),
        await plane.ask("PATCH", path, {"name": "b"}, who=who),
        await plane.ask("DELETE", path, who=who),
        await plane.ask("POST", f"{path}/discover", who=who),
    ]
    assert {told(answer) for answer in asked} == {(403, "AUTHZ_PERMISSION_DENIED")}


async def test_a_new_credential_is_in_force_for_the_next_call(plane: ControlPlane) -> None:
    made = await provider(plane, "acme", type="openai", api_key=KEY)
    await model(plane)
    await route(plane, "acme/chat", await backend(plane, "b", provider_id=made["id"]))

    def sent() -> str:
        (tier,) = plane.services.current.snapshot.models["acme/chat"].route.tiers
        return dict(tier[0].backend.target.headers)["authorization"]

    assert sent() == f"Bearer {KEY}"
    await plane.ask("PATCH", f"/v1/providers/{made['id']}", {"api_key": OTHER}, who="super")
    assert sent() == f"Bearer {OTHER}"
    assert OTHER in plane.services.current.snapshot.secrets


SIGNING: dict[str, Any] = {
    "name": "aws",
    "type": "bedrock",
    "options": {"region": "eu-central-1"},
    "credentials": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": KEY},
}


def credentials(plane: ControlPlane, id_: str) -> dict[str, str]:
    return {name: value.reveal() for name, value in kept(plane, id_).credentials.items()}


async def test_options_are_read_back_and_credentials_by_their_names_alone(
    plane: ControlPlane, database_url: str
) -> None:
    made = await plane.ask("POST", "/v1/providers", SIGNING, who="super")
    assert made.status == 201
    found = made.json["data"]
    assert found["options"] == {"region": "eu-central-1"}
    assert found["credential_names"] == ["access_key_id", "secret_access_key"]
    path = f"/v1/providers/{found['id']}"
    answers = [made, await plane.get(path, "super"), await plane.ask("PATCH", path, {"name": "aws-two"}, who="super")]
    await plane.settle()
    rows = [databases.execute(database_url, f"SELECT * FROM {table}") for table in ("resources", "audit")]  # noqa: S608 - names from here
    for secret in (KEY, "AKIDEXAMPLE"):
        assert not [answer for answer in answers if secret.encode() in answer.body]
        assert secret not in str(rows)


async def test_a_patch_names_single_credentials_and_options(plane: ControlPlane) -> None:
    id_ = (await provider(plane, **SIGNING))["id"]
    path = f"/v1/providers/{id_}"
    changed = await plane.ask("PATCH", path, {"credentials": {"session_token": OTHER}}, who="super")
    assert changed.status == 200
    assert credentials(plane, id_) == {**SIGNING["credentials"], "session_token": OTHER}
    await plane.ask("PATCH", path, {"credentials": {"session_token": None}}, who="super")
    assert credentials(plane, id_) == SIGNING["credentials"]
    await plane.ask("PUT", path, {name: SIGNING[name] for name in ("name", "type", "options")}, who="super")
    assert credentials(plane, id_) == SIGNING["credentials"]
    refused = await plane.ask("PATCH", path, {"options": {"region": None}}, who="super")
    assert {"options.region", "base_url"} <= set(refused.details)


async def test_credentials_do_not_follow_to_another_address(plane: ControlPlane) -> None:
    """Where an option moves the address, too."""
    id_ = (await provider(plane, **SIGNING))["id"]
    path = f"/v1/providers/{id_}"
    for moved in ({"options": {"region": "us-east-1"}}, {"base_url": "https://elsewhere.example"}):
        refused = await plane.ask("PATCH", path, moved, who="super")
        assert (refused.status, set(refused.details)) == (
            422,
            {"credentials.access_key_id", "credentials.secret_access_key"},
        )
        again = await plane.ask("PATCH", path, {**moved, "credentials": SIGNING["credentials"]}, who="super")
        assert again.status == 200
    assert credentials(plane, id_) == SIGNING["credentials"]


async def test_every_fault_of_options_and_credentials_is_named(plane: ControlPlane) -> None:
    wrong = {"options": {"region": 7, "zone": "x"}, "credentials": {"access_key_id": "AKID", "password": "hunter-two"}}
    refused = await plane.ask("POST", "/v1/providers", {**SIGNING, **wrong}, who="super")
    assert (refused.status, set(refused.details)) == (
        422,
        {"options.region", "options.zone", "credentials.password"},
    )
    assert b"hunter-two" not in refused.body
    shapes = {"options": {"a": {"b": 1}}, "credentials": {"access_key_id": 7}}
    assert set((await plane.ask("POST", "/v1/providers", {**SIGNING, **shapes}, who="super")).details) == {
        "credentials.access_key_id"
    }
