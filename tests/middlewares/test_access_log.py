import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from starlette.requests import Request as Inner
from starlette.responses import PlainTextResponse, Response

from middlewares.access_log import AccessLog, AccessLogConfig
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, exchange_of
from scaigrid.timestamps import iso
from scaigrid.types import Usage
from tests.harness.asgi import Request
from tests.harness.services import Parts
from tests.middlewares.bare import CHAT, NATIVE_CHAT, Bare, called, exchange, knowing


@pytest.fixture
def parts() -> Parts:
    return Parts()


def linked(parts: Parts, app: Any, *, enabled: bool = True) -> AccessLog:
    return AccessLog(app, AccessLogConfig(enabled=enabled), parts.services)


def served(parts: Parts, *, failed_first: bool = False, stream: bool = False) -> Callable[[Exchange], None]:
    """Fills in what becomes of a call that a provider answered: 250 ms after it came, 40 of them ours."""

    def fill(found: Exchange) -> None:
        called(found, stream=stream)
        found.principal = parts.principal
        found.authenticated = True
        one, two = parts.snapshot.backends
        if failed_first:
            found.attempts.append(
                Attempt(backend=one, started=found.started, error=GatewayError(Code.BACKEND_RATE_LIMITED))
            )
        parts.clock.advance(0.25)
        found.attempts.append(Attempt(backend=two, started=found.started))
        found.first_byte = parts.clock.monotonic()
        found.upstream_seconds = 0.21
        found.usage = Usage(input=8, cache_read=5, audio_input=2, output=6, audio_output=1)
        found.usage_source = "provider"
        found.cost = 150_000
        parts.clock.advance(0.5)

    return fill


async def failing(app: AccessLog, request: Request, error: type[BaseException]) -> None:
    with pytest.raises(error):
        await request.through(app)


# -- the line --------------------------------------------------------------------------------------------------------


async def test_a_request_is_one_line_that_says_when_what_and_how_long(parts: Parts) -> None:
    async def slow(_: Inner) -> Response:
        parts.clock.advance(1.5)
        return PlainTextResponse("done", status_code=207)

    began = parts.clock.now()
    request = await Request("/do", "PUT", {"x-request-id": "of-this-one"}).through(linked(parts, Bare(slow).app))
    assert request.status == 207
    assert parts.written.lines == [
        {
            "timestamp": iso(began),
            "level": "info",
            "event": "request",
            "request_id": "of-this-one",
            "method": "PUT",
            "path": "/do",
            "status": 207,
            "duration_ms": 1500.0,
            "client": "192.0.2.7",
            "bytes": 4,
        }
    ]


async def test_a_call_s_line_says_who_asked_which_model_what_it_took_and_what_it_cost(parts: Parts) -> None:
    await Request(CHAT).through(linked(parts, Bare(knowing(served(parts, stream=True))).app))
    (line,) = parts.written.lines
    wanted = {
        "tenant": "default",
        "user": "ann",
        "key": "ann",
        "model": "acme/chat",
        "backend": "two",
        "attempts": 1,
        "stream": True,
        "first_byte_ms": 250.0,
        "overhead_ms": 40.0,
        "duration_ms": 750.0,
        "tokens_in": 15,
        "tokens_out": 7,
        "usage_source": "provider",
        "cost": 150_000,
    }
    assert line | wanted == line
    assert "tried" not in line
    assert "code" not in line


async def test_with_more_than_one_attempt_each_is_told(parts: Parts) -> None:
    await Request(CHAT).through(linked(parts, Bare(knowing(served(parts, failed_first=True))).app))
    (line,) = parts.written.lines
    assert (line["attempts"], line["tried"]) == (2, ["one: BACKEND_RATE_LIMITED", "two: ok"])


async def test_a_line_waits_for_the_end_of_a_stream(parts: Parts) -> None:
    bare, request = Bare(), Request("/stream")
    running = request.start(linked(parts, bare.app))
    await request.got(1)
    assert parts.written.lines == []
    bare.open()
    await running
    assert [(line["bytes"], line["status"]) for line in parts.written.lines] == [(11, 200)]


