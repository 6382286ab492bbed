"""The link around an application that is not ours, with both of its stores in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from middlewares.errors import Errors, ErrorsConfig
from middlewares.idempotency import Idempotency, IdempotencyConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.config.snapshot import Principal
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.idempotency import Answer
from scaigrid.middleware import Services, begin
from tests.harness.asgi import Request
from tests.harness.eventually import becomes
from tests.harness.repeats import KeptAnswers, repeats
from tests.harness.services import Parts
from tests.middlewares.bare import CHAT

pytestmark = pytest.mark.anyio

JSON = [(b"content-type", b"application/json"), (b"x-scaigrid-overhead-ms", b"1.5")]
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
Behaviour = Callable[[Receive, Send], Awaitable[None]]


class House:
    """The link, what is inside it, and callers."""

    def __init__(self, **terms: Any) -> None:
        self.parts = Parts()
        self.answers = KeptAnswers()
        self.config = IdempotencyConfig(**terms)
        sizes = {name: value for name, value in terms.items() if name != "enabled"}
        self.services: Services = msgspec.structs.replace(
            self.parts.services, repeats=repeats(self.parts.clock, self.answers, **sizes)
        )
        self.calls = 0
        """How often the application inside was asked."""
        self.gate = asyncio.Event()
        self.behaviour: Behaviour = _plain
        self.attempted = True
        self.principal: Principal = self.parts.principal
        self.link: ASGIApp = Idempotency(self._inside, self.config, self.services)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        if self.attempted:
            found: Exchange = scope["scaigrid.exchange"]
            found.attempts.append(Attempt(backend=self.parts.snapshot.backends[0], started=0))
        await self.behaviour(receive, send)

    def request(self, key: str | None = "one", *, path: str = CHAT, content: str = "Hi", **fields: Any) -> Request:
        body = {"model": "acme/chat", "messages": [{"role": "user", "content": content}], **fields}
        headers = {} if key is None else {"idempotency-key": key}
        return Request(path, headers=headers, body=json.dumps(body).encode())

    def app(self, principal: Principal | None = None) -> ASGIApp:
        async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
            found, send = begin(scope, send, self.services, "test")
            found.principal = principal or self.principal
            found.authenticated = True
            body = (await receive())["body"]
            found.call = found.dialect.decode(found.path, body)
            found.model = found.snapshot.models.get(found.call.model)
            await self.link(scope, receive, send)

        return Errors(decoded, ErrorsConfig(), self.services)

    async def call(self, key: str | None = "one", **fields: Any) -> Request:
        return await self.request(key, **fields).through(self.app())


async def _plain(_: Receive, send: Send) -> None:
    await respond(send, 200, JSON, b'{"said": "hello"}')


def streaming(*pieces: bytes, gate: asyncio.Event | None = None, at: int = 1) -> Behaviour:
    """A stream; the gate stands ahead of the piece number `at`."""

    async def behave(_: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        for number, piece in enumerate(pieces):
            if gate is not None and number == at:
                await gate.wait()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return behave


def refusing(error: GatewayError, *, after: bytes = b"") -> Behaviour:
    async def behave(_: Receive, send: Send) -> None:
        if after:
            await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
            await send({"type": "http.response.body", "body": after, "more_body": True})
        raise error

    return behave


def gated(gate: asyncio.Event, then: Behaviour) -> Behaviour:
    async def behave(receive: Receive, send: Send) -> None:
        await gate.wait()
        await then(receive, send)

    return behave


def replayed(request: Request, of: Request) -> None:
    """`request` was given what `of` was given: status, body, and headers, but for those of each request's own."""
    assert (request.status, request.body) == (of.status, of.body)
    assert request.header("idempotent-replayed") == "true"
    assert of.header("idempotent-replayed") is None
    first: Exchange = of.scope["scaigrid.exchange"]
    again: Exchange = request.scope["scaigrid.exchange"]
    assert request.header("x-scaigrid-original-request-id") == first.request_id == again.repeats
    assert again.request_id != first.request_id
    own = {"idempotent-replayed", "x-scaigrid-original-request-id", "x-scaigrid-overhead-ms"}
    told = [(name, value) for name, value in request.headers if name not in own]
    assert told == [(name, value) for name, value in of.headers if name not in own]
    assert request.header("x-scaigrid-overhead-ms") is None


# -- after the first -------------------------------------------------------------------------------------------------


async def test_a_repeat_is_given_the_first_answer_and_nothing_is_made() -> None:
    house = House()
    first = await house.call()
    again = await house.call()
    replayed(again, first)
    assert house.calls == 1
    assert again.scope["scaigrid.exchange"].attempts == []


