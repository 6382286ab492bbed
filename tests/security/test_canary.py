"""Secrets come out nowhere (resilience, section 4): all kinds of them, planted, and every output searched for them.

Keys of callers, of providers, in headers and in credentials; the passwords of the database and of the store; the keys
that encrypt. Answers and errors of every surface, streams, metrics, health, exports, timelines, logs, the command
line's words, every byte of the database and of the data directory, in quiet and while stores are away.
tests/end_to_end/test_canary.py has what a provider says of them.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from scaigrid.api.operations import OPERATIONS
from tests.harness.behaviours import Then, answer, completion, openai_error, openai_frames, stream
from tests.harness.commands import scaigrid
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, chat, http_client, secret
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.postgres import Server
from tests.harness.provider import Provider
from tests.harness.valkey import Valkey
from tests.security.listed import items_of

PLANTED: Final = {
    "a caller's key": secret("canaryann"),
    "an administrator's key": secret("canaryroot"),
    "a provider's key": "canary-of-a-provider-key-0123456789",
    "a provider's header": "canary-of-a-provider-header-0123456789",
    "a provider's credential": "canary-of-a-secret-access-key-0123456789",
    "the database's password": "canaryDatabasePassword0123456789",
    "the store's password": "canaryStorePassword0123456789",
    "the encryption key": "canary-of-the-encryption-key-0123456789-abcdef",
    "an older encryption key": "canary-of-the-encryption-key-before-0123456789",
}
SURFACES: Final = {
    "/v1/inference/chat": chat("m"),
    "/oai/v1/chat/completions": chat("m"),
    "/anthropic/v1/messages": {**chat("m"), "max_tokens": 10},
    "/oai/v1/responses": {"model": "m", "input": "x"},
}


CALLER: Final = "a caller's key"
ROOT: Final = "an administrator's key"
PROVIDER: Final = "a provider's key"
HEADER: Final = "a provider's header"
DATABASE: Final = "the database's password"


class Running(NamedTuple):
    gateway: Gateway
    provider: Provider
    server: Server
    database: str
    store: Valkey
    environment: Mapping[str, str]
    """Where the settings have their secrets from."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory: Path = tmp_path_factory.mktemp("canary")
    with ExitStack() as stack:
        provider = stack.enter_context(Provider())
        store = stack.enter_context(Valkey(password=PLANTED["the store's password"]))
        port = free_port()
        server = stack.enter_context(Server(port=port))
        name = server.createdb()
        url = f"postgres://postgres:{PLANTED[DATABASE]}@{LOOPBACK}:{port}/{name}"
        environment = {
            "CANARY_DATABASE": url,
            "CANARY_STORE": store.url,
            "CANARY_KEY": PLANTED["the encryption key"],
            "CANARY_OLD_KEY": PLANTED["an older encryption key"],
        }
        gateway = Gateway(config(provider), directory / "gateway", environment=environment)
        yield Running(stack.enter_context(gateway), provider, server, name, store, environment)


def config(provider: Provider) -> dict[str, Any]:
    endpoint = provider.at("/canary/v1")
    headers = {"x-org": PLANTED["a provider's header"]}
    credentials = {"access_key_id": "AKIA0123456789ABCDEF", "secret_access_key": PLANTED["a provider's credential"]}
    return {
        "log": {"level": "debug"},
        "store": {"type": "valkey", "url": "${CANARY_STORE}", "timeout_seconds": 0.5},
        "database": {
            "url": "${CANARY_DATABASE}",
            "encryption_key": "${CANARY_KEY}",
            "previous_encryption_keys": ["${CANARY_OLD_KEY}"],
        },
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}, "root": {"roles": ["super_admin"], "limits": UNLIMITED}},
        "keys": {
            "ann": {"user": "ann", "key": PLANTED["a caller's key"], "limits": UNLIMITED},
            "root": {"user": "root", "key": PLANTED["an administrator's key"], "limits": UNLIMITED},
        },
        "providers": {
            "p": {
                "type": "openai",
                "base_url": endpoint.url,
                "api_key": PLANTED["a provider's key"],
                "headers": headers,
            },
            "amazon": {"type": "bedrock", "options": {"region": "us-east-1"}, "credentials": credentials},
        },
        "backends": {"b": {"provider": "p", "model": "m"}, "amazon": {"provider": "amazon", "model": "n"}},
        "models": {
            "m": {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": [{"backend": "b"}]}},
        },
    }


