"""Two copies of a call: which one is heard, what becomes of the other one, and who pays."""

import asyncio
from typing import Any

import pytest

from scaigrid.asgi import Message
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.errors import Code, GatewayError
from scaigrid.hedging import HedgeShare, HedgeShares
from scaigrid.ledger.records import Begun, Settling
from scaigrid.limiter import Bucket, Take
from scaigrid.telemetry import Telemetry
from scaigrid.upstream.port import UpstreamFailure
from tests.harness import behaviours
from tests.harness.behaviours import compact, openai_error
from tests.harness.eventually import becomes
from tests.harness.services import Parts
from tests.harness.upstream import Planned
from tests.scaigrid.scene import FAILED, FINE, PLAIN, SERVED, STREAM, Scene, plain, streamed

SOON = {"share": 1.0, "after_seconds": 0.02}


def scene(*plans: Planned, stream: bool = False, hedge: Any = SOON, **more: Any) -> Scene:
    route = {"hedge": hedge, **more.pop("route", {})}
    return Scene(*plans, asked={"stream": stream}, route=route, **more)


def silent() -> Planned:
    return Planned(ahead=asyncio.Event())


def outcomes(one: Scene) -> dict[str, float]:
    metric = one.parts.metrics
    return {
        word: count
        for word in ("won", "lost", "refused")
        if (count := metric.value("scaigrid_hedged_calls_total", outcome=word))
    }


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_call_that_is_slow_is_answered_by_its_second_copy(stream: bool) -> None:
    slow = silent()
    one = scene(slow, streamed() if stream else plain(), stream=stream)
    assert await one.run() is None
    assert slow.closed.is_set()
    first, second = one.exchange.attempts
    assert (one.asked, second.because, first.overtaken, second.overtaken) == ("ab", "hedge", True, False)
    assert one.request.complete
    assert one.request.header("x-scaigrid-backend") == "b"
    assert (one.exchange.cost, one.exchange.served, outcomes(one)) == (SERVED, True, {"won": 1})
    lost, won = sorted(one.parts.kept.usage, key=lambda row: row.attempt)
    assert (lost.outcome, lost.error_code, lost.serving, lost.cost) == ("overtaken", None, False, 0)
    assert (lost.tokens_in > 0, lost.tokens_out, lost.usage_source) == (True, 0, "estimated")
    assert lost.backend_cost == lost.tokens_in * 1_000
    assert (won.outcome, won.attempt, won.serving, won.cost) == ("ok", 2, True, SERVED)
    assert one.inflight() == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_the_second_copy_is_cut_off_as_soon_as_the_first_one_has_content(stream: bool) -> None:
    gate, copy = asyncio.Event(), silent()
    one = scene(Planned(*(STREAM if stream else [PLAIN]), ahead=gate), copy, stream=stream)
    task = asyncio.create_task(one.run())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    gate.set()
    assert await task is None
    assert copy.closed.is_set()
    assert (one.request.header("x-scaigrid-backend"), outcomes(one)) == ("a", {"lost": 1})
    assert sorted(row.outcome for row in one.parts.kept.usage) == ["ok", "overtaken"]
    assert sum(row.cost for row in one.parts.kept.usage) == SERVED == one.exchange.cost
    assert [row.attempt for row in one.parts.kept.usage if row.outcome == "ok"] == [1]


async def test_a_call_that_is_answered_in_time_has_no_second_copy() -> None:
    one = scene(plain())
    assert await one.run() is None
    assert (one.asked, one.rows, outcomes(one)) == ("a", [FINE], {})


async def test_the_second_copy_goes_on_where_the_first_one_fails() -> None:
    fails, gate = asyncio.Event(), asyncio.Event()

    class Failing(Planned):
        async def head(self) -> None:
            await fails.wait()

    one = scene(Failing(b"{}", status=500), Planned(PLAIN, ahead=gate))
    task = asyncio.create_task(one.run())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    fails.set()
    await becomes(lambda: one.parts.kept.usage, "the first one has failed")
    gate.set()
    assert await task is None
    assert (one.rows, one.exchange.attempts[0].failure) == ([FAILED, FINE], "server_error")


async def test_the_first_copy_goes_on_where_the_second_one_fails() -> None:
    gate = asyncio.Event()
    one = scene(Planned(PLAIN, ahead=gate), Planned(b"{}", status=500))
    task = asyncio.create_task(one.run())
    await becomes(lambda: one.parts.kept.usage, "the second one has failed")
    gate.set()
    assert await task is None
    assert sorted(one.rows) == sorted([FAILED, FINE])
    assert {row.attempt: row.outcome for row in one.parts.kept.usage} == {1: "ok", 2: "error"}
    assert outcomes(one) == {"lost": 1}