@pytest.mark.parametrize(
    ("error", "status", "level"),
    [
        (GatewayError(Code.RATE_LIMITED), 429, "info"),
        (GatewayError(Code.CLIENT_CLOSED), 499, "info"),
        (GatewayError(Code.BACKEND_TIMEOUT), 504, "error"),
    ],
    ids=lambda value: value.code if isinstance(value, GatewayError) else "",
)
async def test_a_refusal_has_its_line_and_goes_on(parts: Parts, error: GatewayError, status: int, level: str) -> None:
    """The link stands inside `errors`: nothing is answered yet when it writes."""

    async def refuses(*_: object) -> None:
        raise error

    await failing(linked(parts, refuses), Request(), GatewayError)
    (line,) = parts.written.lines
    assert (line["status"], line["code"], line["level"]) == (status, error.code, level)
    assert "bytes" not in line


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_what_nobody_expected_has_its_line_and_goes_on(parts: Parts, error: type[BaseException]) -> None:
    async def breaks(*_: object) -> None:
        raise error("of the inside")

    await failing(linked(parts, breaks), Request(), error)
    (line,) = parts.written.lines
    assert (line["status"], line["code"], line["level"]) == (500, "INTERNAL_ERROR", "error")
    assert "of the inside" not in str(line)


async def test_what_failed_late_kept_its_status_and_has_its_code(parts: Parts) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        raise GatewayError(Code.BACKEND_TIMEOUT)

    await failing(linked(parts, late), Request(), GatewayError)
    (line,) = parts.written.lines
    assert (line["status"], line["code"], line["level"], line["bytes"]) == (200, "BACKEND_TIMEOUT", "error", 5)


async def test_a_failure_that_an_application_answered_itself_is_an_error_by_its_status(parts: Parts) -> None:
    async def answers(_: Inner) -> Response:
        return Response(status_code=503)

    await Request("/do").through(linked(parts, Bare(answers).app))
    (line,) = parts.written.lines
    assert (line["status"], line["level"]) == (503, "error")
    assert "code" not in line


async def test_a_stranger_is_nobody_in_the_line(parts: Parts) -> None:
    """The anonymous principal has names too; they would say that somebody was known."""
    await Request("/plain").through(linked(parts, Bare().app))
    assert {"tenant", "user", "key"} & set(parts.written.lines[0]) == set()


async def test_what_a_caller_writes_is_bounded(parts: Parts) -> None:
    def long(found: Exchange) -> None:
        call = called(found).call
        assert call is not None
        found.call, found.model = msgspec.structs.replace(call, model="m" * 1000), None

    app = linked(parts, Bare(knowing(long)).app)
    await Request(CHAT).through(app)
    await Request("/" + "p" * 1000).through(app)
    called_line, path_line = parts.written.lines
    assert called_line["model"] == "m" * 256
    assert path_line["path"] == "/" + "p" * 255


async def test_two_requests_at_once_have_each_their_own_line(parts: Parts) -> None:
    async def by_its_path(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange_of(scope)
        assert found is not None
        called(found, model=scope["path"])
        await bare.gates[0].wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * len(scope["path"])})

    bare = Bare()
    app = linked(parts, by_its_path)
    paths = ["/a", "/bb", "/ccc"]
    running = [Request(path).start(app) for path in paths]
    await asyncio.sleep(0)
    bare.open()
    for task in running:
        await task
    found = {(line["path"], line["model"], line["bytes"]) for line in parts.written.lines}
    assert found == {(path, path, len(path)) for path in paths}


# -- the metrics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [False, True])
async def test_a_call_is_measured_whether_or_not_it_is_logged(parts: Parts, enabled: bool) -> None:
    await Request(CHAT).through(linked(parts, Bare(knowing(served(parts, stream=True))).app, enabled=enabled))
    metrics = parts.metrics
    two = parts.snapshot.backends[1].id
    tenant = parts.principal.tenant.id
    assert metrics.value("scaigrid_requests_total", model="acme/chat", status="200", protocol="openai") == 1
    assert metrics.value("scaigrid_request_duration_seconds_sum", model="acme/chat", backend=two) == 0.75
    assert metrics.value("scaigrid_time_to_first_token_seconds_sum", model="acme/chat") == 0.25
    assert metrics.value("scaigrid_overhead_seconds_sum", link="all") == pytest.approx(0.04)
    for direction, tokens in (("input", 15), ("output", 7)):
        found = metrics.value("scaigrid_tokens_total", model="acme/chat", direction=direction, tenant_id=tenant)
        assert found == tokens


