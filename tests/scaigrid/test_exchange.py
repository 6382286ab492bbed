import pytest

from scaigrid.asgi import Message
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, attach, exchange_of, resolved
from tests.harness.asgi import Request
from tests.harness.services import Parts


def opened(parts: Parts) -> Exchange:
    snapshot = parts.snapshot
    return Exchange(
        request_id="req_1",
        method="POST",
        path="/plain",
        dialect=parts.services.dialect_of("/plain"),
        snapshot=snapshot,
        principal=snapshot.anonymous,
        started=parts.clock.monotonic(),
        started_at=parts.clock.now(),
    )


def test_a_scope_without_one_has_none() -> None:
    assert exchange_of(Request().scope) is None


async def test_it_travels_in_the_scope_and_hears_what_is_sent() -> None:
    exchange, request = opened(Parts()), Request()
    send = attach(request.scope, exchange, request.send)
    assert exchange_of(request.scope) is exchange
    assert (exchange.response_started, exchange.status, exchange.bytes_sent) == (False, 0, 0)
    await send({"type": "http.response.start", "status": 206, "headers": []})
    assert (exchange.response_started, exchange.status, exchange.response_complete) == (True, 206, False)
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    assert (exchange.bytes_sent, exchange.response_complete) == (3, False)
    await send({"type": "http.response.body", "body": b"de"})
    assert (exchange.bytes_sent, exchange.response_complete) == (5, True)
    assert request.body == b"abcde"


async def test_what_links_have_gathered_is_added_to_the_answer_s_own_headers() -> None:
    exchange, request = opened(Parts()), Request()
    send = attach(request.scope, exchange, request.send)
    exchange.response_headers.append((b"x-from-a-link", b"1"))
    own: list[tuple[bytes, bytes]] = [(b"x-own", b"2")]
    start: Message = {"type": "http.response.start", "status": 200, "headers": own}
    await send(start)
    assert request.headers == [("x-own", "2"), ("x-from-a-link", "1")]
    assert own == [(b"x-own", b"2")]


async def test_an_answer_that_nobody_adds_to_passes_as_it_is() -> None:
    exchange, request = opened(Parts()), Request()
    headers = ((b"x-own", b"2"),)
    await attach(request.scope, exchange, request.send)(
        {"type": "http.response.start", "status": 200, "headers": headers}
    )
    assert request.sent[0]["headers"] is headers


@pytest.mark.parametrize(
    ("headers", "streaming"),
    [
        ([(b"content-type", b"text/event-stream; charset=utf-8")], True),
        ([(b"x-a", b"b"), (b"content-type", b"text/event-stream")], True),
        ([(b"content-type", b"application/json")], False),
        ([], False),
    ],
)
async def test_an_event_stream_is_told_by_its_type_whoever_sends_it(
    headers: list[tuple[bytes, bytes]], streaming: bool
) -> None:
    exchange, request = opened(Parts()), Request()
    await attach(request.scope, exchange, request.send)(
        {"type": "http.response.start", "status": 200, "headers": headers}
    )
    assert exchange.streaming is streaming


async def test_an_answer_without_headers_gets_those_of_the_links() -> None:
    exchange, request = opened(Parts()), Request()
    exchange.response_headers.append((b"x-from-a-link", b"1"))
    await attach(request.scope, exchange, request.send)({"type": "http.response.start", "status": 204})
    assert request.headers == [("x-from-a-link", "1")]


def test_two_requests_share_no_list() -> None:
    parts = Parts()
    one, other = opened(parts), opened(parts)
    one.response_headers.append((b"a", b"b"))
    one.takes.extend(parts.principal.windows)
    assert (other.response_headers, other.takes, other.attempts) == ([], [], [])


def test_the_leaf_needs_a_call_and_a_model() -> None:
    """Whoever puts a forwarder behind other links than ours is told what is missing."""
    request = Request()
    with pytest.raises(LookupError, match="behind the links"):
        resolved(request.scope)
    attach(request.scope, opened(Parts()), request.send)
    with pytest.raises(LookupError, match="behind the links"):
        resolved(request.scope)


@pytest.mark.parametrize(("kind", "frames"), [(b"text/event-stream", 3), (b"application/json", 0)])
async def test_the_events_of_a_stream_are_counted(kind: bytes, frames: int) -> None:
    exchange, request = opened(Parts()), Request()
    send = attach(request.scope, exchange, request.send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"data: 1\n\ndata: 2\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"data: 3\n\n"})
    assert exchange.frames_sent == frames


STREAMED: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


async def test_the_last_piece_of_a_stream_goes_ahead_of_its_end() -> None:
    exchange, request = opened(Parts()), Request()
    send = attach(request.scope, exchange, request.send)
    await send(STREAMED)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
    assert [(message["body"], message["more_body"]) for message in request.sent[1:]] == [
        (b"data: [DONE]\n\n", True),
        (b"", False),
    ]
    assert (exchange.response_complete, exchange.bytes_sent, exchange.frames_sent) == (True, 14, 1)


async def test_an_answer_whose_last_piece_could_not_be_sent_is_not_complete() -> None:
    exchange, request = opened(Parts()), Request()

    async def stuck(message: Message) -> None:
        if message.get("body"):
            raise OSError("gone")

    send = attach(request.scope, exchange, stuck)
    await send(STREAMED)
    with pytest.raises(OSError, match="gone"):
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
    assert not exchange.response_complete


def test_what_is_heard_is_the_last_attempt_that_was_not_overtaken() -> None:
    parts = Parts()
    assert opened(parts).heard is None
    exchange, backend = opened(parts), parts.snapshot.backends[0]
    first, second = (Attempt(backend=backend, started=0.0, number=number) for number in (1, 2))
    exchange.attempts = [first, second]
    assert exchange.heard is second
    second.overtaken = True
    assert exchange.heard is first


def test_a_request_ends_with_what_was_answered_else_with_its_error() -> None:
    exchange, error = opened(Parts()), GatewayError(Code.RATE_LIMITED)
    assert (exchange.ended_with(None), exchange.ended_with(error)) == (0, 429)
    exchange.response_started, exchange.status = True, 200
    assert (exchange.ended_with(None), exchange.ended_with(error)) == (200, 200)