async def test_where_both_fail_the_rest_is_asked() -> None:
    fails = asyncio.Event()

    class Failing(Planned):
        async def head(self) -> None:
            await fails.wait()

    one = scene(Failing(b"{}", status=500), Planned(b"{}", status=503), plain())
    task = asyncio.create_task(one.run())
    await becomes(lambda: one.parts.kept.usage, "the second one has failed")
    fails.set()
    assert await task is None
    assert one.asked == "abc"
    assert [attempt.because for attempt in one.exchange.attempts] == ["first", "hedge", "failover"]


async def test_what_no_backend_can_mend_ends_both() -> None:
    fails, copy = asyncio.Event(), silent()

    class Refusing(Planned):
        async def head(self) -> None:
            await fails.wait()

    one = scene(Refusing(compact(openai_error("no")), status=400), copy)
    task = asyncio.create_task(one.code())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    fails.set()
    assert await task is Code.VALIDATION_ERROR
    assert copy.closed.is_set()
    assert [row.outcome for row in one.parts.kept.usage] == ["error", "overtaken"]


async def test_a_stream_that_breaks_once_it_was_heard_has_no_second_answer() -> None:
    ahead, breaks, copy = asyncio.Event(), asyncio.Event(), silent()
    one = scene(Planned(*STREAM[:2], breaks, UpstreamFailure("reset"), ahead=ahead), copy, stream=True)
    task = asyncio.create_task(one.code())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    ahead.set()
    await one.request.got(2)
    assert copy.closed.is_set()
    breaks.set()
    assert await task is Code.BACKEND_ERROR
    assert [(row.outcome, row.serving) for row in one.parts.kept.usage] == [("overtaken", False), ("error", True)]


async def test_a_copy_counts_among_the_attempts_of_a_call() -> None:
    one = scene(silent(), route={"max_attempts": 1, "deadlines": {"first_byte": 0.06}})
    assert await one.code() is Code.BACKEND_TIMEOUT
    assert one.asked == "a"


async def test_a_backend_whose_speed_is_not_known_is_waited_for() -> None:
    one = scene(silent(), hedge={"share": 1.0}, route={"max_attempts": 1, "deadlines": {"first_byte": 0.06}})
    assert await one.code() is Code.BACKEND_TIMEOUT
    assert (one.asked, outcomes(one)) == ("a", {})


