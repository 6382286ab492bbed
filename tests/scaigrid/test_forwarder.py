"""The attempt loop, with a scripted upstream: what is tried again, where, and what is told where nothing serves."""

import asyncio
import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from scaigrid import client_watch, forwarder
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError, let_go
from scaigrid.forwarder import Forwarder
from scaigrid.gates import Gates
from scaigrid.sending import Sending
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from tests.harness import behaviours
from tests.harness.behaviours import compact, openai_error
from tests.harness.eventually import becomes
from tests.harness.lanes import CHAT_URL
from tests.harness.upstream import Planned
from tests.scaigrid.scene import FAILED, FINE, PLAIN, SERVED, SHORT, STREAM, Scene, plain, streamed


def status(number: int) -> Callable[[], Planned]:
    return lambda: Planned(b"{}", status=number)


def limited(seconds: int | None) -> Callable[[], Planned]:
    """A provider that asks for so much rest."""
    headers = {} if seconds is None else {"retry-after": str(seconds)}
    return lambda: Planned(b"{}", status=429, headers=headers)


ELSEWHERE: dict[str, tuple[Callable[[], Planned], Code]] = {
    "no connection": (lambda: Planned(ahead=UpstreamUnreachable("refused")), Code.BACKEND_ERROR),
    "no connection in time": (lambda: Planned(ahead=UpstreamTimeout("slow")), Code.BACKEND_TIMEOUT),
    "a reset": (lambda: Planned(ahead=UpstreamFailure("reset")), Code.BACKEND_ERROR),
    "broken off in the body": (lambda: Planned(b'{"id"', UpstreamFailure("reset")), Code.BACKEND_ERROR),
    "too large": (lambda: Planned(UpstreamTooLarge("huge")), Code.UPSTREAM_SHAPE_MISMATCH),
    "no JSON": (lambda: Planned(b"<html>"), Code.UPSTREAM_SHAPE_MISMATCH),
    "307": (status(307), Code.BACKEND_ERROR),
    "401": (status(401), Code.BACKEND_ERROR),
    "403": (status(403), Code.BACKEND_ERROR),
    "404": (status(404), Code.BACKEND_ERROR),
    "408": (status(408), Code.BACKEND_TIMEOUT),
    "409": (status(409), Code.BACKEND_ERROR),
    "429": (status(429), Code.BACKEND_RATE_LIMITED),
    "500": (status(500), Code.BACKEND_ERROR),
    "502": (status(502), Code.BACKEND_ERROR),
    "503": (status(503), Code.BACKEND_ERROR),
    "504": (status(504), Code.BACKEND_TIMEOUT),
}
TRIED_ELSEWHERE = {code for _, code in ELSEWHERE.values()} | {Code.UNSUPPORTED_BY_MODEL}


@pytest.mark.parametrize("fault", ELSEWHERE)
async def test_what_another_backend_may_do_better_is_tried_there(fault: str) -> None:
    make, code = ELSEWHERE[fault]
    scene = Scene(make(), plain())
    assert await scene.run() is None
    assert scene.asked == "ab"
    failed, served = scene.parts.kept.usage
    assert (failed.error_code, failed.attempt, failed.serving, failed.cost, failed.backend_cost) == (
        code,
        1,
        False,
        0,
        0,
    )
    assert (served.attempt, served.backend_id) == (2, scene.exchange.attempts[1].backend.id)
    assert scene.rows[1] == FINE
    assert scene.request.header("x-scaigrid-attempts") == "2"
    assert scene.inflight() == 0


@pytest.mark.parametrize("code", sorted(Code))
async def test_no_other_failure_is_tried_elsewhere(code: Code) -> None:
    scene = Scene(Planned(ahead=GatewayError(code)), plain())
    assert await scene.code() is (None if code in TRIED_ELSEWHERE else code)
    assert scene.asked == ("ab" if code in TRIED_ELSEWHERE else "a")


