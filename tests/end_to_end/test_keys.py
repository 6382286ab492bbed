"""A gateway and its keys: the first one, more of them by the command line, each used by an unpatched client."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from scaigrid.clock import SystemClock
from tests.harness.behaviours import answer, completion
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, http_client, secret
from tests.harness.provider import Endpoint, Provider

ADMIN = secret("chief")
LIMITED = {"unpriced": "free", "max_output_tokens": 100}


def configured(provider: Endpoint) -> dict[str, Any]:
    """Two models at one provider, a super admin with a key, and `ada`, who has none."""
    route = {"targets": [{"backend": "up"}]}
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"chief": {"roles": ["super_admin"], "limits": UNLIMITED}, "ada": {"limits": UNLIMITED}},
        "keys": {"chief": {"user": "chief", "key": ADMIN, "limits": UNLIMITED}},
        "providers": {"up": {"type": "openai", "base_url": provider.url, "api_key": "pk-not-to-be-seen"}},
        "backends": {"up": {"provider": "up", "model": "upstream-model"}},
        "models": {name: {**LIMITED, "route": route} for name in ("acme/one", "acme/two")},
    }


class House:
    """A running gateway, the commands about it and the clients of it."""

    def __init__(self, gateway: Gateway, provider: Endpoint) -> None:
        self.gateway = gateway
        self.provider = provider.always(answer(completion("Hello.")))
        self._clients: list[openai.OpenAI] = []

    def command(self, *arguments: str, key: str = ADMIN, code: int = 0) -> str:
        """What `scaigrid keys` writes to standard output; to standard error where it fails."""
        environment = {**os.environ, "SCAIGRID_URL": self.gateway.url, "SCAIGRID_API_KEY": key}
        done = subprocess.run(
            [sys.executable, "-m", "scaigrid", "keys", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def made(self, *arguments: str, key: str = ADMIN) -> str:
        """A new key, as a script would take it."""
        made = self.command("create", "e2e", *arguments, "--quiet", key=key)
        assert made.endswith("\n")
        return made.strip()

    def key(self, **fields: Any) -> str:
        """A new key, as a console would take it."""
        with http_client(self.gateway, ADMIN) as client:
            made = client.post("/v1/api-keys", json={"name": "e2e", **fields})
        assert made.status_code == 201, made.text
        return str(made.json()["data"]["key"])

    def sdk(self, key: str) -> openai.OpenAI:
        client = openai.OpenAI(api_key=key, base_url=f"{self.gateway.url}/oai/v1", max_retries=0, timeout=PATIENCE)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def chat(self, key: str, model: str = "acme/one") -> str:
        """What the model says, or the code of the refusal."""
        try:
            got = self.sdk(key).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello?"}])
        except openai.APIStatusError as error:
            return str(error.code)
        return got.choices[0].message.content or ""

    def item(self, key: str) -> Any:
        """What the list says of a key."""
        with http_client(self.gateway, ADMIN) as client:
            items = client.get("/v1/api-keys").json()["data"]["items"]
        (found,) = (item for item in items if item["prefix"] == key[:12])
        return found


@pytest.fixture(scope="module")
def house(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    endpoint = provider.at("/keys/v1")
    with Gateway(configured(endpoint), tmp_path_factory.mktemp("keys")) as gateway:
        made = House(gateway, endpoint)
        yield made
        made.close()
        assert gateway.stop() == 0
    assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


def test_a_key_that_the_command_line_makes_opens_at_once_for_an_unpatched_client(house: House) -> None:
    key = house.made("--user", "ada")
    assert house.chat(key) == "Hello."
    assert {model.id for model in house.sdk(key).models.list()} == {"acme/one", "acme/two"}
    with http_client(house.gateway, key) as client:
        me = client.get("/v1/me").json()["data"]
    assert (me["user"]["name"], me["key"]["name"], me["roles"]) == ("ada", "e2e", ["tenant_user"])


def test_a_key_carries_the_scopes_that_it_was_made_with(house: House) -> None:
    reads, uses = house.key(scopes=["models:list"]), house.key(scopes=["models:use"])
    assert (house.chat(reads), house.chat(uses)) == ("AUTH_INSUFFICIENT_SCOPE", "Hello.")
    assert len(list(house.sdk(reads).models.list())) == 2
    with pytest.raises(openai.PermissionDeniedError) as caught:
        house.sdk(uses).models.list()
    assert caught.value.code == "AUTH_INSUFFICIENT_SCOPE"
    with http_client(house.gateway, reads) as client:
        assert client.get("/v1/users").json()["error"]["code"] == "AUTH_INSUFFICIENT_SCOPE"


def test_a_key_makes_none_that_may_do_more_than_itself(house: House) -> None:
    key = house.made("--scope", "api_keys:manage")
    assert "AUTH_INSUFFICIENT_SCOPE" in house.command("create", "more", "--scope", "models:use", key=key, code=1)
    assert house.chat(house.made(key=key)) == "AUTH_INSUFFICIENT_SCOPE"


def test_a_key_uses_the_models_of_its_list_alone(house: House) -> None:
    key = house.key(models=["acme/two"])
    assert (house.chat(key, "acme/two"), house.chat(key, "acme/one")) == ("Hello.", "MODEL_ACCESS_DENIED")
    assert [model.id for model in house.sdk(key).models.list()] == ["acme/two"]


def test_a_key_opens_from_the_addresses_of_its_list_alone(house: House) -> None:
    here, elsewhere = house.key(addresses=["127.0.0.0/8"]), house.key(addresses=["192.0.2.7"])
    assert (house.chat(here), house.chat(elsewhere)) == ("Hello.", "ADDRESS_NOT_ALLOWED")


def test_a_key_with_a_limit_of_its_own_is_held_to_it(house: House) -> None:
    key = house.key(limits={"requests_per_minute": 1})
    assert (house.chat(key), house.chat(key)) == ("Hello.", "RATE_LIMITED")


def test_a_key_opens_until_it_expires(house: House) -> None:
    lasting = datetime.fromtimestamp(SystemClock().now(), UTC) + timedelta(hours=1)
    assert house.chat(house.key(expires_at=lasting.isoformat())) == "Hello."
    soon = datetime.fromtimestamp(SystemClock().now(), UTC) + timedelta(seconds=2)
    key = house.key(expires_at=soon.isoformat())
    eventually(lambda: house.chat(key) == "SESSION_EXPIRED", "the key expires")
    assert house.item(key)["status"] == "expired"


def test_when_a_key_was_last_used_is_in_the_list(house: House) -> None:
    key = house.key()
    assert house.item(key)["last_used_at"] is None
    house.chat(key)
    (listed,) = (item for item in json.loads(house.command("list", "--json")) if item["prefix"] == key[:12])
    assert listed["last_used_at"] == house.item(key)["last_used_at"] is not None


def test_a_rotated_key_overlaps_for_as_long_as_it_is_to(house: House) -> None:
    old = house.key()
    identity = house.item(old)["id"]
    new = house.command("rotate", identity, "--overlap", "600", "--quiet").strip()
    assert (house.chat(old), house.chat(new)) == ("Hello.", "Hello.")
    newest = house.command("rotate", identity, "--quiet").strip()
    assert [house.chat(key) for key in (old, new, newest)] == ["AUTH_TOKEN_INVALID", "AUTH_TOKEN_INVALID", "Hello."]


def test_a_revoked_key_is_refused_from_then_on_and_kept_for_the_record(house: House) -> None:
    key = house.key()
    assert house.chat(key) == "Hello."
    house.command("revoke", house.item(key)["id"])
    assert house.chat(key) == "AUTH_TOKEN_INVALID"
    assert house.item(key)["status"] == "revoked"
    assert "CONFLICT" in house.command("rotate", house.item(key)["id"], code=1)


def test_no_key_is_in_the_log_the_ledger_or_the_audit_log(house: House) -> None:
    key = house.made("--user", "ada")
    house.command("revoke", house.item(key)["id"])
    rows = house.gateway.audit(1, action="api_key.revoke", resource_id=house.item(key)["id"])
    assert (rows[0]["status"], rows[0]["actor_email"]) == ("SUCCESS", None)
    kept = [house.gateway.rows(table) for table in ("audit", "usage", "resources")]
    assert key[12:] not in repr(kept) + house.gateway.stdout


# -- from nothing ----------------------------------------------------------------------------------------------------


def _init(directory: Path, *arguments: str) -> tuple[str, str]:
    """The key that was shown, and the file that was written."""
    done = subprocess.run(
        [sys.executable, "-m", "scaigrid", "init", "first.yaml", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )
    (key,) = re.findall(r"^  (sgk_\S+)$", done.stdout, re.MULTILINE)
    return key, (directory / "first.yaml").read_text()


def test_the_file_of_init_is_valid_and_serves_and_its_key_opens(provider: Provider, tmp_path: Path) -> None:
    endpoint = provider.at("/init/v1").always(answer(completion("Served.", tokens=(10, 2))))
    key, text = _init(
        tmp_path,
        *("--provider", "openai", "--base-url", endpoint.url, "--upstream-model", "gpt-4o"),
        *("--model", "acme/chat", "--input-price", "2.50", "--output-price", "10"),
    )
    environment = {"OPENAI_API_KEY": "pk-of-the-provider"}
    check = [sys.executable, "-m", "scaigrid", "check", "first.yaml"]
    subprocess.run(check, cwd=tmp_path, env={**os.environ, **environment}, check=True, capture_output=True)
    with Gateway({}, tmp_path / "gateway", environment=environment, text=text) as gateway:
        with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/oai/v1", max_retries=0, timeout=PATIENCE) as client:
            got = client.chat.completions.create(model="acme/chat", messages=[{"role": "user", "content": "Hello?"}])
        assert got.choices[0].message.content == "Served."
        seen = endpoint.seen()
        assert (seen.header("authorization"), seen.json["model"]) == ("Bearer pk-of-the-provider", "gpt-4o")
        (row,) = gateway.usage(1)
        assert row["cost"] == 45_000
        with http_client(gateway, key) as admin:
            assert admin.get("/v1/me").json()["data"]["roles"] == ["super_admin"]
            made = admin.post("/v1/api-keys", json={"name": "next"}).json()["data"]
        assert httpx.get(f"{gateway.url}/v1/me", headers={"authorization": f"Bearer {made['key']}"}).status_code == 200
