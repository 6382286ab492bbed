import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import structlog
from starlette.middleware import Middleware as InStarlette
from starlette.requests import Request as Inner
from starlette.responses import Response, StreamingResponse

from middlewares import errors
from middlewares.errors import Errors, ErrorsConfig
from middlewares.request_id import RequestId, RequestIdConfig
from scaigrid.asgi import Message, Receive, Scope, Send
from scaigrid.errors import Code, Detail, GatewayError
from tests.harness.asgi import Request
from tests.harness.eventually import PATIENCE
from tests.harness.logs import logging_to
from tests.harness.services import KEY, PROVIDER_KEY, Parts, Written
from tests.middlewares.bare import Bare, Handler, exchange

DIALECTS = {"anthropic": "/anthropic/v1/do", "openai": "/oai/v1/do", "native": "/v1/do"}
INSIDE = "postgres://admin:hunter22@10.0.0.7/ledger"
"""What an exception of the inside says."""


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """What the link logs, as it would be written."""
    sink = Written()
    with logging_to(sink):
        monkeypatch.setattr(errors, "_log", structlog.get_logger("middlewares.errors"))
        yield sink


def linked(parts: Parts, do: Handler) -> Any:
    """The link in Starlette's own list; around the whole of Starlette, Starlette has answered by then."""
    inside = InStarlette(Errors, config=ErrorsConfig(), services=parts.services)
    return Bare(do, inside=[inside]).app


def raising(error: BaseException) -> Handler:
    async def handler(_: Inner) -> Response:
        raise error

    return handler