OWN_MISTAKES: dict[str, tuple[dict[str, Any], int, Code]] = {
    "a fault": (openai_error("no"), 400, Code.VALIDATION_ERROR),
    "a fault, said otherwise": (openai_error("no"), 422, Code.VALIDATION_ERROR),
    "too long": (openai_error("no", code="context_length_exceeded"), 400, Code.CONTEXT_TOO_LONG),
    "refused": (openai_error("no", code="content_policy_violation"), 400, Code.CONTENT_REFUSED),
    "too large": (openai_error("no"), 413, Code.REQUEST_TOO_LARGE),
}


@pytest.mark.parametrize("mistake", OWN_MISTAKES)
async def test_the_caller_s_own_mistake_is_not_made_twice(mistake: str) -> None:
    body, status, code = OWN_MISTAKES[mistake]
    scene = Scene(Planned(compact(body), status=status))
    assert await scene.code() is code
    assert (scene.asked, scene.rows) == ("a", [FAILED])
    assert not scene.request.started


async def test_nothing_is_tried_again_once_a_byte_was_sent() -> None:
    scene = Scene(streamed(STREAM[0], STREAM[1], UpstreamFailure("reset")), asked={"stream": True})
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "a"
    (row,) = scene.parts.kept.usage
    assert (row.outcome, row.serving, row.usage_source) == ("error", True, "estimated")
    assert row.cost == row.tokens_in * 3_000 + row.tokens_out * 15_000 > 0


async def test_a_stream_that_breaks_before_its_first_frame_is_tried_again() -> None:
    scene = Scene(streamed(b": wait\n\n", UpstreamFailure("reset")), streamed(), asked={"stream": True})
    assert await scene.run() is None
    assert (scene.asked, scene.rows) == ("ab", [FAILED, FINE])
    assert scene.request.body.startswith(b"data: ")


@pytest.mark.parametrize("dialect", sorted(CHAT_URL))
async def test_what_a_broken_off_attempt_had_counted_is_nobody_s_bill(dialect: str) -> None:
    """Anthropic says what the input was in its first event, and may still fail before the client has a byte."""
    start, *_ = behaviours.anthropic_frames("Hello.")
    broken = start + behaviours.event("error", error={"type": "overloaded_error", "message": "Busy"})
    scene = Scene(
        Planned(broken), Planned(status=500), dialect=dialect, providers=("anthropic", "openai"), asked={"stream": True}
    )
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.rows == [FAILED, FAILED]
    assert (scene.exchange.cost, scene.exchange.usage, scene.exchange.served) == (0, None, False)


LIMITED = Code.BACKEND_RATE_LIMITED
TOLD: dict[str, tuple[list[Callable[[], Planned]], Code, int | None]] = {
    "the first one": ([status(500), status(504)], Code.BACKEND_ERROR, None),
    "the first one, the other way round": ([status(504), status(500)], Code.BACKEND_TIMEOUT, None),
    "rather than a limit that came first": ([limited(7), status(504), status(500)], Code.BACKEND_TIMEOUT, None),
    "rather than a limit that came last": ([status(503), limited(7)], Code.BACKEND_ERROR, None),
    "of limits alone the shortest": ([limited(7), limited(3), limited(None)], LIMITED, 3),
    "of a limit without a time": ([limited(None)], LIMITED, None),
    "our credential": ([status(401), limited(3)], Code.BACKEND_ERROR, None),
}


@pytest.mark.parametrize("case", TOLD)
async def test_where_all_fail_the_first_failure_that_is_no_limit_is_told(case: str) -> None:
    plans, code, retry_after = TOLD[case]
    scene = Scene(*[make() for make in plans], providers=("openai",) * len(plans))
    error = await scene.run()
    assert error is not None
    assert (error.code, error.retry_after) == (code, retry_after)
    assert len(scene.rows) == len(plans)


