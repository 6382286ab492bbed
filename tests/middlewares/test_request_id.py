import re

import pytest
from starlette.requests import Request as Inner
from starlette.responses import PlainTextResponse

from middlewares.errors import Errors, ErrorsConfig
from middlewares.request_id import RequestId, RequestIdConfig
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.errors import Code, GatewayError
from scaigrid.log import REQUEST_ID
from tests.harness.asgi import Request
from tests.harness.services import Parts
from tests.middlewares.bare import Bare

OURS = re.compile(r"req_[0-9a-f]{32}")


async def seen(request: Inner) -> PlainTextResponse:
    """What the log would be tagged with."""
    return PlainTextResponse(REQUEST_ID.get() or "none")


def linked(bare: Bare) -> RequestId:
    return RequestId(bare.app, RequestIdConfig(), Parts().services)


async def ask(sent: str | None, path: str = "/do") -> Request:
    headers = {} if sent is None else {"x-request-id": sent}
    return await Request(path, headers=headers).through(linked(Bare(seen)))


@pytest.mark.parametrize("sent", ["8-charac", "a" * 128, "Aa0._:-z"])
async def test_a_caller_s_own_id_is_kept(sent: str) -> None:
    request = await ask(sent)
    assert request.header("x-request-id") == sent
    assert request.body.decode() == sent


@pytest.mark.parametrize(
    "sent",
    ["7-chars", "a" * 129, "", "has space", "semi;colon", "uml\u00e4ut-x", "line\nfeed-x", "12345678\n", "1234567/"],
)
async def test_an_id_that_is_none_is_replaced(sent: str) -> None:
    given = (await ask(sent)).header("x-request-id")
    assert given is not None
    assert OURS.fullmatch(given)


async def test_clients_of_a_dialect_find_it_where_they_look_for_it() -> None:
    request = await ask("of-this-call", "/anthropic/v1/do")
    assert (request.header("request-id"), request.header("x-request-id")) == ("of-this-call", "of-this-call")
    assert (await ask("of-this-call")).header("request-id") is None


async def test_a_request_without_one_is_given_its_own() -> None:
    ids = [(await ask(None)).header("x-request-id") for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(one is not None and OURS.fullmatch(one) for one in ids)


@pytest.mark.parametrize(("path", "status"), [("/plain", 202), ("/nowhere", 404), ("/stream", 200)])
async def test_it_is_on_every_answer(path: str, status: int) -> None:
    bare = Bare()
    bare.open()
    request = await Request(path, headers={"x-request-id": "kept-as-it-is"}).through(linked(bare))
    assert (request.status, request.header("x-request-id")) == (status, "kept-as-it-is")


async def test_it_is_on_the_answer_of_a_failure_too() -> None:
    async def fails(_: Inner) -> None:
        raise ZeroDivisionError

    parts = Parts()
    request = Request("/do", headers={"x-request-id": "of-a-failure"})
    with pytest.raises(ZeroDivisionError):
        await request.through(RequestId(Bare(fails).app, RequestIdConfig(), parts.services))
    assert (request.status, request.header("x-request-id")) == (500, "of-a-failure")


async def test_the_error_that_errors_renders_inside_names_the_same_id() -> None:
    async def refuses(*_: object) -> None:
        raise GatewayError(Code.NOT_FOUND)

    parts = Parts()
    inner = Errors(refuses, ErrorsConfig(), parts.services)
    request = await Request("/v1/do").through(RequestId(inner, RequestIdConfig(), parts.services))
    assert request.json["meta"]["request_id"] == request.header("x-request-id")


async def test_the_log_is_tagged_while_the_request_lasts_and_no_longer() -> None:
    outside = REQUEST_ID.set("outside")
    try:
        request = await ask("while-it-lasts")
        assert request.body == b"while-it-lasts"
        assert REQUEST_ID.get() == "outside"
    finally:
        REQUEST_ID.reset(outside)


async def test_the_tag_goes_with_a_failing_request_too() -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError(REQUEST_ID.get())

    with pytest.raises(ZeroDivisionError, match="of-the-failing"):
        await Request(headers={"x-request-id": "of-the-failing"}).through(
            RequestId(fails, RequestIdConfig(), Parts().services)
        )
    assert REQUEST_ID.get() is None


async def test_tasks_of_two_requests_carry_each_their_own() -> None:
    bare = Bare()
    seen_inside: list[str | None] = []

    async def app(scope: object, receive: object, send: object) -> None:
        await bare.gates[0].wait()
        seen_inside.append(REQUEST_ID.get())

    link = RequestId(app, RequestIdConfig(), Parts().services)
    running = [Request(headers={"x-request-id": f"request-{number}"}).start(link) for number in range(3)]
    bare.open()
    for task in running:
        await task
    assert seen_inside == ["request-0", "request-1", "request-2"]


async def test_an_application_may_send_the_same_message_twice() -> None:
    """The id is put on a copy, or the second answer would have two."""
    start: dict[str, object] = {"type": "http.response.start", "status": 204}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    link = RequestId(app, RequestIdConfig(), Parts().services)
    for wanted in ("first-request", "second-request"):
        request = await Request(headers={"x-request-id": wanted}).through(link)
        assert request.headers == [("x-request-id", wanted)]
    assert start == {"type": "http.response.start", "status": 204}


@pytest.mark.parametrize(("version", "told"), [("1.1", "close"), ("2", None)])
async def test_a_worker_that_will_stop_asks_for_the_next_request_elsewhere(version: str, told: str | None) -> None:
    parts, bare = Parts(), Bare()
    link = RequestId(bare.app, RequestIdConfig(), parts.services)
    assert (await Request().through(link)).header("connection") is None
    parts.services.live.leaving = True
    request = Request()
    request.scope["http_version"] = version
    assert (await request.through(link)).header("connection") == told
