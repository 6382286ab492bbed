import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Inner
from starlette.responses import Response

from middlewares.intake import Intake, IntakeConfig
from scaigrid.asgi import Message
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.held import Held
from scaigrid.roles import Reach
from tests.harness.asgi import Request
from tests.harness.services import Parts
from tests.middlewares.bare import CHAT, NATIVE_CHAT, Bare, exchange, identified

LIMIT = 1024
BODY = json.dumps({"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
CHUNKED = [BODY[:7], b"", BODY[7:8], BODY[8:]]


@pytest.fixture
def parts() -> Parts:
    return Parts()


def linked(parts: Parts, app: Any = None) -> Intake:
    return Intake(app or Bare().app, IntakeConfig(max_body_bytes=LIMIT), parts.services)


def exactly(size: int) -> bytes:
    """A sound call of so many bytes."""
    return BODY[:-1] + b" " * (size - len(BODY)) + b"}"


async def refusal(parts: Parts, request: Request, app: Any = None) -> GatewayError:
    async def never(*_: object) -> None:
        raise AssertionError("it goes no further")

    with pytest.raises(GatewayError) as caught:
        await request.through(linked(parts, app or never))
    assert not request.started
    return caught.value


# -- a call ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "dialect"), [(CHAT, "openai"), (NATIVE_CHAT, "native")])
async def test_a_body_becomes_the_call_of_its_path_s_dialect(parts: Parts, path: str, dialect: str) -> None:
    request = await Request(path, body=BODY).through(linked(parts))
    found = exchange(request)
    assert found.call is not None
    assert (found.call.dialect, found.call.operation, found.call.model) == (dialect, "chat", "acme/chat")
    assert (found.call.stream, found.call.body) == (True, BODY)
    assert found.model is parts.snapshot.models["acme/chat"]


async def test_a_model_that_there_is_not_is_none_and_for_another_link_to_refuse(parts: Parts) -> None:
    body = BODY.replace(b"acme/chat", b"made/up")
    request = await Request(CHAT, body=body).through(linked(parts))
    assert exchange(request).call is not None
    assert exchange(request).model is None


async def test_tags_of_a_header_stand_beside_those_of_the_body_which_win(parts: Parts) -> None:
    body = BODY[:-1] + b', "metadata": {"team": "blue"}}'
    headers = {"X-ScaiGrid-Tags": "team=red,ort=K%C3%B6ln"}
    request = await Request(CHAT, body=body, headers=headers).through(linked(parts))
    found = exchange(request).call
    assert found is not None
    assert (found.tags, found.body) == ({"team": "blue", "ort": "Köln"}, body)


async def test_tags_that_cannot_be_read_are_refused(parts: Parts) -> None:
    request = Request(CHAT, body=BODY, headers={"X-ScaiGrid-Tags": "team"})
    refused = await refusal(parts, request)
    assert [detail.field for detail in refused.details] == ["X-ScaiGrid-Tags"]


@pytest.mark.parametrize(
    "pieces", [[BODY], CHUNKED, [bytes([byte]) for byte in BODY]], ids=["whole", "chunked", "bytes"]
)
async def test_however_a_body_is_cut_it_is_the_same_call(parts: Parts, pieces: Sequence[bytes]) -> None:
    request = await Request(CHAT, body=pieces).through(linked(parts))
    call = exchange(request).call
    assert call is not None
    assert call.body == BODY


@pytest.mark.parametrize("pieces", [[BODY], CHUNKED], ids=["whole", "chunked"])
async def test_an_application_further_in_reads_the_same_body_again(parts: Parts, pieces: Sequence[bytes]) -> None:
    request = await Request(CHAT, body=pieces).through(linked(parts))
    assert (request.status, request.body) == (200, BODY)


async def test_behind_the_body_comes_what_the_client_does(parts: Parts) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: object) -> None:
        seen.append((await receive())["type"])
        request.leave()
        seen.append((await receive())["type"])
        seen.append((await receive())["type"])

    request = Request(CHAT, body=BODY)
    await request.through(linked(parts, app))
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]


async def test_what_cannot_be_decoded_is_refused_with_each_fault(parts: Parts) -> None:
    error = await refusal(parts, Request(CHAT, body=b'{"model": 5, "messages": [], "stream": "yes"}'))
    assert error.code is Code.VALIDATION_ERROR
    assert {detail.field for detail in error.details} >= {"model", "stream"}