@pytest.mark.parametrize("mistake", OWN_MISTAKES)
async def test_a_stand_in_that_rejects_the_call_is_passed_over(mistake: str) -> None:
    body, number, code = OWN_MISTAKES[mistake]
    scene = Scene(status(503)(), Planned(compact(body), status=number), plain())
    assert await scene.run() is None
    assert (scene.asked, scene.rows) == ("abc", [FAILED, FAILED, FINE])
    assert scene.parts.kept.usage[1].error_code == code


@pytest.mark.parametrize("mistake", OWN_MISTAKES)
async def test_the_caller_is_never_told_what_only_a_stand_in_thinks_of_his_call(mistake: str) -> None:
    body, number, _ = OWN_MISTAKES[mistake]
    scene = Scene(limited(9)(), *[Planned(compact(body), status=number) for _ in range(2)])
    error = await scene.run()
    assert error is not None
    assert (error.code, error.retry_after, scene.asked) == (LIMITED, 9, "abc")


async def test_failures_that_the_route_does_not_name_are_not_made_good_for() -> None:
    route = {"failover_on": ["connect", "timeout"]}
    scene = Scene(Planned(ahead=UpstreamUnreachable("refused")), status(500)(), plain(), route=route)
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"


async def test_no_more_is_tried_than_the_route_allows() -> None:
    scene = Scene(*[Planned(b"{}", status=500) for _ in range(3)], route={"max_attempts": 2})
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"


async def test_a_backend_that_cannot_say_it_is_passed_over_and_counts_as_no_attempt() -> None:
    """Anthropic has no counterpart for two answers to one call, which nobody had to ask it to find out."""
    scene = Scene(plain(), providers=("anthropic", "openai"), asked={"n": 2}, route={"max_attempts": 1})
    assert await scene.run() is None
    assert scene.asked == "b"
    assert len(scene.parts.kept.usage) == 1


async def test_a_call_that_no_backend_can_say_is_told_so() -> None:
    scene = Scene(providers=("anthropic",), asked={"n": 2})
    assert await scene.code() is Code.UNSUPPORTED_BY_MODEL
    assert (scene.upstream.requests, scene.parts.kept.usage) == ([], [])


async def test_without_a_candidate_the_model_is_unavailable() -> None:
    scene = Scene()
    scene.exchange.candidates = []
    assert await scene.code() is Code.MODEL_UNAVAILABLE


async def test_all_attempts_together_have_one_deadline() -> None:
    deadlines = {"connect": 5, "first_byte": 5, "idle": 5, "total": 0.05}
    scene = Scene(Planned(ahead=asyncio.Event()), plain(), route={"deadlines": deadlines})
    error = await scene.run()
    assert error is not None
    assert (error.code, scene.asked) == (Code.BACKEND_TIMEOUT, "a")
    assert "total deadline" in error.message


async def test_a_total_deadline_is_the_failure_of_those_alone_who_had_a_fair_part_of_it() -> None:
    deadlines = {"connect": 5, "first_byte": 5, "idle": 5, "total": 0.05}

    class Slow(Planned):
        def __init__(self, seconds: float, status: int = 200) -> None:
            super().__init__(b"{}", status=status, ahead=None if status != 200 else asyncio.Event())
            self.seconds = seconds

        async def head(self) -> None:
            scene.parts.clock.advance(self.seconds)
            await super().head()

    scene = Scene(Slow(0.04, 500), Slow(0.01), route={"deadlines": deadlines})
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"
    assert [attempt.failure for attempt in scene.exchange.attempts] == ["server_error", "timeout"]
    first, second = (attempt.backend.id for attempt in scene.exchange.attempts)
    health = scene.parts.services.health
    assert [health.report(id_, 0).failures for id_ in (first, second)] == [1, 0]

    scene = Scene(Slow(0.01, 500), Slow(0.04), route={"deadlines": deadlines})
    assert await scene.code() is Code.BACKEND_ERROR
    health = scene.parts.services.health
    assert [health.report(attempt.backend.id, 0).failures for attempt in scene.exchange.attempts] == [1, 1]


# -- no room ---------------------------------------------------------------------------------------------------------


