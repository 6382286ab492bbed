"""One attempt, with a scripted upstream: what is sent, for how long it is waited, and what is on record by when."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid import pipes as module
from scaigrid.asgi import Message
from scaigrid.call import Call
from scaigrid.config.routing import BackendDeadlines
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Backend
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses import RESOURCES
from scaigrid.errors import Code
from scaigrid.exchange import Reserved, attach
from scaigrid.gates import Gates
from scaigrid.held import Held
from scaigrid.ledger.records import Begun, Record, Settling, UsageRow
from scaigrid.limiter import Bucket, Take
from scaigrid.upstream.port import Upstream, UpstreamFailure
from tests.harness import responses
from tests.harness.behaviours import compact, openai_error
from tests.harness.eventually import becomes
from tests.harness.lanes import CHAT_URL
from tests.harness.upstream import Planned
from tests.scaigrid.scene import ANTHROPIC, FAILED, FINE, PLAIN, SERVED, SHORT, STREAM, Scene, plain, streamed

# -- one attempt -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("dialect", sorted(CHAT_URL))
async def test_a_plain_answer_is_sent_whole(dialect: str, provider: str) -> None:
    scene = Scene(Planned(ANTHROPIC if provider == "anthropic" else PLAIN), dialect=dialect, providers=(provider,))
    assert await scene.run() is None
    request = scene.request
    assert (request.status, request.complete, len(request.pieces)) == (200, True, 1)
    assert request.header("content-length") == str(len(request.body))
    answer = request.json if dialect == "openai" else request.json["data"]
    assert (answer["model"], answer["choices"][0]["message"]["content"]) == ("acme/chat", "Hello.")
    assert scene.rows == [FINE]
    assert (scene.exchange.served, scene.exchange.cost, scene.exchange.backend_cost) == (True, SERVED, 9_000 + 15_000)


async def test_a_stream_is_sent_as_it_comes() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    scene = Scene(Planned(STREAM[0], STREAM[1], gates[0], STREAM[2], gates[1], *STREAM[3:]), asked={"stream": True})
    task = asyncio.create_task(scene.run())
    assert b"Hel" in (await scene.request.got(2))[1]
    gates[0].set()
    assert b"lo." in (await scene.request.got(3))[2]
    assert scene.parts.kept.usage == []
    gates[1].set()
    assert await task is None
    assert scene.request.complete
    assert scene.request.body.endswith(b"data: [DONE]\n\n")
    assert scene.rows == [FINE]
    assert scene.exchange.streaming


async def test_a_stream_that_comes_whole_in_one_piece_begins_once() -> None:
    scene = Scene(streamed(b"".join(STREAM)), asked={"stream": True})
    assert await scene.run() is None
    starts = [message for message in scene.request.sent if message["type"] == "http.response.start"]
    assert (len(starts), scene.request.complete) == (1, True)
    assert scene.request.body.endswith(STREAM[-1])
    assert scene.rows == [FINE]


async def test_a_stream_of_which_nothing_is_passed_on_ahead_of_its_end_begins_once() -> None:
    """Comments, and usage that the client has not asked for."""
    scene = Scene(streamed(b": wait\n\n", STREAM[-2], STREAM[-1]), asked={"stream": True})
    assert await scene.run() is None
    assert [message["type"] for message in scene.request.sent].count("http.response.start") == 1
    assert (scene.request.pieces, scene.request.complete) == ([STREAM[-1]], True)
    assert scene.rows == [FINE]


async def test_the_request_to_the_provider_is_its_own() -> None:
    scene = Scene(plain())
    scene.exchange.output_bound = 77
    await scene.run()
    (sent,) = scene.upstream.requests
    assert (sent.method, sent.url) == ("POST", "http://a.invalid/v1/chat/completions")
    assert dict(sent.headers)["x-request-id"] == scene.exchange.request_id
    body = json.loads(sent.body)
    assert (body["model"], body["max_completion_tokens"]) == ("m-a", 77)


async def test_a_provider_that_needs_a_bound_gets_the_model_s() -> None:
    scene = Scene(Planned(ANTHROPIC), providers=("anthropic",))
    await scene.run()
    assert json.loads(scene.upstream.requests[0].body)["max_tokens"] == 1_000


async def test_a_provider_that_needs_a_bound_gets_the_caller_s_where_there_is_one() -> None:
    scene = Scene(Planned(ANTHROPIC), providers=("anthropic",), asked={"max_tokens": 50})
    await scene.run()
    assert json.loads(scene.upstream.requests[0].body)["max_tokens"] == 50


async def test_the_answer_says_what_served_and_what_the_gateway_added() -> None:
    class Slow(Planned):
        async def head(self) -> None:
            scene.parts.clock.advance(2.0)

    scene = Scene(Slow(PLAIN))
    scene.parts.clock.advance(0.25)
    await scene.run()
    assert scene.request.header("x-scaigrid-model") == "acme/chat"
    assert scene.request.header("x-scaigrid-backend") == "a"
    assert scene.request.header("x-scaigrid-attempts") == "1"
    assert scene.request.header("x-scaigrid-overhead-ms") == "250.000"
    (row,) = scene.parts.kept.usage
    assert (row.first_byte_us, row.latency_us) == (2_250_000, 2_250_000)


async def test_the_operator_may_keep_to_himself_what_served() -> None:
    scene = Scene(plain(), config=ForwarderConfig(expose_backend=False))
    await scene.run()
    assert scene.request.header("x-scaigrid-backend") is None


# -- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_the_row_is_on_record_before_the_last_byte_is_sent(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    scene = Scene(streamed() if stream else plain(), asked={"stream": stream})
    append = scene.parts.kept.append

    def noted(record: Record) -> None:
        seen.append("row")
        append(record)

    monkeypatch.setattr(scene.parts.kept, "append", noted)
    exchange_send = scene.send

    async def watched(message: Message) -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body")
        seen.append("start" if message["type"] == "http.response.start" else "end" if last else "body")
        await exchange_send(message)

    scene.send = watched
    assert await scene.run() is None
    assert seen[-2:] == (["row", "end"] if stream else ["start", "end"])
    assert seen.count("row") == 1
    assert seen == (["start", *["body"] * (len(seen) - 3), "row", "end"] if stream else ["row", "start", "end"])


async def test_a_plain_answer_that_cannot_be_recorded_is_not_sent() -> None:
    scene = Scene(plain())
    scene.parts.kept.full = True
    assert await scene.code() is Code.STORE_UNAVAILABLE
    assert not scene.request.started
    assert len(scene.upstream.requests) == 1


async def test_a_stream_that_cannot_be_recorded_is_not_ended_as_if_it_were() -> None:
    scene = Scene(streamed(), asked={"stream": True})
    scene.parts.kept.full = True
    assert await scene.code() is Code.STORE_UNAVAILABLE
    assert not scene.request.complete
    assert b"[DONE]" not in scene.request.body
    assert len(scene.upstream.requests) == 1


async def test_a_record_that_cannot_be_kept_is_not_the_backend_s_fault() -> None:
    scene = Scene(plain())
    scene.parts.kept.full = True
    await scene.run()
    backend = scene.exchange.attempts[0].backend
    assert scene.parts.health.status(backend.id, scene.parts.clock.monotonic()) == "healthy"


# -- patience --------------------------------------------------------------------------------------------------------


async def test_a_first_byte_that_does_not_come_is_left_for_the_next_backend() -> None:
    silent = Planned(ahead=asyncio.Event())
    scene = Scene(silent, plain(), route={"deadlines": SHORT})
    assert await scene.run() is None
    assert silent.closed.is_set()
    assert scene.rows == [("timeout", False, "none", 0), FINE]


async def test_a_body_that_does_not_come_to_its_end_is_left_for_the_next_backend() -> None:
    scene = Scene(Planned(b'{"id"', asyncio.Event()), plain(), route={"deadlines": SHORT})
    assert await scene.run() is None
    assert scene.asked == "ab"


async def test_comments_ahead_of_a_stream_are_not_its_first_byte() -> None:
    scene = Scene(
        streamed(b": wait\n\n", asyncio.Event()), streamed(), asked={"stream": True}, route={"deadlines": SHORT}
    )
    assert await scene.run() is None
    assert scene.asked == "ab"


async def test_a_stream_that_stalls_ends_with_a_timeout() -> None:
    stalled = streamed(STREAM[0], STREAM[1], asyncio.Event())
    scene = Scene(stalled, asked={"stream": True}, route={"deadlines": SHORT})
    assert await scene.code() is Code.BACKEND_TIMEOUT
    assert stalled.closed.is_set()
    (row,) = scene.parts.kept.usage
    assert (row.outcome, row.serving, row.usage_source) == ("timeout", True, "estimated")


async def test_the_deadline_of_all_attempts_bounds_a_stream_that_goes_on_and_on() -> None:
    class Endless(Planned):
        async def chunk(self) -> bytes:
            await asyncio.sleep(0)
            return STREAM[1]

    deadlines = {"connect": 5, "first_byte": 5, "idle": 5, "total": 0.05}
    scene = Scene(Endless(), asked={"stream": True}, route={"deadlines": deadlines})
    assert await scene.code() is Code.BACKEND_TIMEOUT
    assert scene.request.started


def with_backend(scene: Scene, **fields: Any) -> Scene:
    """The first backend with other settings."""
    first, *others = scene.exchange.candidates
    scene.exchange.candidates = [msgspec.structs.replace(first, **fields), *others]
    return scene


LONG = {"connect": 5, "first_byte": 5, "idle": 5, "total": 5}


@pytest.mark.parametrize(
    ("own", "plan"),
    [
        ({"first_byte": 0.03}, lambda: Planned(ahead=asyncio.Event())),
        ({"idle": 0.03}, lambda: Planned(b'{"id"', asyncio.Event())),
    ],
    ids=["first byte", "idle"],
)
async def test_a_backend_has_its_own_deadlines_where_it_says_so(
    own: dict[str, float], plan: Callable[[], Planned]
) -> None:
    scene = with_backend(Scene(plan(), plain(), route={"deadlines": LONG}), deadlines=BackendDeadlines(**own))
    assert await scene.run() is None
    assert (scene.asked, scene.rows) == ("ab", [("timeout", False, "none", 0), FINE])
    assert scene.exchange.attempts[0].failure == "timeout"


async def test_a_stream_that_stalls_ends_by_its_backend_s_own_deadline() -> None:
    scene = Scene(streamed(*STREAM[:2], asyncio.Event()), asked={"stream": True}, route={"deadlines": LONG})
    assert await with_backend(scene, deadlines=BackendDeadlines(idle=0.03)).code() is Code.BACKEND_TIMEOUT


@pytest.mark.parametrize(("own", "seconds"), [(None, 3.0), (0.25, 0.25)])
async def test_a_connection_is_waited_for_as_the_backend_says_else_the_route(own: float | None, seconds: float) -> None:
    scene = with_backend(Scene(plain(), route={"deadlines": {"connect": 3.0}}), deadlines=BackendDeadlines(connect=own))
    given: list[float] = []
    send = scene.upstream.send

    def noted(request: Any, *, connect_timeout: float, stream: bool) -> Any:
        given.append(connect_timeout)
        return send(request, connect_timeout=connect_timeout, stream=stream)

    scene.forwarder.upstreams = {"http": cast("Upstream", SimpleNamespace(send=noted))}
    assert await scene.run() is None
    assert given == [seconds]


async def test_an_attempt_tells_what_its_provider_answered_and_how_it_failed() -> None:
    scene = Scene(Planned(b"{}", status=503), Planned(ahead=UpstreamFailure("reset")), plain())
    assert await scene.run() is None
    told = [(one.number, one.status, one.failure) for one in scene.exchange.attempts]
    assert told == [(1, 503, "server_error"), (2, None, "reset"), (3, 200, None)]


async def test_what_a_provider_fails_by_does_not_wait_for_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ERROR_SECONDS", 0.02)
    stalled = Planned(b'{"error"', asyncio.Event(), status=429, headers={"retry-after": "7"})
    scene = Scene(stalled, providers=("openai",), route={"deadlines": LONG})
    error = await scene.run()
    assert error is not None
    assert (error.code, error.retry_after) == (Code.BACKEND_RATE_LIMITED, 7)
    assert scene.exchange.attempts[0].failure == "rate_limited"


# -- room at the backend ---------------------------------------------------------------------------------------------


async def taken(scene: Scene, backend: Backend) -> Gates:
    """The one place of the backend is taken, until it is left."""
    gates = scene.parts.services.gates
    assert await gates.enter(backend) == 0
    return gates


async def test_a_backend_without_room_is_not_asked_and_leaves_no_row() -> None:
    scene = with_backend(Scene(plain()), concurrency=1, queue=0)
    await taken(scene, scene.exchange.candidates[0])
    assert await scene.run() is None
    assert (scene.asked, scene.rows) == ("b", [FINE])


async def test_a_call_waits_for_its_turn_and_gives_its_place_back() -> None:
    scene = with_backend(Scene(plain()), concurrency=1, queue=1)
    backend = scene.exchange.candidates[0]
    gates = await taken(scene, backend)
    task = asyncio.create_task(scene.run())
    await becomes(lambda: gates.waiting(backend.id) == 1, "it waits")
    assert (scene.exchange.attempts, scene.upstream.requests) == ([], [])
    await becomes(lambda: scene.request.reads > 0, "the client is watched")
    gates.leave(backend)
    assert await task is None
    (attempt,) = scene.exchange.attempts
    assert attempt.waited > 0
    assert isinstance(scene.parts.kept.records[0], Begun), "it had lasted when it began"
    assert await gates.enter(backend) == 0


async def test_a_client_who_leaves_while_it_waits_has_cost_nothing() -> None:
    scene = with_backend(Scene(plain()), concurrency=1, queue=1, queue_seconds=60.0)
    backend = scene.exchange.candidates[0]
    gates = await taken(scene, backend)
    task = asyncio.create_task(scene.code())
    await becomes(lambda: gates.waiting(backend.id) == 1, "it waits")
    scene.request.leave()
    assert await task is Code.CLIENT_CLOSED
    assert (gates.waiting(backend.id), scene.exchange.attempts, scene.rows) == (0, [], [])


async def test_waiting_for_room_counts_against_the_deadline_of_all_attempts() -> None:
    scene = Scene(plain(), plain(), route={"deadlines": {**LONG, "total": 0.05}})
    with_backend(scene, concurrency=1, queue=1, queue_seconds=60.0)
    await taken(scene, scene.exchange.candidates[0])
    async with asyncio.timeout(30):
        assert await scene.code() is Code.OVERLOADED
    assert (scene.upstream.requests, scene.rows) == ([], [])


# -- a gateway that stops --------------------------------------------------------------------------------------------


async def test_a_stream_that_is_cut_by_the_gateway_s_own_end_is_billed_as_far_as_it_came() -> None:
    cut = Planned(*STREAM[:2], asyncio.Event())
    scene = Scene(cut, plain(), asked={"stream": True})
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.parts.services.live.cut()
    assert await task is Code.OVERLOADED
    assert (scene.asked, cut.closed.is_set()) == ("a", True)
    (row,) = scene.parts.kept.usage
    assert (row.outcome, row.error_code, row.serving, row.usage_source) == ("error", "OVERLOADED", True, "estimated")


async def test_a_plain_call_that_is_cut_so_has_no_answer_and_costs_nothing() -> None:
    scene = Scene(Planned(ahead=asyncio.Event()), plain())
    task = asyncio.create_task(scene.code())
    await scene.upstream.asked.wait()
    scene.parts.services.live.cut()
    assert await task is Code.OVERLOADED
    assert (scene.asked, scene.rows, scene.request.started) == ("a", [FAILED], False)


# -- the client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_client_who_leaves_ends_the_call_and_pays_for_what_was_made(stream: bool) -> None:
    waiting = Planned(*(STREAM[:2] if stream else ()), asyncio.Event())
    scene = Scene(waiting, plain(), asked={"stream": stream})
    task = asyncio.create_task(scene.code())
    await scene.upstream.asked.wait()
    scene.request.leave()
    assert await task is Code.CLIENT_CLOSED
    assert waiting.closed.is_set()
    assert scene.asked == "a"
    (row,) = scene.parts.kept.usage
    assert (row.outcome, row.serving, row.usage_source) == ("client_closed", True, "estimated")
    assert row.tokens_in > 0
    assert (row.tokens_out > 0) == stream
    assert scene.exchange.served


async def test_a_client_who_leaves_is_not_the_backend_s_fault() -> None:
    scene = Scene(Planned(ahead=asyncio.Event()))
    task = asyncio.create_task(scene.run())
    await scene.upstream.asked.wait()
    scene.request.leave()
    await task
    backend = scene.exchange.attempts[0].backend
    assert scene.parts.health.status(backend.id, scene.parts.clock.monotonic()) == "healthy"
    assert scene.inflight() == 0


async def test_a_client_is_only_watched_where_a_call_takes_its_time() -> None:
    scene = Scene(plain())
    await scene.run()
    assert scene.request.reads == 0


async def test_a_client_who_has_everything_may_go() -> None:
    """The server says that the client is gone as soon as the answer is complete, whether or not it is."""
    gate, never = asyncio.Event(), asyncio.Event()
    ending = Planned(*STREAM[:2], gate, *STREAM[2:], never)
    scene = Scene(ending, asked={"stream": True})
    task = asyncio.create_task(scene.run())
    await scene.request.got(2)
    await becomes(lambda: scene.request.reads > 0, "the client is watched")
    gate.set()
    await becomes(lambda: scene.request.complete, "the answer is complete")
    scene.request.leave()
    assert await task is None
    assert scene.rows == [FINE]


async def test_a_reader_who_stops_reading_is_left() -> None:
    scene = Scene(streamed(), asked={"stream": True}, route={"deadlines": SHORT})
    never = asyncio.Event()

    async def stuck(message: Message) -> None:
        await scene.request.send(message)
        if message["type"] == "http.response.body":
            await never.wait()

    scene.send = stuck
    scene.exchange.response_started = True
    error = await scene.run()
    assert error is not None
    assert (error.code, error.message) == (Code.CLIENT_CLOSED, "The client stopped reading.")
    assert scene.upstream.plans[0].closed.is_set()


async def stuck_at_the_end(scene: Scene, read: asyncio.Event) -> asyncio.Task[Code | None]:
    """A call whose client reads everything but the end: the task, once that waits for him."""
    reached = asyncio.Event()

    async def slow(message: Message) -> None:
        if message.get("body", b"").endswith(STREAM[-1]):
            reached.set()
            await read.wait()
        await scene.request.send(message)

    scene.send = attach(scene.request.scope, scene.exchange, slow)
    task = asyncio.create_task(scene.code())
    await reached.wait()
    return task


async def test_a_reader_who_stops_ahead_of_the_end_is_sent_no_end_without_it() -> None:
    """A server that is told of the end with the last piece, and is kept from sending that, ends the answer without."""
    scene = Scene(streamed(), asked={"stream": True}, route={"deadlines": SHORT})
    task = await stuck_at_the_end(scene, asyncio.Event())
    assert await task is Code.CLIENT_CLOSED
    assert not scene.request.complete
    assert scene.rows == [FINE]


async def test_a_client_who_leaves_while_the_end_is_on_its_way_may_have_it() -> None:
    read = asyncio.Event()
    scene = Scene(streamed(), asked={"stream": True})
    task = await stuck_at_the_end(scene, read)
    await becomes(lambda: scene.request.reads > 0, "the client is watched")
    scene.request.leave()
    await becomes(lambda: scene.exchange.gone, "it is noticed")
    read.set()
    assert await task is None
    assert (scene.request.complete, scene.rows) == (True, [FINE])


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_the_end_of_a_complete_stream_is_awaited_so_that_its_connection_lives_on() -> None:
    gate = asyncio.Event()
    ending = streamed(*STREAM, gate, b"\n")
    scene = Scene(ending, asked={"stream": True})
    task = asyncio.create_task(scene.run())
    await becomes(lambda: scene.request.complete, "the answer is complete")
    assert not ending.closed.is_set()
    gate.set()
    assert await task is None
    assert ending.left == 0


@pytest.mark.parametrize("after", [asyncio.Event, lambda: UpstreamFailure("reset")], ids=["silence", "a reset"])
async def test_what_comes_after_a_complete_stream_cannot_spoil_it(
    after: Callable[[], asyncio.Event | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.02)
    scene = Scene(streamed(*STREAM, after()), asked={"stream": True})
    assert await scene.run() is None
    assert scene.rows == [FINE]


async def test_an_idle_deadline_shorter_than_the_lingering_does_not_spoil_it_either() -> None:
    scene = Scene(streamed(*STREAM, asyncio.Event()), asked={"stream": True}, route={"deadlines": SHORT})
    assert await scene.run() is None
    assert scene.rows == [FINE]


async def test_the_server_that_stops_leaves_a_row_too() -> None:
    waiting = Planned(ahead=asyncio.Event())
    scene = Scene(waiting)
    task = asyncio.create_task(scene.run())
    await scene.upstream.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting.closed.is_set()
    (row,) = scene.parts.kept.usage
    assert (row.outcome, row.error_code, row.serving) == ("error", "INTERNAL_ERROR", False)
    assert scene.inflight() == 0


async def test_a_fault_of_our_own_leaves_a_row_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(ADAPTERS["openai"]), "relay", broken)
    scene = Scene(plain(), plain())
    with pytest.raises(ZeroDivisionError):
        await scene.run()
    (row,) = scene.parts.kept.usage
    assert (row.error_code, row.serving) == ("INTERNAL_ERROR", False)
    assert scene.asked == "a"
    assert scene.inflight() == 0


# -- what a backend keeps --------------------------------------------------------------------------------------------


def keeping(scene: Scene, call: Call, own: str | None = None) -> Scene:
    """The same scene with another call, which refers to what the first backend keeps as `own`."""
    scene.exchange.call = call
    tenant = scene.parts.principal.tenant.id
    first = scene.exchange.candidates[0]
    scene.exchange.held = None if own is None else Held(first.id, tenant, "acme/chat", own)
    return scene


def asked_in_responses(**more: Any) -> Call:
    body = json.dumps({"model": "acme/chat", "input": "Hi", **more}).encode()
    return OpenAI().decode("/oai/v1/responses", body)


async def test_a_name_in_an_answer_leads_back_to_the_backend_that_gave_it() -> None:
    scene = keeping(Scene(Planned(compact(responses.response(identifier="resp_own1")))), asked_in_responses())
    assert await scene.code() is None
    parts = scene.parts
    first = scene.exchange.candidates[0]
    opened = parts.services.names.opened(scene.request.json["id"])
    assert opened == Held(first.id, parts.principal.tenant.id, "acme/chat", "resp_own1")


async def test_a_call_that_refers_to_something_kept_goes_there_by_its_own_name() -> None:
    answer = compact(responses.response(identifier="resp_own2", previous_response_id="resp_own1"))
    call = asked_in_responses(previous_response_id="resp_ours")
    scene = keeping(Scene(Planned(answer)), call, "resp_own1")
    assert await scene.code() is None
    assert json.loads(scene.upstream.requests[0].body)["previous_response_id"] == "resp_own1"
    assert scene.request.json["previous_response_id"] == "resp_ours"


@pytest.mark.parametrize(("number", "code"), [(404, Code.NOT_FOUND), (500, Code.BACKEND_ERROR)])
async def test_what_a_provider_keeps_no_longer_is_not_found_and_no_fault_of_its(number: int, code: Code) -> None:
    about = RESOURCES["/oai/v1/responses/{response_id}"]["GET"]("resp_ours", "")
    scene = keeping(Scene(Planned(compact(openai_error("Gone.")), status=number)), about, "resp_own1")
    scene.exchange.candidates = scene.exchange.candidates[:1]
    assert await scene.code() is code
    assert scene.upstream.requests[0].url.endswith("/responses/resp_own1")
    failures = scene.parts.health.report(scene.exchange.candidates[0].id, 0.0).failures
    assert failures == (code is Code.BACKEND_ERROR)


# -- a client who leaves, and an answer that is read on ---------------------------------------------------------------


def drained(*plans: Planned, config: ForwarderConfig | None = None, **more: Any) -> Scene:
    return Scene(*plans, asked={"stream": True}, model={"on_disconnect": "drain"}, config=config, **more)


def draining(scene: Scene) -> float:
    return scene.parts.metrics.value("scaigrid_draining_calls")


GONE = ("client_closed", True, "provider", SERVED)


async def test_a_drained_answer_is_billed_as_its_provider_says_and_sent_to_nobody() -> None:
    gate = asyncio.Event()
    scene = drained(Planned(*STREAM[:2], gate, *STREAM[2:]))
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.request.leave()
    await becomes(lambda: draining(scene) == 1, "it is read on")
    sent = len(scene.request.sent)
    gate.set()
    assert await task is Code.CLIENT_CLOSED
    assert (scene.rows, len(scene.request.sent), draining(scene)) == ([GONE], sent, 0)


async def test_a_client_who_leaves_ahead_of_the_first_byte_is_sent_none() -> None:
    gate = asyncio.Event()
    scene = drained(Planned(*STREAM, ahead=gate), plain())
    task = asyncio.create_task(scene.code())
    await scene.upstream.asked.wait()
    scene.request.leave()
    await becomes(lambda: draining(scene) == 1, "it is read on")
    gate.set()
    assert await task is Code.CLIENT_CLOSED
    assert (scene.rows, scene.request.started, scene.asked) == ([GONE], False, "a")


async def test_a_reader_who_stops_reading_is_drained_as_one_who_leaves() -> None:
    scene = drained(streamed(), route={"deadlines": SHORT})
    never = asyncio.Event()

    async def stuck(message: Message) -> None:
        await scene.request.send(message)
        if message["type"] == "http.response.body":
            await never.wait()

    scene.send = stuck
    scene.exchange.response_started = True
    assert await scene.code() is Code.CLIENT_CLOSED
    assert (scene.rows, scene.upstream.plans[0].left) == ([GONE], 0)


async def test_what_was_reserved_is_kept_while_an_answer_is_drained() -> None:
    """The forwarder has not returned, so the links around it have settled nothing."""
    gate = asyncio.Event()
    scene = drained(Planned(STREAM[0], STREAM[1], gate, *STREAM[2:]))
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.request.leave()
    await becomes(lambda: draining(scene) == 1, "it is read on")
    assert (scene.parts.kept.usage, task.done()) == ([], False)
    gate.set()
    await task


CUT = ("client_closed", True, "estimated")


@pytest.mark.parametrize(
    "bound",
    [{"drain_seconds": 0.05}, {"drain_bytes": 1}, {"drain_at_once": 0}],
    ids=["in time", "in bytes", "in number"],
)
async def test_draining_is_bounded(bound: dict[str, Any]) -> None:
    gate = asyncio.Event()
    waiting = Planned(*STREAM[:2], gate, STREAM[2], asyncio.Event())
    scene = drained(waiting, config=ForwarderConfig(**bound))
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.request.leave()
    if "drain_bytes" in bound:
        await becomes(lambda: draining(scene) == 1, "it is read on")
        gate.set()
    assert await task is Code.CLIENT_CLOSED
    assert waiting.closed.is_set()
    assert [row[:3] for row in scene.rows] == [CUT]
    assert draining(scene) == 0


async def test_no_answer_is_drained_beyond_the_deadline_of_its_route() -> None:
    deadlines = {"connect": 5, "first_byte": 5, "idle": 5, "total": 0.3}
    scene = drained(Planned(*STREAM[:2], asyncio.Event()), route={"deadlines": deadlines})
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.request.leave()
    assert await task is Code.CLIENT_CLOSED
    assert [row[:3] for row in scene.rows] == [CUT]


async def test_a_provider_that_fails_ahead_of_a_drained_answer_is_paid_by_nobody() -> None:
    gate = asyncio.Event()

    class Unreachable(Planned):
        async def head(self) -> None:
            await gate.wait()
            raise UpstreamFailure("refused")

    scene = drained(Unreachable(), plain())
    task = asyncio.create_task(scene.code())
    await scene.upstream.asked.wait()
    scene.request.leave()
    await becomes(lambda: draining(scene) == 1, "it is read on")
    gate.set()
    assert await task is Code.CLIENT_CLOSED
    assert (scene.rows, scene.asked, scene.exchange.served) == ([FAILED], "a", False)


async def test_a_provider_that_breaks_off_while_drained_is_not_asked_elsewhere() -> None:
    gate = asyncio.Event()
    scene = drained(Planned(*STREAM[:2], gate, UpstreamFailure("reset")), plain())
    task = asyncio.create_task(scene.code())
    await scene.request.got(2)
    scene.request.leave()
    await becomes(lambda: draining(scene) == 1, "it is read on")
    gate.set()
    assert await task is Code.CLIENT_CLOSED
    assert [row[:3] for row in scene.rows] == [CUT]
    assert scene.asked == "a"


# -- what a crash would leave ------------------------------------------------------------------------------------------


async def test_a_call_that_lasts_leaves_word_of_itself_and_its_row_has_the_same_id() -> None:
    gate = asyncio.Event()
    scene = Scene(Planned(PLAIN, ahead=gate))
    task = asyncio.create_task(scene.run())
    await becomes(lambda: len(scene.parts.kept.records) > 0, "it is noted")
    (begun,) = scene.parts.kept.records
    gate.set()
    await task
    (row,) = scene.parts.kept.usage
    assert isinstance(begun, Begun)
    assert (begun.row.id, begun.row.request_id, begun.row.attempt) == (row.id, row.request_id, 1)
    assert (begun.row.outcome, begun.row.serving, begun.row.cost) == ("interrupted", False, 0)


async def test_a_call_that_does_not_last_leaves_its_row_alone() -> None:
    scene = Scene(plain())
    await scene.run()
    assert len(scene.parts.kept.records) == 1


async def test_a_call_that_has_its_row_leaves_no_word_while_its_answer_is_read_slowly() -> None:
    scene = Scene(plain())
    read = asyncio.Event()

    async def slow(message: Message) -> None:
        await scene.request.send(message)
        if message["type"] == "http.response.body":
            await read.wait()

    scene.send = slow
    task = asyncio.create_task(scene.run())
    await becomes(lambda: scene.request.reads > 0, "the client is watched")
    read.set()
    await task
    assert [type(record) for record in scene.parts.kept.records] == [UsageRow]


async def test_a_call_goes_on_whose_beginning_could_not_be_noted() -> None:
    gate = asyncio.Event()
    scene = Scene(Planned(PLAIN, ahead=gate))
    scene.parts.kept.full = True
    task = asyncio.create_task(scene.run())
    await becomes(lambda: scene.request.reads > 0, "the client is watched")
    scene.parts.kept.full = False
    gate.set()
    assert await task is None
    assert scene.rows == [FINE]


@pytest.mark.parametrize(("shared", "kind"), [(True, Settling), (False, UsageRow)])
async def test_where_counters_outlive_the_worker_a_row_says_how_its_lease_is_settled(shared: bool, kind: type) -> None:
    scene = Scene(plain())
    scene.forwarder.shared = shared
    scene.exchange.lease = "epoch-1"
    fund = Bucket(key="budget:b", level="user", kind="cost", limit=10**12, fund=True)
    scene.exchange.takes = [Take(fund, 5_000_000)]
    await scene.run()
    (record,) = scene.parts.kept.records
    assert type(record) is kind
    if isinstance(record, Settling):
        assert (record.lease, record.used, record.row.cost) == ("epoch-1", {"budget:b": SERVED}, SERVED)


async def test_an_attempt_that_failed_says_nothing_of_a_lease() -> None:
    scene = Scene(Planned(b"{}", status=500), plain())
    scene.forwarder.shared = True
    scene.exchange.lease = "epoch-1"
    await scene.run()
    assert [type(record) for record in scene.parts.kept.records] == [UsageRow, Settling]


async def test_what_a_provider_bills_beyond_its_bound_is_counted_by_backend() -> None:
    scene = Scene(plain())
    scene.exchange.reserved = Reserved(12, SERVED - 1)
    await scene.run()
    (row,) = scene.parts.kept.usage
    assert (row.cost, row.overrun) == (SERVED, 1)
    assert scene.parts.metrics.value("scaigrid_overruns_total", backend_id=row.backend_id) == 1


CALLED_WITH = b"sk-a-key-of-the-gateway"


def echoing(*plans: Planned, **more: Any) -> Scene:
    return with_backend(Scene(*plans, **more), credentials=(CALLED_WITH,))


async def test_a_plain_answer_that_tells_our_key_is_left_for_the_next_backend() -> None:
    told = PLAIN[:-1] + b',"debug":{"authorization":"Bearer ' + CALLED_WITH + b'"}}'
    scene = echoing(Planned(told), plain())
    assert await scene.run() is None
    assert scene.asked == "ab"
    assert CALLED_WITH not in scene.request.body


async def test_a_stream_that_tells_our_key_ends_there() -> None:
    for told in (b": called with " + CALLED_WITH + b"\n\n", STREAM[1].replace(b"Hel", CALLED_WITH)):
        scene = echoing(streamed(STREAM[0], STREAM[1], told, *STREAM[2:]), asked={"stream": True})
        assert await scene.code() is Code.UPSTREAM_SHAPE_MISMATCH
        assert CALLED_WITH not in scene.request.body