class Outputs:
    """Every text that came out, by where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, place: str, text: str) -> None:
        self.texts[place] = self.texts.get(place, "") + text

    def answer(self, got: httpx.Response) -> httpx.Response:
        self.add(f"{got.request.method} {got.request.url.path}", f"{got.status_code} {got.headers} {got.text}\n")
        return got

    def hits(self) -> list[str]:
        """Where a secret stands, and which one."""
        return [
            f"{name} in {place}: {text[max(0, text.index(one) - 150) : text.index(one) + 100]!r}"
            for place, text in self.texts.items()
            for name, one in PLANTED.items()
            if one in text
        ]


def test_a_planted_secret_is_found_in_no_output(running: Running) -> None:
    gateway, provider, server, database, store, environment = running
    outputs = Outputs()
    ann = {"authorization": f"Bearer {PLANTED[CALLER]}"}
    root = {"authorization": f"Bearer {PLANTED[ROOT]}"}
    with http_client(gateway) as client:
        _calls(client, provider, outputs, ann)
        _reads(client, outputs, root)
        _reads(client, outputs, ann)
        # Outages are told in the log, with the reason that a driver gives.
        store.pause()
        server.stop()
        for path, body in SURFACES.items():
            outputs.answer(client.post(path, json=body, headers=ann))
        for path in ("/health/ready", "/health/detailed", "/v1/tenants", "/metrics", "/v1/accounting/usage"):
            outputs.answer(client.get(path, headers=root))
        outputs.answer(client.post("/v1/tenants", json={"slug": "x"}, headers=root))
        eventually(lambda: "store_lost" in gateway.stdout, "the store is missed")
        server.start()
        store.go_on()
        eventually(lambda: client.get("/v1/tenants", headers=root).status_code == 200, "the database is back")
    _commands(gateway, environment, outputs)
    for file in gateway.data.rglob("*"):
        if file.is_file():
            outputs.add(f"the file {file.name}", file.read_bytes().decode("latin-1"))
    _database(server, database, outputs)
    outputs.add("the store's keys", " ".join(store.keys()))
    assert gateway.stop() == 0
    outputs.add("standard output", gateway.stdout)
    outputs.add("standard error", gateway.stderr)
    hits = outputs.hits()
    sys.stdout.write(f"outputs: {len(outputs.texts)}, secrets: {len(PLANTED)}, hits: {len(hits)}\n")
    assert not hits, "\n".join(hits)
    assert len(outputs.texts) > 60
    assert all(outputs.texts[place] for place in ("standard output", "standard error", "the table usage"))


def _calls(client: httpx.Client, provider: Provider, outputs: Outputs, ann: dict[str, str]) -> None:
    """Answers and errors of every surface, plain and streamed."""
    endpoint = provider.at("/canary/v1")
    told = f"{PLANTED[PROVIDER]} {PLANTED[HEADER]}"
    frames = openai_frames("Fine.")
    for path, body in SURFACES.items():
        for streamed in (False, True):
            endpoint.then(
                stream(*frames) if streamed else answer(completion("Fine.")),
                answer(openai_error(told), status=400),
                answer(openai_error(told), status=401),
                stream(*frames[:2], b"data: " + told.encode() + b"\n\n", Then.CLOSE),
            )
            while endpoint.unused:
                outputs.answer(client.post(path, json={**body, "stream": streamed}, headers=ann))
        for wrong in (
            {"authorization": f"Bearer {PLANTED[PROVIDER]}"},
            {"authorization": f"Bearer {PLANTED[CALLER]}x"},
            {"authorization": f"Basic {PLANTED[CALLER]}"},
            {},
        ):
            outputs.answer(client.post(path, json=body, headers=wrong))
        for bad in ({"model": PLANTED[CALLER]}, {**body, PLANTED[CALLER]: 1}, {**body, "model": PLANTED[ROOT]}):
            outputs.answer(client.post(path, json=bad, headers=ann))
    for place in (f"/v1/models/{PLANTED[CALLER]}", f"/v1/users/{PLANTED[CALLER]}", f"/v1/{PLANTED[CALLER]}"):
        got = client.get(place, headers=ann)
        outputs.add("GET a key as a path", f"{got.headers} {got.text}")


def _reads(client: httpx.Client, outputs: Outputs, headers: dict[str, str]) -> None:
    """Every list, every single thing of it, every export, every timeline."""
    requests: list[str] = []
    for row in OPERATIONS:
        if row.method != "get" or "{" in row.path:
            continue
        got = outputs.answer(client.get(row.path, headers=headers))
        if got.status_code != 200 or not got.headers["content-type"].startswith("application/json"):
            continue
        for item in items_of(got.json()):
            if "id" in item:
                outputs.answer(client.get(f"{row.path}/{item['id']}", headers=headers))
                requests += [item["request_id"]] if "request_id" in item else []
    for id_ in dict.fromkeys(requests[:20]):
        outputs.answer(client.get(f"/v1/requests/{id_}", headers=headers))
    outputs.answer(client.post("/v1/routing/explain", json={"model": "m"}, headers=headers))
    for form in ("csv", "json", "ndjson"):
        outputs.answer(client.get("/v1/accounting/export", params={"format": form}, headers=headers))
        outputs.answer(client.get("/v1/audit-log/export", params={"format": form}, headers=headers))


def _commands(gateway: Gateway, environment: Mapping[str, str], outputs: Outputs) -> None:
    """What the command line says of the file and of the database."""
    for words in (["check"], ["plan"], ["plan", "--json"], ["export"], ["history"], ["history", "--json"], ["reload"]):
        done = scaigrid(words[0], gateway.file, *words[1:], directory=gateway.directory, environment=environment)
        outputs.add(f"scaigrid {' '.join(words)}", f"{done.out}\n{done.err}")
    wrong = gateway.directory / "wrong.yaml"
    wrong.write_text(gateway.file.read_text().replace('"max_output_tokens": 100', '"max_output_token": 100'))
    done = scaigrid("check", wrong, directory=gateway.directory, environment=environment)
    assert done.code != 0
    outputs.add("scaigrid check of a wrong file", f"{done.out}\n{done.err}")


def _database(server: Server, name: str, outputs: Outputs) -> None:
    """Every row of every table, as text."""
    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=name)
    assert len(tables) > 5
    for (table,) in tables:
        rows = server.execute(f"SELECT t::text, encode(t::text::bytea, 'escape') FROM \"{table}\" t", database=name)  # noqa: S608 - a name from the catalogue
        outputs.add(f"the table {table}", "\n".join(str(tuple(row)) for row in rows))