class Full(Gates):
    """Gates of which some are shut."""

    def __init__(self, scene: Scene, *shut: str) -> None:
        super().__init__(scene.parts.telemetry)
        self._shut = shut

    async def enter(self, backend: Backend, seconds: float | None = None) -> float:
        if backend.name in self._shut:
            raise GatewayError(Code.OVERLOADED, retry_after=1)
        return await super().enter(backend, seconds)


def crowded(*plans: Planned, shut: str, **more: Any) -> Scene:
    """A scene in which each backend bears one call, and those that are `shut` have one."""
    scene = Scene(*plans, **more)
    scene.exchange.candidates = [
        msgspec.structs.replace(backend, concurrency=1) for backend in scene.exchange.candidates
    ]
    services = msgspec.structs.replace(scene.parts.services, gates=Full(scene, *shut))
    scene.forwarder = Forwarder(services, {"http": scene.upstream}, ForwarderConfig())
    return scene


async def test_a_backend_without_room_is_left_for_the_next_one_and_has_no_row() -> None:
    scene = crowded(plain(), shut="ab", route={"max_attempts": 1})
    assert await scene.run() is None
    assert (scene.asked, scene.rows) == ("c", [FINE])


@pytest.mark.parametrize(
    ("plans", "shut", "code", "retry_after"),
    [
        ([], "abc", Code.OVERLOADED, 1),
        ([limited(60)], "bc", Code.OVERLOADED, 1),
        ([status(500)], "bc", Code.BACKEND_ERROR, None),
    ],
    ids=["nowhere", "and elsewhere a limit", "and elsewhere a failure"],
)
async def test_where_no_backend_has_room_that_is_told_rather_than_a_limit(
    plans: list[Callable[[], Planned]], shut: str, code: Code, retry_after: int | None
) -> None:
    scene = crowded(*[make() for make in plans], shut=shut)
    error = await scene.run()
    assert error is not None
    assert (error.code, error.retry_after) == (code, retry_after)


async def test_a_call_that_is_cut_while_it_waits_for_room_is_not_put_to_another_backend() -> None:
    scene = crowded(plain(), shut="")
    first, *others = scene.exchange.candidates
    first = msgspec.structs.replace(first, queue=1, queue_seconds=60.0)
    scene.exchange.candidates = [first, *(msgspec.structs.replace(each, concurrency=None) for each in others)]
    gates = scene.forwarder.services.gates
    assert await gates.enter(first) == 0
    task = asyncio.create_task(scene.run())
    await becomes(lambda: gates.waiting(first.id) == 1, "it waits for its turn")
    scene.parts.services.live.cut()
    error = await task
    assert error is not None
    assert (error.code, "stopping" in error.message) == (Code.OVERLOADED, True)
    assert (scene.asked, scene.upstream.requests) == ("", [])


@pytest.mark.parametrize(("unhealthy", "asked"), [("try", "acb"), ("refuse", "ac")])
async def test_a_candidate_that_has_fallen_ill_meanwhile_comes_behind_the_others(unhealthy: str, asked: str) -> None:
    """Or not at all, where the route refuses rather than asks such."""
    held = asyncio.Event()
    scene = Scene(Planned(ahead=held), status(500)(), plain(), route={"when_unhealthy": unhealthy})
    task = asyncio.create_task(scene.code())
    await becomes(lambda: scene.asked == "a", "the first one is asked")
    health, now = scene.parts.health, scene.parts.clock.monotonic()
    second = scene.exchange.candidates[1]
    health.began(second, now)
    health.ended(second, GatewayError(Code.BACKEND_RATE_LIMITED, retry_after=60), now)
    held.set()
    assert await task is (None if unhealthy == "try" else Code.UPSTREAM_SHAPE_MISMATCH)
    assert scene.asked == asked


# -- once more -------------------------------------------------------------------------------------------------------


class Drawn(random.Random):
    """Draws every pause to be so long a part of its bound."""

    def __init__(self, part: float) -> None:
        super().__init__(0)
        self.bounds: list[float] = []
        self._part = part

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append(b)
        return a + (b - a) * self._part