async def test_no_body_is_no_call(parts: Parts) -> None:
    assert (await refusal(parts, Request(CHAT, body=b""))).code is Code.VALIDATION_ERROR


# -- its size --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, "/do"])
@pytest.mark.parametrize("declared", [str(LIMIT + 1), "9" * 20, "9" * 5000, "-1", "1e3", "ten", ""])
async def test_a_body_that_is_declared_too_large_is_refused_unread(parts: Parts, path: str, declared: str) -> None:
    request = Request(path, headers={"content-length": declared}, body=BODY)
    error = await refusal(parts, request)
    assert (error.code, error.status) == (Code.REQUEST_TOO_LARGE, 413)
    assert str(LIMIT) in error.message
    assert request.reads == 0


async def test_a_body_that_grows_too_large_is_not_read_on(parts: Parts) -> None:
    request = Request(CHAT, body=[b" " * 512, b" " * 512, b"{", b" " * 512, b"}"])
    assert (await refusal(parts, request)).code is Code.REQUEST_TOO_LARGE
    assert request.reads == 3


async def test_a_body_in_one_piece_that_is_too_large_is_refused_whatever_was_declared(parts: Parts) -> None:
    request = Request(CHAT, headers={"content-length": "10"}, body=exactly(LIMIT + 1))
    assert (await refusal(parts, request)).code is Code.REQUEST_TOO_LARGE


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_itself_is_taken(parts: Parts, chunked: bool) -> None:
    body = exactly(LIMIT)
    headers = {} if chunked else {"content-length": str(LIMIT)}
    pieces = [body[:100], body[100:]] if chunked else [body]
    request = await Request(CHAT, headers=headers, body=pieces).through(linked(parts))
    assert len(request.body) == LIMIT


# -- its client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[], [BODY[:10]], [BODY[:10], BODY[10:20]]], ids=len)
async def test_a_client_who_leaves_in_the_middle_of_its_body_is_gone(parts: Parts, pieces: Sequence[bytes]) -> None:
    request = Request(CHAT, body=pieces)
    request.leave()
    assert (await refusal(parts, request)).code is Code.CLIENT_CLOSED
    assert request.reads == len(pieces) + 1


# -- its form --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON ;v=1", None])
async def test_json_is_taken_and_so_is_a_body_that_does_not_say(parts: Parts, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    assert (await Request(CHAT, headers=headers, body=BODY).through(linked(parts))).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", ""])
async def test_any_other_media_type_is_refused_unread(parts: Parts, kind: str) -> None:
    request = Request(CHAT, headers={"content-type": kind}, body=BODY)
    assert (await refusal(parts, request)).code is Code.UNSUPPORTED_MEDIA_TYPE
    assert request.reads == 0


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_a_coded_body_is_refused_unread(parts: Parts, coding: str) -> None:
    request = Request(CHAT, headers={"content-encoding": coding}, body=BODY)
    error = await refusal(parts, request)
    assert (error.code, "Content-Encoding" in error.message) == (Code.UNSUPPORTED_MEDIA_TYPE, True)
    assert request.reads == 0


async def test_identity_is_no_coding(parts: Parts) -> None:
    request = Request(CHAT, headers={"content-encoding": " Identity "}, body=BODY)
    assert (await request.through(linked(parts))).status == 200


# -- what is no operation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method"), [("/do", "POST"), ("/v1/do", "PUT"), (CHAT, "PUT"), (CHAT, "GET")])
async def test_anything_else_keeps_its_body_as_a_stream(parts: Parts, path: str, method: str) -> None:
    """Each piece is asked for by the application, so it has the first one before the last one has come."""
    reads: list[tuple[bytes, int]] = []

    async def pieces(asked: Inner) -> Response:
        reads.extend([(piece, request.reads) async for piece in asked.stream()])
        return Response()

    request = Request(path, method, {"content-type": "text/csv", "content-encoding": "gzip"}, [b"a,", b"b", b"\n"])
    await request.through(linked(parts, Bare(pieces).app))
    assert reads[:3] == [(b"a,", 1), (b"b", 2), (b"\n", 3)]
    assert exchange(request).call is None


async def test_such_a_stream_is_held_to_the_same_limit(parts: Parts) -> None:
    request = Request("/do", body=[b"x" * 1000, b"x" * 24, b"x"])
    seen: list[int] = []

    async def app(scope: object, receive: Any, send: object) -> None:
        while True:
            seen.append(len((await receive())["body"]))

    assert (await refusal(parts, request, app)).code is Code.REQUEST_TOO_LARGE
    assert seen == [1000, 24]


async def test_there_too_a_client_may_leave(parts: Parts) -> None:
    gone: list[bool] = []

    async def reads(asked: Inner) -> Response:
        try:
            await asked.body()
        except ClientDisconnect:
            gone.append(True)
        return Response()

    request = Request("/do", body=[b"x"])
    request.leave()
    await request.through(linked(parts, Bare(reads).app))
    assert gone == [True]


async def test_two_bodies_at_once_are_not_mixed(parts: Parts) -> None:
    app = linked(parts)
    bodies = [BODY.replace(b"Hi", text) for text in (b"first", b"second")]
    requests = [Request(CHAT, body=[body[:30], body[30:]]) for body in bodies]
    for task in [request.start(app) for request in requests]:
        await task
    assert [request.body for request in requests] == bodies


def test_the_limit_has_bounds_of_its_own() -> None:
    for size in (1023, 2**31 + 1):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"max_body_bytes": size}, IntakeConfig)