def late(error: BaseException, media_type: str) -> Handler:
    """Fails behind the first piece of its answer."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        raise error

    async def handler(_: Inner) -> Response:
        return StreamingResponse(pieces(), media_type=media_type)

    return handler


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("code", Code)
async def test_before_the_first_byte_a_refusal_is_answered_in_the_client_s_own_dialect(
    parts: Parts, code: Code, dialect: str
) -> None:
    error = GatewayError(code, "Why.", details=(Detail("field", "is odd"),), retry_after=7, level="key")
    request = await Request(DIALECTS[dialect], headers={"x-request-id": "of-this-call"}).through(
        linked(parts, raising(error))
    )
    (speaks,) = [one for one in parts.services.dialects if one.name == dialect]
    headers, body = speaks.error(error, "of-this-call")
    expected = [(name.decode(), value.decode()) for name, value in headers]
    assert (request.status, request.body) == (error.status, body)
    assert request.headers == [*expected, ("content-length", str(len(body)))]
    assert request.complete
    assert request.header("retry-after") == "7"


@pytest.mark.parametrize("path", ["/do", "/v1/do", "/oai/v1x", "/oai", "/"])
async def test_a_path_that_no_dialect_owns_is_answered_in_the_native_one(parts: Parts, path: str) -> None:
    async def fails(*_: object) -> None:
        raise GatewayError(Code.NOT_FOUND)

    request = await Request(path).through(Errors(fails, ErrorsConfig(), parts.services))
    assert request.json["status"] == "error"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_in_an_event_stream_the_failure_is_told_inside_it(parts: Parts, dialect: str) -> None:
    error = GatewayError(Code.BACKEND_TIMEOUT, "Too late.")
    request = await Request(DIALECTS[dialect], headers={"x-request-id": "of-this-call"}).through(
        linked(parts, late(error, "text/event-stream"))
    )
    (speaks,) = [one for one in parts.services.dialects if one.name == dialect]
    assert request.status == 200
    assert request.pieces == [b"data: first\n\n", speaks.stream_error(error, "of-this-call")]
    assert request.complete


@pytest.mark.parametrize("error", [GatewayError(Code.BACKEND_TIMEOUT), ZeroDivisionError("a bug")], ids=type)
async def test_in_any_other_answer_that_has_begun_nothing_is_added(
    parts: Parts, log: Written, error: Exception
) -> None:
    """The answer stays open-ended, which is how a server knows to cut the connection."""
    request = await Request("/v1/do").through(linked(parts, late(error, "application/json")))
    assert request.pieces == [b"data: first\n\n"]
    assert not request.complete


async def test_a_bug_in_the_middle_of_an_event_stream_is_told_without_its_text(parts: Parts, log: Written) -> None:
    error = ZeroDivisionError(INSIDE)
    request = await Request("/oai/v1/do").through(linked(parts, late(error, "text/event-stream; charset=utf-8")))
    first, last = request.pieces
    assert first == b"data: first\n\n"
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "INTERNAL_ERROR"
    assert b"hunter22" not in last
    assert b"hunter22" in log.raw[0]


async def test_nothing_is_added_to_an_event_stream_that_was_over(parts: Parts, log: Written) -> None:
    async def fails_after(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        raise GatewayError(Code.STORE_UNAVAILABLE)

    request = await Request("/v1/do").through(Errors(fails_after, ErrorsConfig(), parts.services))
    assert request.pieces == [b"data: [DONE]\n\n"]
    assert request.complete


async def test_a_client_that_left_is_told_nothing(parts: Parts) -> None:
    error = GatewayError(Code.CLIENT_CLOSED)
    request = await Request("/v1/do").through(linked(parts, late(error, "text/event-stream")))
    assert request.pieces == [b"data: first\n\n"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unexpected_exception_says_nothing_of_the_inside(parts: Parts, log: Written, dialect: str) -> None:
    request = await Request(DIALECTS[dialect]).through(linked(parts, raising(RuntimeError(INSIDE))))
    assert (request.status, request.code) == (500, "INTERNAL_ERROR")
    assert request.json["error"]["message"] == "Something failed inside the gateway."
    said = b"".join([request.body, *(f"{name}{value}".encode() for name, value in request.headers)])
    for word in (b"hunter22", b"RuntimeError", b"Traceback", b".py"):
        assert word not in said


async def test_an_unexpected_exception_is_logged_with_its_id_and_where_it_came_from(parts: Parts, log: Written) -> None:
    inner = linked(parts, raising(RuntimeError(INSIDE)))
    chain = RequestId(inner, RequestIdConfig(), parts.services)
    request = await Request("/v1/do", headers={"x-request-id": "to-be-found"}).through(chain)
    assert request.json["meta"]["request_id"] == "to-be-found"
    (line,) = log.lines
    assert (line["event"], line["level"], line["request_id"], line["path"]) == (
        "unexpected_error",
        "error",
        "to-be-found",
        "/v1/do",
    )
    (stack,) = line["exception"]
    assert (stack["exc_type"], stack["exc_value"]) == ("RuntimeError", INSIDE)
    assert stack["frames"][-1]["name"] == "handler"
    assert stack["frames"][-1]["filename"] == __file__


async def test_a_logged_traceback_holds_no_local_variable(parts: Parts, log: Written) -> None:
    async def handler(request: Inner) -> Response:
        password = "swordfish" + "-in-a-local"
        return Response(str(len(password) // len(await request.body())))

    request = await Request("/do", body=b"").through(linked(parts, handler))
    assert request.code == "INTERNAL_ERROR"
    (line,) = log.raw
    assert b"ZeroDivisionError" in line
    assert b"swordfish" not in line
    assert b'"locals"' not in line


async def test_a_refusal_is_no_line_of_the_log(parts: Parts, log: Written) -> None:
    await Request("/v1/do").through(linked(parts, raising(GatewayError(Code.NOT_FOUND))))
    assert log.raw == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("secret", [KEY, PROVIDER_KEY])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first byte", "after it"])
async def test_a_known_secret_never_reaches_a_client(parts: Parts, dialect: str, secret: str, begun: bool) -> None:
    """A provider may quote the key that it refuses, and its words are handed on."""
    error = GatewayError(Code.BACKEND_ERROR, f"Incorrect API key provided: {secret}. Ask for another.")
    handler = late(error, "text/event-stream") if begun else raising(error)
    request = await Request(DIALECTS[dialect]).through(linked(parts, handler))
    assert secret.encode() not in request.body
    told = b"sgk_***" if secret.startswith("sgk_") else b"***"
    assert b"Incorrect API key provided: %b. Ask for another." % told in request.body


async def test_a_key_of_one_letter_is_not_looked_for_in_words(parts: Parts) -> None:
    """What a trial has for a key would be found in every sentence; from eight characters on it is a secret."""
    current = parts.services.current
    current.snapshot = msgspec.structs.replace(current.snapshot, secrets=("x", "12345678"))
    error = GatewayError(Code.BACKEND_ERROR, "The next one: 12345678.")
    request = await Request("/v1/do").through(linked(parts, raising(error)))
    assert b"The next one: ***." in request.body


async def test_around_the_whole_of_starlette_its_own_answer_stands(parts: Parts, log: Written) -> None:
    bare = Bare(raising(RuntimeError(INSIDE)))
    request = await Request("/do").through(Errors(bare.app, ErrorsConfig(), parts.services))
    assert (request.status, request.body) == (500, b"Internal Server Error")
    assert [line["event"] for line in log.lines] == ["unexpected_error"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_what_ends_a_process_or_a_task_goes_on(parts: Parts, error: type[BaseException]) -> None:
    async def ends(*_: object) -> None:
        raise error

    request = Request()
    with pytest.raises(error):
        await Errors(ends, ErrorsConfig(), parts.services)(request.scope, request.receive, request.send)
    assert not request.started


async def test_a_surface_with_a_way_of_its_own_tells_a_failure_so(parts: Parts) -> None:
    """It is told how many frames went before: its events are numbered."""

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange(request)
        found.call = found.dialect.decode("/oai/v1/responses", b'{"model":"acme/chat","input":"Hi","stream":true}')
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 0\n\ndata: 1\n\n", "more_body": True})
        raise GatewayError(Code.BACKEND_TIMEOUT, "Too late.")

    request = Request("/oai/v1/responses", headers={"x-request-id": "of-this-call"})
    await request.through(Errors(breaks, ErrorsConfig(), parts.services))
    name, _, data = request.pieces[-1].decode().partition("\n")
    told = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert (told["type"], told["sequence_number"], told["code"]) == ("error", 2, "BACKEND_TIMEOUT")
    assert told["error"]["request_id"] == "of-this-call"


async def test_nothing_of_a_refused_call_waits_for_the_collector(parts: Parts) -> None:
    """Its error is noted on the exchange, which the frames hold that it came through: a ring, and the body in it."""

    class Body:
        pass

    watched: list[weakref.ref[Body]] = []

    async def refuses(*_: object) -> None:
        body = Body()
        watched.append(weakref.ref(body))
        error = exchange(request).error = GatewayError(Code.VALIDATION_ERROR)
        raise error

    request = Request()
    gc.disable()
    try:
        await request.through(Errors(refuses, ErrorsConfig(), parts.services))
        assert request.started
        assert [one() for one in watched] == [None]
    finally:
        gc.enable()


async def test_the_end_of_a_broken_stream_is_not_waited_for_without_an_end(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has stopped reading: its call would never be over."""
    monkeypatch.setattr(errors, "_LONGEST_READ", 0.01)
    request, never = Request("/oai/v1/do"), asyncio.Event()

    async def stuck(message: Message) -> None:
        await request.send(message)
        if b"error" in message.get("body", b""):
            await never.wait()

    async def breaks(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise GatewayError(Code.BACKEND_TIMEOUT)

    async with asyncio.timeout(PATIENCE):
        await Errors(breaks, ErrorsConfig(), parts.services)(request.scope, request.receive, stuck)
    assert b"BACKEND_TIMEOUT" in request.body


@pytest.mark.parametrize("path", DIALECTS.values(), ids=DIALECTS)
async def test_a_key_in_the_wrong_place_is_not_given_back_in_a_detail(parts: Parts, path: str) -> None:
    details = (Detail(f"messages[0].{KEY}", "is not a known field"), Detail("model", f"there is no {PROVIDER_KEY}"))

    async def refuses(*_: object) -> None:
        raise GatewayError(Code.VALIDATION_ERROR, details=details)

    request = await Request(path).through(Errors(refuses, ErrorsConfig(), parts.services))
    assert KEY.encode() not in request.body
    assert PROVIDER_KEY.encode() not in request.body
    assert b"is not a known field" in request.body