def repeating(*plans: Planned, part: float = 0.0, attempts: int = 9, backends: int = 2, **more: Any) -> Scene:
    """A scene that asks each of its backends thrice."""
    route = {"attempts_per_backend": 3, "max_attempts": attempts, **more.pop("route", {})}
    scene = Scene(*plans, providers=("openai",) * backends, route=route, **more)
    scene.forwarder.draw = Drawn(part)
    return scene


async def test_backends_are_gone_round_again_after_a_pause_that_grows() -> None:
    scene = repeating(*[status(500)() for _ in range(5)], plain(), part=0.01)
    assert await scene.run() is None
    assert scene.asked == "ababab"
    assert isinstance(scene.forwarder.draw, Drawn)
    assert scene.forwarder.draw.bounds == [0.1, 0.2]
    attempts = scene.exchange.attempts
    assert [attempt.because for attempt in attempts] == ["first", "failover", *["retry"] * 4]
    assert [round(attempt.waited, 4) for attempt in attempts] == [0, 0, 0.001, 0, 0.002, 0]


async def test_going_round_is_bounded_by_the_attempts_of_the_route() -> None:
    scene = repeating(*[status(500)() for _ in range(3)], attempts=3)
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "aba"


async def test_whoever_asked_for_rest_refused_us_or_did_not_accept_the_call_is_not_asked_again() -> None:
    mistake = Planned(compact(openai_error("no")), status=400)
    plans = [status(500)(), limited(5)(), status(401)(), mistake, status(500)(), plain()]
    scene = repeating(*plans, backends=4)
    assert await scene.run() is None
    assert scene.asked == "abcdaa"


async def test_nobody_waits_for_backends_that_are_not_asked_again() -> None:
    scene = repeating(limited(5)(), status(403)(), part=1.0)
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"


async def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    deadlines = {"connect": 1, "first_byte": 1, "idle": 1, "total": 0.09}
    scene = repeating(status(500)(), status(500)(), part=1.0, route={"deadlines": deadlines})
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"


async def test_a_client_who_leaves_ends_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_watch, "WATCH_AFTER", 0.0)
    scene = repeating(status(500)(), status(500)(), part=50.0)
    task = asyncio.create_task(scene.code())
    await becomes(lambda: len(scene.parts.kept.usage) == 2, "both have failed")
    scene.request.leave()
    assert await task is Code.CLIENT_CLOSED
    assert (scene.asked, scene.exchange.served) == ("ab", False)


async def test_a_gateway_that_stops_ends_the_pause() -> None:
    scene = repeating(status(500)(), status(500)(), part=50.0)
    task = asyncio.create_task(scene.code())
    await becomes(lambda: len(scene.parts.kept.usage) == 2, "both have failed")
    scene.parts.services.live.cut()
    assert await task is Code.OVERLOADED


# -- the retry budget ------------------------------------------------------------------------------------------------


async def test_where_the_retry_budget_is_used_up_the_first_failure_is_told() -> None:
    scene = Scene(status(503)(), status(504)(), config=ForwarderConfig(retry_share=0, retries_per_second=1))
    assert await scene.code() is Code.BACKEND_ERROR
    assert scene.asked == "ab"
    assert scene.parts.metrics.value("scaigrid_retries_refused_total") == 1


async def test_a_backend_that_was_not_asked_costs_no_retry() -> None:
    """Nor does one that is asked because another one was not."""
    config = ForwarderConfig(retry_share=0, retries_per_second=1)
    scene = Scene(
        status(500)(), plain(), providers=("anthropic", "openai", "anthropic", "openai"), asked={"n": 2}, config=config
    )
    assert await scene.run() is None
    assert scene.asked == "bd"


# -- a second copy ---------------------------------------------------------------------------------------------------


