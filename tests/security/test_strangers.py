"""Tenants cannot see each other (resilience, section 4): a walk over every operation as a stranger.

Whoever administers one tenant, and whoever may do nothing at all, asks for everything that another tenant has: its real
ids in every path, every filter and every body. No answer has anything of it, and none says that it is there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import httpx
import msgspec
import pytest

from scaigrid.api.operation import Operation
from scaigrid.api.operations import OPERATIONS
from scaigrid.errors import TABLE
from tests.harness.behaviours import answer, completion
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, chat, http_client, secret
from tests.harness.provider import Provider
from tests.security.listed import items_of

WORD: Final = "victimcanary"
"""In everything that is the victim's and has a name."""
MODEL: Final = f"tenant/{WORD}/model"
STRANGERS: Final = ("neighbour", "powerless", "newcomer")
OPEN: Final = frozenset({"/health", "/health/ready", "/metrics", "/docs", "/docs/assets/{name}", "/docs/openapi.json"})
"""Without a key. What they tell is about the gateway; metrics have their own switch, and their own labels."""
EVERYBODYS: Final = frozenset({"prov", "be"})
"""Prefixes of what belongs to the platform and not to a tenant."""

Ids = Mapping[str, str]


def config(provider: Provider) -> dict[str, Any]:
    url = provider.at("/strangers/v1").always(answer(completion())).url
    admin = {"roles": ["tenant_admin"], "limits": UNLIMITED}
    return {
        "partners": {name: {"limits": UNLIMITED} for name in ("default", f"{WORD}-partner", "other")},
        "tenants": {
            "default": {"limits": UNLIMITED},
            WORD: {"partner": f"{WORD}-partner", "display_name": WORD, "limits": UNLIMITED},
            "neighbours": {"partner": "other", "limits": UNLIMITED},
            "newcomers": {"partner": "other", "limits": UNLIMITED},
        },
        "users": {
            "root": {"roles": ["super_admin"], "limits": UNLIMITED},
            f"{WORD}-user": {**admin, "tenant": WORD, "email": f"{WORD}@example.test"},
            "neighbour": {**admin, "tenant": "neighbours"},
            "newcomer": {**admin, "tenant": "newcomers"},
            "powerless": {"tenant": "neighbours", "roles": [], "limits": UNLIMITED},
        },
        "groups": {f"{WORD}-group": {"tenant": WORD, "users": [f"{WORD}-user"]}},
        "roles": {f"{WORD}-role": {"tenant": WORD, "core_permissions": ["models:list"]}},
        "role_mappings": {f"{WORD}-mapping": {"group": f"{WORD}-group", "role": "tenant_viewer"}},
        "keys": {
            name: {"user": name, "key": secret(name), "limits": UNLIMITED}
            for name in ("root", f"{WORD}-user", *STRANGERS)
        },
        "providers": {"p": {"type": "openai", "base_url": url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {MODEL: {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": [{"backend": "b"}]}}},
        "model_groups": {f"{WORD}-models": {"scope": "tenant", "of": WORD, "models": [MODEL]}},
        "model_access": {f"{WORD}-access": {"subject": "tenant", "of": WORD, "model": MODEL}},
        "budgets": {f"{WORD}-budget": {"scope": "tenant", "of": WORD, "period": "total", "cost_limit": 1}},
    }


class Town(msgspec.Struct, kw_only=True):
    """A gateway where somebody has something of everything."""

    gateway: Gateway
    ids: Ids
    """Of what the victim has, by prefix."""
    request_id: str


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    directory: Path = tmp_path_factory.mktemp("strangers")
    with Provider() as provider, Gateway(config(provider), directory) as gateway:
        with http_client(gateway, secret(f"{WORD}-user")) as victim:
            got = victim.post("/v1/inference/chat", json=chat(MODEL))
            assert got.status_code == 200, got.text
        request_id = got.headers["x-request-id"]
        (row,) = gateway.usage(1)
        gateway.audit(1, request_id=request_id)
        with http_client(gateway, secret("root")) as root:
            ids = {**_ids(root), "usage": row["id"]}
        yield Town(gateway=gateway, ids=ids, request_id=request_id)
        assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


def _ids(root: httpx.Client) -> dict[str, str]:
    """What a super admin finds in the lists that has to do with the victim."""
    found: dict[str, str] = {}
    for row in OPERATIONS:
        if row.method == "get" and "{" not in row.path and row.path not in OPEN and not row.keyless:
            got = root.get(row.path)
            if got.status_code != 200 or not got.headers["content-type"].startswith("application/json"):
                continue
            for item in items_of(got.json()):
                id_ = item.get("id")
                if isinstance(id_, str) and (WORD in json.dumps(item) or _prefix(id_) in EVERYBODYS):
                    found.setdefault(_prefix(id_), id_)
    # A route and its access are known by what they lead to.
    return found


def _prefix(id_: str) -> str:
    return id_.partition("_")[0]


def test_the_victim_has_something_of_everything_that_can_be_made(town: Town) -> None:
    """So that the walk below asks for real things."""
    made = {
        _prefix(data["id"])
        for row in OPERATIONS
        if row.method == "post" and row.status == 201 and (data := _data(row)) is not None
    }
    assert made - set(town.ids) == set()


def _data(row: Operation) -> dict[str, Any] | None:
    example = _plain(row.example)
    data: Any = example.get("data") if example is not None else None
    return cast("dict[str, Any]", data) if isinstance(data, dict) and "id" in data else None


def _plain(example: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(example)) if example is not None else None


def path_of(row: Operation, town: Town) -> str:
    """The operation's path, with what is the victim's in it."""
    collection = row.path.partition("/{")[0]
    values = {
        "id": town.ids.get(_collected(collection), "missing"),
        "user_id": town.ids["user"],
        "scope": "tenant",
        "scope_id": town.ids["tenant"],
        "slug": MODEL,
        "request_id": town.request_id,
        "response_id": "resp_of_somebody_else",
        "name": "swagger-ui.css",
    }
    return re.sub(r"\{(\w+)(?::path)?\}", lambda found: values[found[1]], row.path)


def _collected(collection: str) -> str:
    """The prefix of the ids of a collection."""
    for row in OPERATIONS:
        if row.path == collection and row.method == "post" and (data := _data(row)) is not None:
            return _prefix(data["id"])
    return ""


_ID: Final = re.compile(r"([a-z]+)_[0-9a-f]{32}")


def aimed(value: Any, town: Town) -> Any:
    """An example with the victim's own in the place of every id and model in it."""
    if isinstance(value, dict):
        return {key: aimed(one, town) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [aimed(value[place], town) for place in range(len(value))]  # pyright: ignore[reportUnknownArgumentType]  # JSON
    if isinstance(value, str) and (found := _ID.fullmatch(value)) is not None:
        return town.ids.get(found[1], value)
    return MODEL if value in {"acme/chat", "openai/gpt-4o"} else value


def body_of(row: Operation, town: Town) -> Any:
    if row.call is not None:
        return {
            "model": MODEL,
            "messages": [{"role": "user", "content": "x"}],
            "input": "x",
            "prompt": "x",
            "query": "x",
        }
    return aimed(_plain(row.body_example), town)


def leaks(got: httpx.Response, town: Town, asked: str) -> list[str]:
    """What an answer has of the victim's that was not in the question."""
    held = [WORD, town.request_id, *(id_ for prefix, id_ in town.ids.items() if prefix not in EVERYBODYS)]
    return [one for one in held if one in got.text and one not in asked]


WALKED: Final = [row for row in OPERATIONS if row.path not in OPEN]


@pytest.mark.parametrize("stranger", ["neighbour", "powerless"])
def test_nothing_of_a_tenant_is_reached_by_its_id(town: Town, stranger: str) -> None:
    """Hidden is 404; who may not use an operation at all is told so, of what is there as of what is not."""
    wrong: list[str] = []
    with http_client(town.gateway, secret(stranger)) as client:
        for row in WALKED:
            path, body = path_of(row, town), body_of(row, town)
            named = path != row.path or (body is not None and body != _plain(row.body_example))
            for headers in ({}, {"x-scaigrid-tenant": town.ids["tenant"]}):
                got = client.request(
                    row.method.upper(), path, headers=headers, **({} if body is None else {"json": body})
                )
                asked = f"{path} {json.dumps(body)} {headers}"
                told = f"{row.method.upper()} {path} {headers}: {got.status_code} {got.text[:150]}"
                # Whoever administers a tenant reads there what its own people have asked for.
                found = [] if row.path.startswith("/v1/audit-log") else leaks(got, town, asked)
                if got.status_code >= 500 or found:
                    wrong.append(f"{told} {found}")
                elif got.status_code < 300 and ((named and not _shared(row, path)) or (headers and row.tenant_header)):
                    wrong.append(f"reached {told}")
                elif path != row.path and got.status_code not in (200, 403, 404, 405, 422):
                    wrong.append(f"told otherwise {told}")
    assert wrong == []


def _shared(row: Operation, path: str) -> bool:
    """What is everybody's: anybody may see the platform's own, as far as a permission goes."""
    return any(f"/{name}/" in path for name in ("backends", "providers"))


@pytest.mark.parametrize("stranger", ["newcomer", "powerless"])
def test_nothing_of_a_tenant_is_found_by_a_filter(town: Town, stranger: str) -> None:
    """The newcomer has asked for nothing by its id: what somebody asked for stands in its own tenant's audit log."""
    document = httpx.get(f"{town.gateway.url}/docs/openapi.json").json()
    values = {
        "tenant_id": town.ids["tenant"],
        "partner_id": town.ids["partner"],
        "user_id": town.ids["user"],
        "actor_id": town.ids["user"],
        "subject_id": town.ids["tenant"],
        "scope_id": town.ids["tenant"],
        "resource_id": town.ids["tenant"],
        "group_id": town.ids["group"],
        "custom_role_id": town.ids["role"],
        "key_id": town.ids["apikey"],
        "model_id": town.ids["model"],
        "model_group_id": town.ids.get("mgroup", town.ids["group"]),
        "request_id": town.request_id,
        "model": MODEL,
        "slug": WORD,
        "name": f"{WORD}-group",
        "email": f"{WORD}@example.test",
        "actor_email": f"{WORD}@example.test",
        "q": WORD,
    }
    asked = 0
    wrong: list[str] = []
    with http_client(town.gateway, secret(stranger)) as client:
        for path, operations in document["paths"].items():
            if "get" not in operations or "{" in path or path in OPEN:
                continue
            names = [one["name"] for one in operations["get"].get("parameters", []) if one.get("in") == "query"]
            for name in [None, *(name for name in names if name in values)]:
                query = {} if name is None else {name: values[name]}
                got = client.get(path, params=query)
                asked += 1
                if got.status_code >= 500 or leaks(got, town, f"{query}"):
                    wrong.append(f"{path} {query}: {got.status_code} {got.text[:200]}")
    assert wrong == []
    assert asked > 60


def test_what_is_refused_has_a_code_of_the_table_and_says_no_more_of_what_is_there_than_of_what_is_not(
    town: Town,
) -> None:
    """The answer to a real id and to one that nobody has are the same, but for the id of the request."""
    wrong: list[str] = []
    nobody = "0" * 32
    with http_client(town.gateway, secret("neighbour")) as client:
        for row in WALKED:
            if row.method != "get" or "{id}" not in row.path:
                continue
            real = path_of(row, town)
            made_up = re.sub(r"([a-z]+_)[0-9a-f]{32}", rf"\g<1>{nobody}", real)
            answers = [_stripped(client.get(path)) for path in (real, made_up)]
            if answers[0] != answers[1] and not _shared(row, real):
                wrong.append(f"{real}: {answers}")
            if answers[0][0] >= 400 and answers[0][1]["error"]["code"] not in TABLE:
                wrong.append(f"{real}: {answers[0]}")
    assert wrong == []


def _stripped(got: httpx.Response) -> tuple[int, Any]:
    text = re.sub(r"[a-z]+_[0-9a-f]{32}", "ID", got.text)
    return got.status_code, json.loads(text) if text else None


def test_the_walk_knows_every_operation_of_the_document(town: Town) -> None:
    document = httpx.get(f"{town.gateway.url}/docs/openapi.json").json()
    listed = {f"{method} {path}" for path, operations in document["paths"].items() for method in operations}
    assert {f"{row.method} {row.path}" for row in OPERATIONS} >= {one for one in listed if "/docs" not in one}
