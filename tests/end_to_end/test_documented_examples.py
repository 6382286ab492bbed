"""What the document shows is what happens: each of its examples, sent to a gateway that has the things it speaks of."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from scaigrid.api.operation import Operation
from scaigrid.api.operations import OPERATIONS
from tests.harness import databases
from tests.harness.fuzzing import KEY, configuration
from tests.harness.gateway import Gateway
from tests.harness.planting import Planted, plant
from tests.scaigrid.api.validators import faults

OTHERWISE: Mapping[str, tuple[int, str]] = {
    "POST /v1/providers/{id}/discover": (502, "the provider of the example is not there"),
    **{
        f"{asked} /oai/v1/responses/{{response_id}}{more}": (404, "a name is signed, and a made-up one leads nowhere")
        for asked, more in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items"))
    },
    "GET /v1/requests/{request_id}": (404, "nobody has made the request of the example"),
    "GET /docs/assets/{name}": (404, "a name has the digest of its content in it; the browser's test asks for each"),
}
"""Operations that answer something else here, each with its reason."""

ALREADY = {
    "/v1/role-mappings": "SLUG_CONFLICT",
    "/v1/routes": "CONFLICT",
    "/v1/model-access": "CONFLICT",
}
"""Of these there is one for what they connect, so a second is refused."""


def in_order(row: Operation) -> tuple[bool, bool, int]:
    """What takes away comes last, and a part before the whole."""
    return row.method == "delete", row.path.endswith("/revoke"), -len(row.path)


def asked(row: Operation) -> str:
    return f"{row.method.upper()} {row.path}"


@pytest.fixture
def gateway(database_url: str, start: Any) -> Gateway:
    running: Gateway = start(configuration(database_url))
    return running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}) as asking:
        yield asking


def test_each_example_is_answered_as_the_document_says(client: httpx.Client) -> None:
    document: dict[str, Any] = client.get("/docs/openapi.json").json()
    planted, refusals = plant(client)
    assert {text.partition(":")[0] for text in refusals} == set(ALREADY)
    assert [text for text in refusals if ALREADY[text.partition(":")[0]] not in text] == []
    wrong: list[str] = []
    for row in sorted(OPERATIONS, key=in_order):
        if row.call is None and not (row.method == "post" and row.status == 201):
            answer = sent(client, row, planted)
            wanted, _ = OTHERWISE.get(asked(row), (row.status, ""))
            if answer.status_code != wanted:
                wrong.append(f"{asked(row)}: {answer.status_code} {answer.text[:300]}")
            wrong += [
                f"{asked(row)}: {one}" for one in unlike(answer, document["paths"][row.path][row.method], document)
            ]
    assert wrong == []


def sent(client: httpx.Client, row: Operation, planted: Planted) -> httpx.Response:
    parameters = {name: row.parameter_examples.get(name, "made-up") for name in row.parameters}
    parameters |= planted.addresses.get(asked(row), {})
    body: dict[str, Any] = planted.put_in(msgspec.json.decode(msgspec.json.encode(row.body_example))) or {}
    if "slug" in body and "slug" in parameters:
        body["slug"] = parameters["slug"]
    path = row.path.format(**parameters)
    return client.request(row.method, path) if row.body is None else client.request(row.method, path, json=body)


def unlike(answer: httpx.Response, operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """In what an answer is not as its operation describes it."""
    described = operation["responses"].get(str(answer.status_code))
    if described is None:
        return [f"{answer.status_code} is not foreseen"]
    needed = [
        name
        for name, header in described.get("headers", {}).items()
        if document["components"]["headers"][header["$ref"].rpartition("/")[2]].get("required")
    ]
    found = [f"no header {name}" for name in needed if name not in answer.headers]
    content: dict[str, Any] = described.get("content", {})
    if not content:
        return [*found, *(["has content"] if answer.content else [])]
    media_type = answer.headers["content-type"]
    if media_type == "application/json" and media_type in content:
        return found + faults(answer.json(), content[media_type]["schema"], document["components"])
    return found + ([] if media_type in content else [f"{media_type} is not foreseen"])


def test_each_exception_is_an_operation() -> None:
    assert set(OTHERWISE) <= {asked(row) for row in OPERATIONS}
    assert set(ALREADY) <= {row.path for row in OPERATIONS if row.method == "post"}


def test_both_kinds_of_database_are_looked_at() -> None:
    assert databases.KINDS == ("sqlite", "postgres")