async def test_off_is_without_a_line(parts: Parts) -> None:
    await Request("/plain").through(linked(parts, Bare().app, enabled=False))
    assert parts.written.lines == []
    assert parts.metrics.value("scaigrid_requests_total", model="none", status="202") == 1


async def test_a_plain_answer_has_no_first_token(parts: Parts) -> None:
    await Request(CHAT).through(linked(parts, Bare(knowing(served(parts))).app))
    assert list(parts.metrics.labels("scaigrid_time_to_first_token_seconds_count")) == []
    assert parts.metrics.value("scaigrid_overhead_seconds_count") == 1


async def test_a_made_up_model_is_the_one_label_unknown(parts: Parts) -> None:
    """Else whoever sends requests could fill the memory of whoever scrapes."""
    for name in ("acme/chat-2", "made/up"):
        made_up = Bare(knowing(partial(called, model=name)))
        await Request(NATIVE_CHAT).through(linked(parts, made_up.app))
    metrics = parts.metrics
    assert metrics.value("scaigrid_requests_total", model="unknown", status="200", protocol="native") == 2
    assert "made/up" not in metrics.text
    assert list(metrics.labels("scaigrid_request_duration_seconds_count")) == []


async def test_a_request_that_is_no_call_is_counted_without_a_model(parts: Parts) -> None:
    app = linked(parts, Bare().app)
    await Request("/plain").through(app)
    await Request("/nowhere").through(app)
    found = [(labels["status"], labels["model"]) for labels in parts.metrics.labels("scaigrid_requests_total")]
    assert sorted(found) == [("202", "none"), ("404", "none")]


async def test_a_refused_call_is_counted_by_its_status(parts: Parts) -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange_of(scope)
        assert found is not None
        called(found)
        raise GatewayError(Code.RATE_LIMITED)

    request = Request(CHAT)
    await failing(linked(parts, refuses), request, GatewayError)
    assert exchange(request).error is not None
    assert parts.metrics.value("scaigrid_requests_total", model="acme/chat", status="429", protocol="openai") == 1
    assert list(parts.metrics.labels("scaigrid_request_duration_seconds_count")) == []


async def test_a_copy_that_was_overtaken_has_not_answered(parts: Parts) -> None:
    """However late it was asked: who is named, and whose time is measured, is the one that was heard."""
    one, two = parts.snapshot.backends

    def fill(found: Exchange) -> None:
        served(parts)(found)
        first, second = (Attempt(backend=backend, started=found.started) for backend in (one, two))
        second.overtaken, second.error = True, GatewayError(Code.CLIENT_CLOSED)
        found.attempts = [first, second]

    await Request("/do").through(linked(parts, Bare(knowing(fill)).app))
    (line,) = parts.written.lines
    assert (line["backend"], line["tried"]) == (one.name, [f"{one.name}: ok", f"{two.name}: overtaken"])
    counted = "scaigrid_request_duration_seconds_count"
    assert [parts.metrics.value(counted, backend=each.id) for each in (one, two)] == [1, 0]


@pytest.mark.parametrize(("method", "told"), [("X" * 30_000, "X" * 16), ("sgk_" + "A" * 40, "sgk_***")])
async def test_a_method_is_any_word_and_is_told_as_far_as_one_is(parts: Parts, method: str, told: str) -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        raise GatewayError(Code.AUTH_TOKEN_MISSING)

    await failing(linked(parts, refuses), Request("/do", method), GatewayError)
    assert parts.written.lines[0]["method"] == told


async def test_no_time_of_the_gateway_s_own_is_less_than_none(parts: Parts) -> None:
    def fill(found: Exchange) -> None:
        served(parts)(found)
        found.upstream_seconds = 0.2505

    await Request("/do").through(linked(parts, Bare(knowing(fill)).app))
    assert parts.written.lines[0]["overhead_ms"] == 0
