from typing import Any

import pytest
from litestar import Litestar

from scaigrid.api.handling import exchange_in
from scaigrid.asgi import Message
from scaigrid.config import entities
from tests.scaigrid.api.control_plane import ControlPlane, config, declared

READABLE = ("/v1/models", "/v1/models/m", "/oai/v1/models", "/v1/me", "/v1/accounting/usage", "/health", "/metrics")


@pytest.mark.parametrize("path", READABLE)
async def test_what_can_be_read_answers_head_too(path: str) -> None:
    plane = ControlPlane(config(models={}))
    get, head = await plane.get(path), await plane.get(path, method="HEAD")
    assert head.status == get.status
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", READABLE)
async def test_options_says_what_a_path_takes(path: str) -> None:
    answer = await ControlPlane().get(path, method="OPTIONS")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("path", [path for path in READABLE if not path.startswith("/v1/models")])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_another_method_is_refused_with_those_that_would_do(path: str, method: str) -> None:
    answer = await ControlPlane().get(path, method=method)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m"])
async def test_a_caller_without_the_permission_is_told_which_one_is_missing(path: str) -> None:
    plane = ControlPlane(config(users={"bob": entities.User(roles=())}, keys={"bob": declared("bob", "bob")}))
    answer = await plane.get(path, "bob")
    assert (answer.status, answer.code) == (403, "AUTHZ_PERMISSION_DENIED")
    assert "models:list" in answer.json["error"]["message"]


async def test_the_refusal_of_a_permission_speaks_the_dialect_of_the_path() -> None:
    plane = ControlPlane(config(users={"bob": entities.User(roles=())}, keys={"bob": declared("bob", "bob")}))
    answer = await plane.get("/oai/v1/models", "bob")
    assert (answer.status, answer.json["error"]["type"]) == (403, "permission_error")


async def test_without_the_edge_links_there_is_no_answer() -> None:
    """An exchange that nobody opened is a mistake of the composition, never one of the caller."""
    app = ControlPlane().answering
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/me",
        "raw_path": b"/v1/me",
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(RuntimeError, match="inside the edge links"):
        await app(scope, receive, send)
    assert isinstance(scope["litestar_app"], Litestar)
    assert exchange_in.__doc__