async def test_a_backend_is_as_slow_as_its_answers_were(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(silent(), plain(), hedge={"share": 1.0})
    asked: list[tuple[str, bool]] = []

    def slow_after(backend_id: str, *, stream: bool = True) -> float | None:
        asked.append((backend_id, stream))
        return 0.02

    monkeypatch.setattr(one.parts.health, "slow_after", slow_after)
    assert await one.run() is None
    assert asked == [(one.exchange.attempts[0].backend.id, False)]


async def test_the_loser_says_nothing_about_its_backend_but_that_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(silent(), plain())
    health = one.parts.health
    backend = one.exchange.candidates[0]
    took: list[float | None] = []
    ended = health.ended

    def noted(*given: Any, **more: Any) -> None:
        took.append(given[3])
        ended(*given, **more)

    monkeypatch.setattr(health, "ended", noted)
    await one.run()
    report = health.report(backend.id, one.parts.clock.monotonic())
    assert (report.status, report.failures, report.inflight) == ("healthy", 0, 0)
    assert all(first is not None for first in took)


# -- the client ------------------------------------------------------------------------------------------------------


async def test_a_client_who_leaves_ends_both_and_pays_for_one() -> None:
    both = [silent(), silent()]
    one = scene(*both)
    task = asyncio.create_task(one.code())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    one.request.leave()
    assert await task is Code.CLIENT_CLOSED
    assert all(plan.closed.is_set() for plan in both)
    rows = {row.outcome: row for row in one.parts.kept.usage}
    assert sorted(rows) == ["client_closed", "overtaken"]
    assert (rows["overtaken"].cost, rows["client_closed"].cost) == (0, one.exchange.cost)
    assert one.request.reads == 2, "one who reads: the body, and that the client has left"


async def test_one_answer_is_read_on_where_its_model_drains() -> None:
    gate, copy = asyncio.Event(), silent()
    one = scene(Planned(*STREAM, ahead=gate), copy, stream=True, model={"on_disconnect": "drain"})
    task = asyncio.create_task(one.code())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    one.request.leave()
    await becomes(lambda: one.parts.metrics.value("scaigrid_draining_calls") == 1, "it is read on")
    await copy.closed.wait()
    gate.set()
    assert await task is Code.CLIENT_CLOSED
    rows = {row.outcome: (row.usage_source, row.cost) for row in one.parts.kept.usage}
    assert rows["client_closed"] == ("provider", SERVED)
    assert rows["overtaken"][1] == 0


async def test_a_second_copy_that_is_read_on_ends_with_its_call() -> None:
    """Whoever waits for what is read on waits until the lease is settled, which the call's own task does."""
    gate = asyncio.Event()
    one = scene(silent(), Planned(*STREAM[:2], gate, *STREAM[2:]), stream=True, model={"on_disconnect": "drain"})
    task = asyncio.create_task(one.code())
    await one.request.got(2)
    one.request.leave()
    await becomes(lambda: one.parts.metrics.value("scaigrid_draining_calls") == 1, "it is read on")
    await one.forwarder.drains.aclose()
    assert task.done()
    assert {row.outcome for row in one.parts.kept.usage} == {"overtaken", "client_closed"}


async def test_a_client_who_has_the_second_answer_may_go() -> None:
    never = asyncio.Event()
    gate = asyncio.Event()
    one = scene(silent(), Planned(*STREAM[:2], gate, *STREAM[2:], never), stream=True)
    task = asyncio.create_task(one.run())
    await one.request.got(2)
    await becomes(lambda: one.request.reads > 1, "the client is watched")
    gate.set()
    await becomes(lambda: one.request.complete, "the answer is complete")
    one.request.leave()
    assert await task is None
    assert [row.outcome for row in one.parts.kept.usage] == ["overtaken", "ok"]


async def test_an_answer_of_the_second_copy_is_billed_as_far_as_it_came_where_its_call_is_cancelled() -> None:
    one = scene(silent(), Planned(*STREAM[:2], asyncio.Event()), stream=True)
    task = asyncio.create_task(one.run())
    await one.request.got(2)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert [(row.outcome, row.serving) for row in one.parts.kept.usage] == [("overtaken", False), ("error", True)]
    assert one.inflight() == 0


# -- the record ------------------------------------------------------------------------------------------------------


async def test_both_copies_of_a_call_that_lasts_leave_word_of_themselves() -> None:
    gate = asyncio.Event()
    one = scene(silent(), Planned(PLAIN, ahead=gate))
    task = asyncio.create_task(one.run())
    await becomes(lambda: len(one.parts.kept.records) == 2, "both are noted")
    begun = [record.row for record in one.parts.kept.records if isinstance(record, Begun)]
    gate.set()
    assert await task is None
    assert {row.id for row in begun} == {row.id for row in one.parts.kept.usage}
    assert sorted(row.attempt for row in begun) == [1, 2]


async def test_there_is_one_lease_and_the_answer_settles_it() -> None:
    one = scene(silent(), plain())
    one.forwarder.shared = True
    one.exchange.lease = "epoch-1"
    one.exchange.takes = [Take(Bucket(key="budget:b", level="user", kind="cost", limit=10**12, fund=True), 5_000_000)]
    assert await one.run() is None
    (settling,) = [record for record in one.parts.kept.records if isinstance(record, Settling)]
    assert (settling.row.outcome, settling.used) == ("ok", {"budget:b": SERVED})


async def test_an_answer_is_given_although_the_loser_could_not_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(silent(), plain())
    append = one.parts.kept.append

    def picky(record: Any) -> None:
        if getattr(record, "outcome", "") == "overtaken":
            raise GatewayError(Code.STORE_UNAVAILABLE)
        append(record)

    monkeypatch.setattr(one.parts.kept, "append", picky)
    assert await one.run() is None
    assert one.rows == [FINE]


async def test_a_second_answer_that_could_not_be_recorded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(silent(), plain())
    append = one.parts.kept.append

    def picky(record: Any) -> None:
        if getattr(record, "outcome", "overtaken") != "overtaken":
            raise GatewayError(Code.STORE_UNAVAILABLE)
        append(record)

    monkeypatch.setattr(one.parts.kept, "append", picky)
    told = await one.run()
    assert told is not None
    assert told.code is Code.STORE_UNAVAILABLE


async def test_time_that_two_are_waited_for_counts_once() -> None:
    one = scene(silent(), plain())
    started = one.exchange.started

    class Late(Planned):
        async def head(self) -> None:
            one.parts.clock.advance(3.0)

    one.upstream.plans = [one.upstream.plans[0], Late(PLAIN)]
    assert await one.run() is None
    assert one.exchange.upstream_seconds == 3.0
    assert one.exchange.first_byte == started + 3.0
    assert one.request.header("x-scaigrid-overhead-ms") == "0.000"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_the_cost_in_an_answer_is_that_of_the_copy_that_gave_it(provider: str) -> None:
    """A loser may have told its usage before it had content."""
    start, *_ = behaviours.anthropic_frames("Hello.", tokens=(5_000, 1))
    one = scene(
        Planned(start, asyncio.Event()) if provider == "anthropic" else silent(),
        streamed(),
        stream=True,
        dialect="native",
        providers=(provider, "openai"),
    )
    assert await one.run() is None
    assert one.exchange.cost == SERVED
    assert b'"cost":"0.000072"' in one.request.body


# -- the end of it ---------------------------------------------------------------------------------------------------


async def test_the_server_that_stops_ends_both() -> None:
    both = [silent(), silent()]
    one = scene(*both)
    task = asyncio.create_task(one.run())
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(plan.closed.is_set() for plan in both)
    assert sorted(row.outcome for row in one.parts.kept.usage) == ["error", "overtaken"]


async def test_a_gateway_that_stops_ends_the_copy_that_is_heard_with_an_error() -> None:
    one = scene(silent(), Planned(*STREAM[:2], asyncio.Event()), stream=True)
    live = one.parts.services.live
    call = asyncio.create_task(one.code())
    await one.request.got(2)
    live.cut()
    assert await call is Code.OVERLOADED
    assert {row.outcome for row in one.parts.kept.usage} == {"overtaken", "error"}


async def test_a_fault_of_our_own_in_the_second_copy_does_not_fail_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    class Broken(Planned):
        async def head(self) -> None:
            raise ZeroDivisionError

    one = scene(Planned(PLAIN, ahead=gate), Broken())
    logged: list[object] = []

    def noted(*said: object, **_: object) -> None:
        logged.extend(said)

    monkeypatch.setattr("scaigrid.hedging._log.exception", noted)
    task = asyncio.create_task(one.run())
    await becomes(lambda: one.parts.kept.usage, "the second one has failed")
    gate.set()
    assert await task is None
    assert logged == ["second_copy_failed"]


async def test_a_slow_reader_of_the_second_answer_is_left_as_of_any_other() -> None:
    one = scene(silent(), streamed(), stream=True, route={"deadlines": {"idle": 0.03}})
    never = asyncio.Event()
    send = one.send

    async def stuck(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body":
            await never.wait()

    one.send = stuck
    error = await one.run()
    assert error is not None
    assert (error.code, error.message) == (Code.CLIENT_CLOSED, "The client stopped reading.")


async def test_comments_stop_with_the_content_of_the_second_copy() -> None:
    gate = asyncio.Event()
    one = scene(silent(), Planned(*STREAM, ahead=gate), stream=True, config=ForwarderConfig(keep_alive_seconds=0.01))
    task = asyncio.create_task(one.run())
    await one.request.got(3)
    await becomes(lambda: len(one.upstream.requests) == 2, "there is a second copy")
    gate.set()
    assert await task is None
    assert [message["type"] for message in one.request.sent].count("http.response.start") == 1
    assert one.request.complete


# -- the share -------------------------------------------------------------------------------------------------------


def hedges(calls: int, share: float, of: HedgeShare) -> int:
    count = 0
    for _ in range(calls):
        of.called()
        count += of.takes(share)
    return count


@pytest.mark.parametrize(("share", "most"), [(0.05, 5), (0.5, 50), (1.0, 100)])
def test_no_more_than_its_share_of_a_route_s_calls_has_a_second_copy(share: float, most: int) -> None:
    assert hedges(100, share, HedgeShare(Telemetry())) == most


def test_the_share_is_one_of_what_happens_of_late() -> None:
    """A million calls that were quick do not pay for a flood of copies."""
    of = HedgeShare(Telemetry())
    for _ in range(1_000_000):
        of.called()
    assert hedges(100, 0.05, of) <= 0.05 * 1_100


def test_each_route_has_its_own_share() -> None:
    shares = HedgeShares(Telemetry(), Parts().services.current)
    assert shares.of("model_a") is shares.of("model_a")
    assert shares.of("model_a") is not shares.of("model_b")


def test_models_that_come_and_go_leave_nothing_behind() -> None:
    parts = Parts()
    shares = HedgeShares(Telemetry(), parts.services.current)
    share = shares.of(parts.model.id)
    for number in range(1_000):
        shares.of(f"model_{number}")
    assert len(shares) <= 64
    assert shares.of(parts.model.id) is share


async def test_where_the_share_is_used_up_the_call_waits_for_its_one_copy() -> None:
    gate = asyncio.Event()
    one = scene(Planned(PLAIN, ahead=gate), hedge={"share": 0.05, "after_seconds": 0.01})
    task = asyncio.create_task(one.run())
    await becomes(lambda: outcomes(one) == {"refused": 1}, "a copy is refused")
    gate.set()
    assert await task is None
    assert one.asked == "a"