# -- what a provider keeps -------------------------------------------------------------------------------------------

RESPONSES = "/oai/v1/responses"


def name(parts: Parts, **other: str) -> str:
    """A name of something that the first backend keeps for the holder of the first key."""
    given = {"backend": "be_one", "tenant": parts.principal.tenant.id, "model": "acme/chat", "own": "resp_own"}
    return parts.services.names.name(Held(**{**given, **other}))


async def found(parts: Parts, request: Request, *, reach: Reach = "tenant") -> Exchange:
    who = msgspec.structs.replace(parts.principal, reach=reach)
    await request.through(identified(linked(parts, Bare(answered).app), parts, who))
    return exchange(request)


async def answered(_: Inner) -> Response:
    return Response(b"")


async def test_a_name_in_a_body_is_opened(parts: Parts) -> None:
    body = msgspec.json.encode({"model": "acme/chat", "input": "Hi", "previous_response_id": name(parts)})
    got = await found(parts, Request(RESPONSES, body=body))
    assert got.held is not None
    assert (got.held.own, got.held.backend) == ("resp_own", "be_one")


async def test_a_name_in_a_path_says_which_model_it_is_of(parts: Parts) -> None:
    got = await found(parts, Request(f"{RESPONSES}/{name(parts)}", "DELETE"))
    assert got.call is not None
    assert (got.call.operation, got.call.surface, got.call.model) == (
        "resource",
        "openai/responses/delete",
        "acme/chat",
    )
    assert got.model is parts.snapshot.models["acme/chat"]
    assert got.held is not None


async def test_a_name_of_another_tenant_opens_for_nobody_but_who_reaches_everything(parts: Parts) -> None:
    path = f"{RESPONSES}/{name(parts, tenant='tenant_other')}"
    reaches: tuple[Reach, ...] = ("tenant", "partner", "platform")
    opened = {reach: (await found(parts, Request(path, "GET"), reach=reach)).held for reach in reaches}
    assert [reach for reach, held in opened.items() if held is not None] == ["platform"]


@pytest.mark.parametrize("path", ["resp_1", "resp_1/cancel", "input_tokens"])
async def test_another_method_asks_nothing_there(parts: Parts, path: str) -> None:
    got = await found(parts, Request(f"{RESPONSES}/{path}", "PUT"))
    assert got.call is None


async def test_a_body_that_comes_too_slowly_is_not_waited_for(parts: Parts) -> None:
    gone: list[str] = []

    async def never(*_: object) -> None:
        gone.append("further")

    link = Intake(never, IntakeConfig(body_seconds=0.02), parts.services)
    request = Request(CHAT, body=[])
    with pytest.raises(GatewayError) as caught:
        await request.through(link)
    assert (caught.value.code, caught.value.message) == (
        Code.VALIDATION_ERROR,
        "The request body did not come within 0.02 s.",
    )
    assert gone == []
    assert (await Request(CHAT, body=BODY).through(link)).sent == []
    assert gone == ["further"], "the next one is read as ever"


async def test_a_body_that_comes_byte_by_byte_takes_no_more_room_than_it_has_bytes(parts: Parts) -> None:
    left = 50_000

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": bytes((left % 251, 0)), "more_body": left > 0}

    request = Request(CHAT)
    tracemalloc.start()
    try:
        with pytest.raises(GatewayError):
            await Intake(Bare().app, IntakeConfig(), parts.services)(request.scope, receive, request.send)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000
