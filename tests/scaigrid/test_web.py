"""What Litestar is told, and what comes out of it: failures as they were raised, streams as they were sent."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from litestar import Router, delete, get, post

from scaigrid.asgi import Message, Receive, Scope, Send
from scaigrid.call import Call
from scaigrid.dialect import Resource
from scaigrid.dialects.native import Native
from scaigrid.errors import Code, GatewayError
from scaigrid.web import Kept, assemble

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def lifespan(_: object) -> AsyncGenerator[None]:
    yield


async def ask(app: Any, method: str, path: str) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"gateway")],
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
    return sent


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise GatewayError(Code.OVERLOADED)


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise GatewayError(Code.BACKEND_TIMEOUT)


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("a bug")


async def breaks_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError("a bug")


async def streams(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (b"one", b"two"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize(("surface", "code"), [(fails, Code.OVERLOADED), (fails_late, Code.BACKEND_TIMEOUT)])
async def test_a_refusal_comes_out_as_it_was_raised(surface: Any, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        await ask(assemble(["/call"], surface, [], lifespan), "POST", "/call")
    assert caught.value.code is code


@pytest.mark.parametrize("surface", [breaks, breaks_late])
async def test_a_bug_comes_out_as_it_was_raised_so_that_its_traceback_is_logged(surface: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await ask(assemble(["/call"], surface, [], lifespan), "POST", "/call")


async def test_nothing_is_there_is_a_refusal() -> None:
    with pytest.raises(GatewayError) as caught:
        await ask(assemble(["/call"], streams, [], lifespan), "POST", "/other")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_an_inference_surface_takes_posts_alone(method: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await ask(assemble(["/call"], streams, [], lifespan), method, "/call")
    assert caught.value.code is Code.METHOD_NOT_ALLOWED
    assert (b"allow", b"POST") in caught.value.response_headers()


async def test_a_stream_passes_piece_by_piece() -> None:
    sent = await ask(assemble(["/call"], streams, [], lifespan), "POST", "/call")
    assert [message.get("body") for message in sent[1:]] == [b"one", b"two", b""]


@get("/things")
async def things() -> None:
    return None


@post("/things")
async def make() -> None:
    return None


@delete("/things")
async def drop() -> None:
    return None


@pytest.mark.parametrize("control", [[things, make, drop], [Router("/", route_handlers=[things, make]), drop]])
async def test_options_tells_every_method_of_a_path_wherever_it_was_declared(control: list[Any]) -> None:
    """RFC 9110, section 10.2.1: `Allow` lists what the target supports."""
    start, *_ = await ask(assemble([], streams, control, lifespan), "OPTIONS", "/things")
    headers = dict(start["headers"])
    assert (start["status"], headers[b"allow"]) == (204, b"DELETE, GET, OPTIONS, POST")


def about(name: str, query: str) -> Call:
    raise AssertionError("the links ask, not the router")


class Keeping(Native):
    resources: ClassVar[Mapping[str, Mapping[str, Resource]]] = {"/v1/things/{id}": {"GET": about, "DELETE": about}}


async def kept(method: str, path: str) -> list[Message]:
    app = Kept(assemble(["/v1/things/plain"], streams, [], lifespan), surface, [Keeping()])
    return await ask(app, method, path)


async def surface(scope: Scope, receive: Receive, send: Send) -> None:
    raise GatewayError(Code.OVERLOADED)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_asked_of_something_kept_goes_to_the_surfaces(method: str) -> None:
    with pytest.raises(GatewayError, match="OVERLOADED"):
        await kept(method, "/v1/things/a")


async def test_there_it_takes_its_own_methods_alone() -> None:
    with pytest.raises(GatewayError) as caught:
        await kept("PUT", "/v1/things/a")
    assert caught.value.code is Code.METHOD_NOT_ALLOWED
    assert (b"allow", b"GET, DELETE") in caught.value.response_headers()


async def test_every_other_path_stays_with_the_router() -> None:
    with pytest.raises(GatewayError) as caught:
        await kept("GET", "/v1/things/a/b")
    assert caught.value.code is Code.NOT_FOUND