async def test_without_a_key_every_call_is_made() -> None:
    house = House()
    await house.call(None)
    await house.call(None)
    assert (house.calls, house.answers.asked) == (2, 0)


async def test_a_stream_is_given_again_byte_for_byte() -> None:
    house = House()
    house.behaviour = streaming(b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n")
    first = await house.call(stream=True)
    again = await house.call(stream=True)
    replayed(again, first)
    assert again.complete
    assert house.calls == 1


async def test_what_keeps_a_silent_stream_alive_is_for_those_who_read_along_and_no_part_of_the_answer() -> None:
    house = House()
    house.behaviour = streaming(b": keep-alive\n\n", b"data: 1\n\n", b"data: 2\n\n", gate=house.gate)
    first, joined = house.request(stream=True), house.request(stream=True)
    tasks = [one.start(house.app()) for one in (first, joined)]
    for one in (first, joined):
        assert await one.got(1) == [b": keep-alive\n\n"]
    house.gate.set()
    await asyncio.gather(*tasks)
    assert first.body == joined.body == b": keep-alive\n\ndata: 1\n\ndata: 2\n\n"
    assert (await house.call(stream=True)).body == b"data: 1\n\ndata: 2\n\n"
    assert house.calls == 1


async def test_what_was_refused_for_good_is_so_although_the_stream_had_been_kept_alive() -> None:
    house = House()
    house.behaviour = refusing(GatewayError(Code.CONTEXT_TOO_LONG), after=b": keep-alive\n\n")
    first = await house.call(stream=True)
    assert (first.status, b"CONTEXT_TOO_LONG" in first.body) == (200, True)
    assert (await house.call(stream=True)).status == 422
    assert house.calls == 1


async def test_the_same_body_written_otherwise_is_the_same_call() -> None:
    house = House()
    await house.call(temperature=1)
    assert (await house.call(temperature=1.0)).header("idempotent-replayed") == "true"


async def test_another_body_under_the_key_is_refused_at_once() -> None:
    house = House()
    await house.call()
    refused = await house.call(content="Another")
    assert (refused.status, refused.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert house.calls == 1


async def test_keys_of_others_and_of_other_paths_are_other_keys() -> None:
    house = House()
    await house.call()
    stranger = msgspec.structs.replace(house.principal, key=None)
    await house.request().through(house.app(stranger))
    await house.call(path="/v1/inference/chat")
    assert house.calls == 3


async def test_the_answer_is_kept_before_the_last_byte_leaves() -> None:
    house = House()
    house.behaviour = streaming(b"one", b"two")
    seen: list[int] = []
    request = house.request(stream=True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            seen.append(len(house.answers.kept))
        else:
            assert house.answers.kept == {}

    await house.app()(request.scope, request.receive, send)
    assert seen == [1]


# -- what is kept ----------------------------------------------------------------------------------------------------


async def test_what_a_provider_refused_for_good_is_refused_again_without_asking_it() -> None:
    house = House()
    house.behaviour = refusing(GatewayError(Code.CONTENT_REFUSED, "Rude.", details=(Detail("messages", "are rude"),)))
    first = await house.call()
    again = await house.call()
    own = {"request_id": again.scope["scaigrid.exchange"].request_id}
    assert (again.status, again.json) == (422, {"error": {**first.json["error"], **own}})
    assert again.header("idempotent-replayed") == "true"
    assert again.header("x-scaigrid-original-request-id") == first.scope["scaigrid.exchange"].request_id
    assert house.calls == 1


@pytest.mark.parametrize(
    "code",
    [
        Code.RATE_LIMITED,
        Code.BACKEND_RATE_LIMITED,
        Code.BUDGET_EXCEEDED,
        Code.CLIENT_CLOSED,
        Code.INTERNAL_ERROR,
        Code.BACKEND_ERROR,
        Code.MODEL_UNAVAILABLE,
        Code.OVERLOADED,
        Code.BACKEND_TIMEOUT,
    ],
)
async def test_what_a_retry_may_change_is_not_kept(code: Code) -> None:
    house = House()
    house.behaviour = refusing(GatewayError(code))
    await house.call()
    house.behaviour = _plain
    assert (await house.call()).status == 200
    assert house.calls == 2


async def test_what_was_refused_for_want_of_another_model_at_the_moment_is_not_kept() -> None:
    house = House()

    async def for_now(_: Receive, __: Send) -> None:
        found: Exchange = first.scope["scaigrid.exchange"]
        found.for_now = True
        raise GatewayError(Code.CONTEXT_TOO_LONG)

    first, house.behaviour = house.request(), for_now
    assert (await first.through(house.app())).code == "CONTEXT_TOO_LONG"
    house.behaviour = _plain
    assert (await house.call()).status == 200
    assert house.calls == 2


async def test_what_was_refused_before_it_was_sent_is_not_kept() -> None:
    """It may be another matter once somebody has changed the configuration."""
    house = House()
    house.attempted = False
    house.behaviour = refusing(GatewayError(Code.UNSUPPORTED_BY_MODEL))
    await house.call()
    house.behaviour = _plain
    assert (await house.call()).status == 200


async def test_a_fault_of_ours_is_not_kept() -> None:
    house = House()

    async def broken(_: Receive, send: Send) -> None:
        raise ZeroDivisionError

    house.behaviour = broken
    with capture_logs():
        assert (await house.call()).code == "INTERNAL_ERROR"
    house.behaviour = _plain
    assert (await house.call()).status == 200


async def test_a_stream_that_broke_off_is_not_kept() -> None:
    house = House()
    house.behaviour = refusing(GatewayError(Code.CONTENT_REFUSED), after=b"data: half\n\n")
    await house.call(stream=True)
    house.behaviour = streaming(b"data: whole\n\n")
    again = await house.call(stream=True)
    assert again.body == b"data: whole\n\n"


async def test_an_answer_of_somebody_else_that_is_no_success_is_not_kept() -> None:
    house = House()

    async def teapot(_: Receive, send: Send) -> None:
        await respond(send, 418, JSON, b"short and stout")

    house.behaviour = teapot
    assert (await house.call()).status == 418
    assert (await house.call()).header("idempotent-replayed") is None
    assert house.calls == 2


async def test_an_answer_larger_than_is_kept_is_not_made_a_second_time() -> None:
    house = House(max_body_bytes=1024)
    house.behaviour = streaming(b"x" * 1000, b"y" * 25)
    first = await house.call(stream=True)
    assert len(first.body) == 1025
    again = await house.call(stream=True)
    assert (again.status, again.code) == (409, "CONFLICT")
    assert again.header("x-should-retry") == "false"
    assert first.scope["scaigrid.exchange"].request_id in again.json["error"]["message"]
    assert house.calls == 1


async def test_what_could_not_be_kept_is_given_again_from_memory() -> None:
    house = House()
    house.gate.clear()

    async def lost(receive: Receive, send: Send) -> None:
        house.answers.away = True
        await _plain(receive, send)

    house.behaviour = lost
    first = await house.call()
    assert first.status == 200
    house.answers.away = False
    replayed(await house.call(), first)
    assert house.calls == 1


async def test_without_the_store_a_key_is_refused_and_nothing_is_made() -> None:
    house = House()
    house.answers.away = True
    refused = await house.call()
    assert (refused.status, refused.code) == (503, "STORE_UNAVAILABLE")
    house.answers.away = False
    assert (await house.call()).status == 200
    assert house.calls == 1


# -- meanwhile -------------------------------------------------------------------------------------------------------


async def test_who_repeats_a_running_stream_gets_it_from_its_start() -> None:
    house = House()
    house.behaviour = streaming(b"one", b"two", b"three", gate=house.gate, at=2)
    first, second = house.request(stream=True), house.request(stream=True)
    running = first.start(house.app())
    await first.got(2)
    joining = second.start(house.app())
    assert await second.got(2) == [b"one", b"two"]
    complete = [second.complete]
    house.gate.set()
    await asyncio.gather(running, joining)
    replayed(second, first)
    assert [*complete, second.complete] == [False, True]
    assert house.calls == 1


async def test_who_repeats_a_running_plain_call_waits_for_its_answer() -> None:
    house = House()
    house.behaviour = gated(house.gate, _plain)
    requests = [house.request() for _ in range(30)]
    running = [request.start(house.app()) for request in requests]
    await becomes(lambda: house.answers.asked == 30, "all have come")
    house.gate.set()
    await asyncio.gather(*running)
    first, *others = sorted(requests, key=lambda request: request.header("idempotent-replayed") or "")
    for other in others:
        replayed(other, first)
    assert house.calls == 1


async def test_who_has_waited_long_enough_is_told_to_come_again() -> None:
    house = House(wait_seconds=0)
    house.behaviour = gated(house.gate, _plain)
    first = house.request()
    running = first.start(house.app())
    await becomes(lambda: house.calls, "the first runs")
    refused = await house.call()
    assert (refused.status, refused.code) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert (refused.header("retry-after"), refused.header("x-should-retry")) == ("2", None)
    house.gate.set()
    await running
    replayed(await house.call(), first)


async def test_another_body_is_refused_while_the_first_runs() -> None:
    house = House()
    house.behaviour = gated(house.gate, _plain)
    first = house.request()
    running = first.start(house.app())
    await becomes(lambda: house.calls, "the first runs")
    assert (await house.call(content="Another")).code == "IDEMPOTENCY_KEY_REUSED"
    house.gate.set()
    assert (await running).status == 200


async def test_whoever_joined_is_told_what_the_first_was_told() -> None:
    house = House()
    house.behaviour = gated(house.gate, refusing(GatewayError(Code.BACKEND_RATE_LIMITED, retry_after=7)))
    first, second = house.request(), house.request()
    running = [first.start(house.app()), second.start(house.app())]
    await becomes(lambda: house.answers.asked == 2, "both have come")
    house.gate.set()
    await asyncio.gather(*running)
    assert [(one.status, one.header("retry-after")) for one in (first, second)] == [(429, "7")] * 2
    assert house.calls == 1


async def test_a_joined_stream_that_breaks_off_says_so() -> None:
    house = House()

    async def broken(_: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        await send({"type": "http.response.body", "body": b"data: half\n\n", "more_body": True})
        await house.gate.wait()
        raise GatewayError(Code.BACKEND_ERROR)

    house.behaviour = broken
    first, second = house.request(stream=True), house.request(stream=True)
    running = [first.start(house.app()), second.start(house.app())]
    await second.got(1)
    house.gate.set()
    await asyncio.gather(*running)
    assert second.body.startswith(b"data: half\n\n")
    assert b"BACKEND_ERROR" in second.body


async def test_who_joins_too_late_for_the_start_is_told_to_come_again() -> None:
    house = House(max_body_bytes=1024)
    house.behaviour = streaming(b"x" * 1000, b"y" * 1000, b"z", gate=house.gate, at=2)
    first = house.request(stream=True)
    running = first.start(house.app())
    await first.got(2)
    assert (await house.call(stream=True)).code == "IDEMPOTENCY_IN_PROGRESS"
    house.gate.set()
    assert (await running).complete


async def test_who_keeps_up_gets_all_of_a_stream_however_long() -> None:
    house = House(max_body_bytes=1024)
    gates = [asyncio.Event() for _ in range(3)]

    async def long(_: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        for number, gate in enumerate(gates):
            await send({"type": "http.response.body", "body": b"%d" % number * 900, "more_body": True})
            await gate.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    house.behaviour = long
    first, second = house.request(stream=True), house.request(stream=True)
    running = [first.start(house.app()), second.start(house.app())]
    for number, gate in enumerate(gates, 1):
        await second.got(number)
        gate.set()
    await asyncio.gather(*running)
    assert second.body == first.body
    assert len(second.body) == 2700


# -- those who leave -------------------------------------------------------------------------------------------------


def leaving(gate: asyncio.Event) -> Behaviour:
    """As the forwarder does: a call ends when `receive` says that its client has left."""

    async def behave(receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        left = asyncio.create_task(_left(receive))
        opened = asyncio.create_task(gate.wait())
        await asyncio.wait((left, opened), return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        opened.cancel()
        if not gate.is_set():
            raise GatewayError(Code.CLIENT_CLOSED)
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    return behave


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_a_first_caller_who_leaves_alone_ends_the_call_and_frees_the_key() -> None:
    house = House()
    house.behaviour = leaving(house.gate)
    first = house.request(stream=True)
    running = first.start(house.app())
    await first.got(1)
    first.leave()
    await running
    assert not first.complete
    house.gate.set()
    again = await house.call(stream=True)
    assert (again.body, house.calls) == (b"onetwo", 2)
    assert again.header("idempotent-replayed") is None


async def test_the_call_goes_on_for_those_who_joined_it() -> None:
    house = House()
    house.behaviour = leaving(house.gate)
    first, second = house.request(stream=True), house.request(stream=True)
    running = first.start(house.app())
    await first.got(1)
    joining = second.start(house.app())
    await second.got(1)
    first.leave()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    house.gate.set()
    await asyncio.gather(running, joining)
    assert (second.body, second.complete) == (b"onetwo", True)
    assert (await house.call(stream=True)).body == b"onetwo"
    assert house.calls == 1


async def test_the_call_ends_when_the_last_of_them_leaves() -> None:
    house = House()
    house.behaviour = leaving(house.gate)
    first, second = house.request(stream=True), house.request(stream=True)
    running = first.start(house.app())
    await first.got(1)
    joining = second.start(house.app())
    await second.got(1)
    first.leave()
    second.leave()
    await asyncio.gather(running, joining)
    assert not house.gate.is_set()
    assert house.answers.kept == {}


async def test_who_was_refused_another_body_is_not_taken_for_one_who_joined() -> None:
    house = House()
    house.behaviour = leaving(house.gate)
    first = house.request(stream=True)
    running = first.start(house.app())
    await first.got(1)
    assert (await house.call(content="Bye", stream=True)).code == "IDEMPOTENCY_KEY_REUSED"
    first.leave()
    await running
    assert not first.complete
    assert house.answers.kept == {}


async def test_a_joiner_whose_first_is_gone_makes_the_call_itself() -> None:
    """The first leaves at the moment when somebody joins; the key is free, so the call is made anew."""
    house = House()
    house.behaviour = gated(house.gate, refusing(GatewayError(Code.CLIENT_CLOSED)))
    first, second = house.request(), house.request()
    running = [first.start(house.app()), second.start(house.app())]
    await becomes(lambda: house.answers.asked == 2, "both have come")

    async def served(receive: Receive, send: Send) -> None:
        await _plain(receive, send)

    house.behaviour = served
    house.gate.set()
    await asyncio.gather(*running)
    assert (second.status, house.calls) == (200, 2)
    assert second.header("idempotent-replayed") is None


async def test_an_answer_that_is_being_kept_when_its_client_leaves_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    holding = asyncio.Event()
    keep = house.answers.keep

    async def slow(scope: str, answer: Answer, seconds: float) -> None:
        holding.set()
        await house.gate.wait()
        await keep(scope, answer, seconds)

    monkeypatch.setattr(house.answers, "keep", slow)
    running = house.request().start(house.app())
    await holding.wait()
    running.cancel()
    await asyncio.sleep(0)
    house.gate.set()
    await asyncio.gather(running, return_exceptions=True)
    assert (await house.call()).header("idempotent-replayed") == "true"
    assert house.calls == 1


async def test_memory_is_given_back() -> None:
    house = House()
    known = house.services.repeats
    assert known is not None
    house.behaviour = streaming(b"one", b"two", gate=house.gate)
    first = house.request(stream=True)
    running = first.start(house.app())
    await first.got(1)
    assert known.held > 0
    house.gate.set()
    await running
    assert known.held == 0


# -- who may, and with what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "a b", "tab\there", "x" * 256, "caf\u00e9"])
async def test_a_key_is_visible_ascii(key: str) -> None:
    house = House()
    refused = await house.call(key)
    assert (refused.status, refused.code) == (422, "VALIDATION_ERROR")
    assert "Idempotency-Key" in refused.body.decode()
    assert house.calls == 0


@pytest.mark.parametrize("key", ["!", "~" * 255, "5f2b2e0c-8d5e-4f7e-9b55-0d1a7a0e6a11"])
async def test_any_visible_ascii_is_a_key(key: str) -> None:
    house = House()
    await house.call(key)
    assert (await house.call(key)).header("idempotent-replayed") == "true"


async def test_a_tenant_that_lets_nothing_be_kept_has_no_keys() -> None:
    house = House()
    house.principal = msgspec.structs.replace(house.principal, keeps_bodies=False)
    await house.call("not even \u00e0 key")
    await house.call("not even \u00e0 key")
    assert (house.calls, house.answers.asked) == (2, 0)


async def test_switched_off_the_header_means_nothing() -> None:
    house = House(enabled=False)
    await house.call()
    await house.call()
    assert (house.calls, house.answers.asked) == (2, 0)


@pytest.mark.parametrize("lost", ["models", "hidden", "permissions", "scopes"])
async def test_who_may_not_use_the_model_any_more_goes_on_to_be_refused(lost: str) -> None:
    """The link further in that refuses is not here: what matters is that nothing is given from what was kept."""
    house = House()
    await house.call()
    left = frozenset({"acme/chat"}) if lost == "hidden" else frozenset[str]()
    house.principal = msgspec.structs.replace(house.principal, **{lost: left})
    assert (await house.call()).header("idempotent-replayed") is None
    assert house.calls == 2


async def test_what_is_free_has_no_keys() -> None:
    house = House()
    for _ in range(2):
        await house.call(path="/anthropic/v1/messages/count_tokens", max_tokens=5)
    assert (house.calls, house.answers.asked) == (2, 0)