async def test_a_slow_first_attempt_is_overtaken_by_the_next_candidate() -> None:
    slow = Planned(PLAIN, ahead=asyncio.Event())
    scene = Scene(slow, plain(), route={"hedge": {"share": 1, "after_seconds": 0.01}})
    assert await scene.run() is None
    assert (scene.asked, [attempt.because for attempt in scene.exchange.attempts]) == ("ab", ["first", "hedge"])
    assert slow.closed.is_set()
    assert scene.exchange.cost == SERVED


async def test_where_both_copies_fail_the_backends_after_them_are_asked() -> None:
    gate = asyncio.Event()

    class Late(Planned):
        async def head(self) -> None:
            await gate.wait()

    class Second(Planned):
        async def head(self) -> None:
            gate.set()

    scene = Scene(
        Late(b"{}", status=500),
        Second(b"{}", status=500),
        plain(),
        route={"hedge": {"share": 1, "after_seconds": 0.01}},
    )
    assert await scene.run() is None
    assert scene.asked == "abc"


async def test_no_second_copy_is_made_beyond_the_attempts_of_the_route() -> None:
    scene = Scene(
        Planned(PLAIN, ahead=asyncio.Event()),
        route={
            "max_attempts": 1,
            "hedge": {"share": 1, "after_seconds": 0.01},
            "deadlines": {"connect": 1, "first_byte": 0.1, "idle": 1, "total": 1},
        },
    )
    assert await scene.code() is Code.BACKEND_TIMEOUT
    assert scene.asked == "a"


async def test_a_share_that_is_used_up_leaves_the_next_candidate_for_when_the_first_one_fails() -> None:
    route = {
        "hedge": {"share": 0.01, "after_seconds": 0.01},
        "deadlines": {"connect": 1, "first_byte": 0.1, "idle": 1, "total": 1},
    }
    scene = Scene(Planned(PLAIN, ahead=asyncio.Event()), plain(), route=route)
    assert await scene.run() is None
    assert [attempt.because for attempt in scene.exchange.attempts] == ["first", "failover"]


async def test_nothing_is_sent_that_could_not_be_recorded() -> None:
    scene = Scene(plain())
    scene.parts.kept.known_full = True
    assert await scene.code() is Code.STORE_UNAVAILABLE
    assert (scene.asked, scene.rows) == ("", [])


# -- what is left of a call ------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[], Scene]] = {
    "answered": lambda: Scene(plain()),
    "streamed": lambda: Scene(streamed(), asked={"stream": True}),
    "answered elsewhere": lambda: Scene(status(500)(), plain()),
    "answered elsewhere, for lack of room": lambda: crowded(plain(), shut="a"),
    "answered elsewhere, after a deadline": lambda: Scene(
        Planned(ahead=asyncio.Event()), plain(), route={"deadlines": SHORT}
    ),
    "answered the second time": lambda: Scene(
        status(500)(), plain(), providers=("openai",), route={"attempts_per_backend": 2}
    ),
    "not answered": lambda: Scene(status(400)()),
    "one copy": lambda: Scene(plain(), route={"hedge": {"share": 1, "after_seconds": 5}}),
    "two copies": lambda: Scene(
        Planned(ahead=asyncio.Event()), plain(), route={"hedge": {"share": 1, "after_seconds": 0.01}}
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_of_a_call_waits_for_the_collector(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes seldom to a worker, and what a call leaves behind holds its body."""
    made: list[weakref.ref[object]] = []

    class Watched(Sending):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            made.append(weakref.ref(self))

    class Asking(forwarder._Asking):  # pyright: ignore[reportPrivateUsage]  # the ring was in it
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            made.append(weakref.ref(self))

    monkeypatch.setattr(forwarder, "Sending", Watched)
    monkeypatch.setattr(forwarder, "_Asking", Asking)
    scene = ENDS[end]()
    gc.disable()
    try:
        told = await asyncio.create_task(scene.run())
        # As the link `errors` does.
        for error in (told, *(attempt.error for attempt in scene.exchange.attempts)):
            if error is not None:
                let_go(error)
        await asyncio.sleep(0)
        assert len(made) >= 2
        assert [one() for one in made if one() is not None] == []
    finally:
        gc.enable()
