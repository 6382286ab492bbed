import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from middlewares.budget import Budget, BudgetConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.rate_limit import RateLimit, RateLimitConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.middleware import begin
from scaigrid.types import Usage
from tests.harness.asgi import Request
from tests.harness.eventually import becomes
from tests.harness.services import MODEL, Parts
from tests.middlewares.bare import CHAT, NATIVE_CHAT, Bare, called, exchange, identified

ZoneInfo("Europe/Amsterdam")
"""Read from the disk here, where no loop runs."""
ADDED = 1024
"""Tokens that providers add by themselves, at most."""
INPUT, OUTPUT = 3_000, 15_000
"""What one token costs, in nano-units."""
ROUNDED = 3
"""There are four classes of input, and each of them rounds up once."""
EMBED = {"unpriced": "free", "modality": "embedding", "route": {"targets": [{"backend": "one"}]}}
PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}]}


def budgeted(scope: str = "user", of: str = "ann", *, model: dict[str, Any] | None = None, **limits: Any) -> Parts:
    """A caller with one budget of these limits."""
    return Parts(
        groups={"team": {"users": ["ann"]}},
        budgets={"hard": {"scope": scope, "of": of, "period": "daily", **limits}},
        models={"acme/chat": {**MODEL, **(model or {})}},
    )


class Call:
    """A call of `acme/chat`, decoded ahead of the link; what is inside the link is `inner`."""

    def __init__(self, parts: Parts, inner: ASGIApp, **fields: Any) -> None:
        self.parts = parts
        self.request = Request(CHAT)
        linked = Budget(inner, BudgetConfig(), parts.services)

        async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
            called(exchange(self.request), **fields)
            await linked(scope, receive, send)

        self.app = Errors(identified(decoded, parts), ErrorsConfig(), parts.services)

    async def made(self) -> Exchange:
        await self.request.through(self.app)
        return exchange(self.request)

    @property
    def size(self) -> int:
        call = exchange(self.request).call
        assert call is not None
        return len(call.body)


def answering(
    parts: Parts, *, usage: Usage | None = None, cost: int = 0, served: bool = True, attempted: bool = True
) -> ASGIApp:
    """What the forwarder would leave on the exchange, and an answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found: Exchange = scope["scaigrid.exchange"]
        if attempted:
            found.attempts.append(Attempt(backend=parts.snapshot.backends[0], started=0))
        found.usage, found.cost, found.served = usage, cost, served
        await respond(send, 200, (), b"done")

    return app


class Held:
    """An application that answers when the test lets it, and sees what is reserved by then."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.bare = Bare()
        self.answer = answering(parts, cost=7)
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.bare.gates[0].wait()
        await self.answer(scope, receive, send)


async def reserved(parts: Parts, **fields: Any) -> tuple[int, int]:
    """The budget's (reserved while the call is under way, size of its body)."""
    found: list[int] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        found.append((await fund(parts))[1])
        await respond(send, 200, (), b"")

    call = Call(parts, look, **fields)
    await call.made()
    assert call.request.status == 200, call.request.body
    return found[0], call.size


async def fund(parts: Parts) -> tuple[int, int]:
    """(spent, reserved) of the one budget."""
    now = parts.clock.now()
    (found,) = (await parts.limiter.spent([fund.at(now) for fund in parts.snapshot.funds])).values()
    return found


# -- what is reserved ------------------------------------------------------------------------------------------------


async def test_the_worst_case_of_its_cost_is_reserved() -> None:
    """A token is a byte of the body at least; providers add some; output up to what the model may."""
    amount, size = await reserved(budgeted(cost_limit=1))
    least = (size + ADDED) * INPUT + 1_000 * OUTPUT
    assert least <= amount <= least + ROUNDED


async def test_the_worst_case_of_its_tokens_is_reserved() -> None:
    amount, size = await reserved(budgeted(token_limit=100_000))
    assert amount == size + ADDED + 1_000


async def test_one_request_is_reserved() -> None:
    assert (await reserved(budgeted(request_limit=5)))[0] == 1


@pytest.mark.parametrize(
    ("fields", "outputs"),
    [
        ({"max_completion_tokens": 10}, 10),
        ({"max_tokens": 10, "n": 4}, 40),
        ({"n": 3}, 3_000),
        ({"max_completion_tokens": 5_000}, 1_000),
    ],
)
async def test_the_output_is_the_caller_s_bound_or_the_model_s_for_each_choice(
    fields: dict[str, int], outputs: int
) -> None:
    amount, size = await reserved(budgeted(token_limit=100_000), **fields)
    assert amount == size + ADDED + outputs


async def test_the_input_is_never_more_than_the_context_window() -> None:
    amount, _ = await reserved(budgeted(token_limit=100_000, model={"context_window": 500}))
    assert amount == 500 + 1_000


async def test_the_model_s_own_prompt_is_input_too() -> None:
    plain, _ = await reserved(budgeted(token_limit=100_000))
    prompted, _ = await reserved(budgeted(token_limit=100_000, model={"system_prompt": "\u00dcber" * 10}))
    assert prompted - plain == 50


async def test_the_dearest_class_of_input_is_what_is_reserved() -> None:
    prices = {**MODEL["prices"], "cache_write": 30, "request": 1}
    amount, size = await reserved(budgeted(cost_limit=10, model={"prices": prices}))
    least = (size + ADDED) * 30_000 + 1_000 * OUTPUT + 1_000_000_000
    assert least <= amount <= least + ROUNDED


async def test_pictures_sound_and_files_count_as_the_whole_context_window() -> None:
    amount, _ = await reserved(budgeted(token_limit=200_000), messages=[PICTURE])
    assert amount == 100_000 + 1_000


async def test_without_a_context_window_they_are_refused() -> None:
    parts = budgeted(token_limit=200_000, model={"context_window": None})
    call = Call(parts, answering(parts), messages=[PICTURE])
    await call.made()
    assert (call.request.status, call.request.code) == (422, "UNSUPPORTED_BY_MODEL")
    assert await fund(parts) == (0, 0)


async def test_without_a_budget_they_are_not() -> None:
    parts = Parts(models={"acme/chat": {**MODEL, "context_window": None}})
    call = Call(parts, answering(parts), messages=[PICTURE])
    await call.made()
    assert call.request.status == 200


async def test_embeddings_have_no_output() -> None:
    parts = Parts(
        models={"acme/embed": EMBED},
        budgets={"hard": {"scope": "user", "of": "ann", "period": "total", "token_limit": 100_000}},
    )
    body = json.dumps({"model": "acme/embed", "input": "Hi"}).encode()
    seen: list[tuple[int, int]] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await fund(parts))

    linked = Budget(look, BudgetConfig(), parts.services)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        found: Exchange = scope["scaigrid.exchange"]
        found.call = found.dialect.decode("/oai/v1/embeddings", body)
        found.model = found.snapshot.models[found.call.model]
        await linked(scope, receive, send)

    request = await Request("/oai/v1/embeddings").through(identified(decoded, parts))
    assert seen == [(0, len(body) + ADDED)]
    assert exchange(request).output_bound is None


@pytest.mark.parametrize(
    ("path", "model", "body", "more"),
    [
        ("/oai/v1/embeddings", {"modality": "embedding"}, {"input": ["x" * 90, "y" * 90]}, 0),
        # A reranker reads its query beside each document.
        ("/v1/inference/rerank", {"modality": "rerank"}, {"query": "\u00fc" * 5, "documents": ["a", "b", "c"]}, 20),
    ],
)
async def test_a_window_holds_one_text_of_several(
    path: str, model: dict[str, Any], body: dict[str, Any], more: int
) -> None:
    provider = {"sort": {"type": "cohere", "api_key": "k"}}
    parts = Parts(
        providers=provider,
        backends={"sort": {"provider": "sort", "model": "m"}},
        models={"acme/one": {**EMBED, **model, "context_window": 100, "route": {"targets": [{"backend": "sort"}]}}},
        budgets={"hard": {"scope": "user", "of": "ann", "period": "total", "token_limit": 100_000}},
    )
    text = json.dumps({"model": "acme/one", **body}, ensure_ascii=False).encode()
    seen: list[tuple[int, int]] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await fund(parts))

    linked = Budget(look, BudgetConfig(), parts.services)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        found: Exchange = scope["scaigrid.exchange"]
        found.call = found.dialect.decode(path, text)
        found.model = found.snapshot.models[found.call.model]
        await linked(scope, receive, send)

    await Request(path).through(identified(decoded, parts))
    assert seen == [(0, len(text) + ADDED + more)]


async def test_what_has_no_price_is_reserved_by_its_tokens_alone() -> None:
    """It is refused further in; a budget of money has nothing to say about it."""
    amount, _ = await reserved(budgeted(cost_limit=1, model={"prices": None, "unpriced": "refuse"}))
    assert amount == 0


@pytest.mark.parametrize("limits", [{"cost_limit": 1}, {"token_limit": 5}], ids=str)
async def test_a_budget_that_notifies_asks_for_no_bound(limits: dict[str, Any]) -> None:
    """Nothing is refused for its sake, so nothing has to be known ahead; what is used counts all the same."""
    parts = budgeted(**limits, hard_action="notify", model={"context_window": None, "max_output_tokens": None})
    call = Call(parts, answering(parts, usage=Usage(input=30, output=12), cost=42), messages=[PICTURE])
    found = await call.made()
    assert (call.request.status, found.output_bound) == (200, None)
    assert await fund(parts) == (42, 0)


# -- what is sent along ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "model", "fields", "bound"),
    [
        ({"cost_limit": 1}, {}, {}, 1_000),
        ({"token_limit": 99_999}, {}, {"max_tokens": 400}, 400),
        ({"token_limit": 99_999}, {}, {"max_tokens": 1_001}, 1_000),
        ({"request_limit": 9}, {}, {}, None),
        ({"request_limit": 9}, {}, {"max_tokens": 1_001}, 1_000),
        ({}, {}, {}, None),
        ({}, {"max_output_tokens": None}, {"max_tokens": 9_999}, 9_999),
    ],
)
async def test_the_bound_that_was_counted_on_is_sent(
    limits: dict[str, Any], model: dict[str, Any], fields: dict[str, int], bound: int | None
) -> None:
    parts = budgeted(**limits, model=model) if limits else Parts(models={"acme/chat": {**MODEL, **model}})
    assert (await Call(parts, answering(parts), **fields).made()).output_bound == bound


async def test_a_budget_of_somebody_else_asks_for_no_bound() -> None:
    parts = Parts(
        users={"ann": {}, "bob": {}},
        budgets={"hard": {"scope": "user", "of": "bob", "period": "total", "cost_limit": 0}},
    )
    found = await Call(parts, answering(parts)).made()
    assert found.output_bound is None
    assert await fund(parts) == (0, 0)


# -- what becomes of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "spent"), [({"cost_limit": 1}, 123_456), ({"token_limit": 100_000}, 21), ({"request_limit": 5}, 1)]
)
async def test_it_is_settled_to_what_the_call_really_used(limits: dict[str, Any], spent: int) -> None:
    parts = budgeted(**limits)
    usage = Usage(input=10, cache_read=5, output=6, reasoning=2)
    await Call(parts, answering(parts, usage=usage, cost=123_456)).made()
    assert await fund(parts) == (spent, 0)


@pytest.mark.parametrize("limits", [{"cost_limit": 1}, {"token_limit": 100_000}, {"request_limit": 5}], ids=str)
@pytest.mark.parametrize("attempted", [False, True])
async def test_a_call_that_nobody_served_costs_nothing(limits: dict[str, Any], attempted: bool) -> None:
    parts = budgeted(**limits)
    await Call(parts, answering(parts, served=False, attempted=attempted)).made()
    assert await fund(parts) == (0, 0)
    assert parts.limiter.leases == 0


async def test_a_call_that_breaks_inside_gives_back_what_it_took() -> None:
    parts = budgeted(cost_limit=1)

    async def breaks(*_: object) -> None:
        raise GatewayError(Code.MODEL_NOT_FOUND)

    call = Call(parts, breaks)
    await call.made()
    assert call.request.code == "MODEL_NOT_FOUND"
    assert await fund(parts) == (0, 0)


async def test_what_was_used_beyond_the_worst_case_counts_all_the_same() -> None:
    """A provider that does not keep to the bound has billed it; the next call finds no room."""
    parts = budgeted(cost_limit=1)
    await Call(parts, answering(parts, cost=2_000_000_000)).made()
    assert await fund(parts) == (2_000_000_000, 0)
    again = Call(parts, answering(parts))
    await again.made()
    assert again.request.code == "BUDGET_EXCEEDED"


async def served_or_not(parts: Parts) -> int:
    call = Call(parts, answering(parts))
    await call.made()
    return call.request.status


@pytest.mark.parametrize(
    ("period", "until", "ends"),
    [
        # All of these periods hold Friday, 15 January 2027, 09:00 in Amsterdam, an hour ahead of UTC.
        ("daily", "2027-01-15T22:59:59+00:00", True),
        ("weekly", "2027-01-17T22:59:59+00:00", True),
        ("monthly", "2027-01-31T22:59:59+00:00", True),
        ("total", "2099-12-31T22:59:59+00:00", False),
    ],
)
async def test_a_period_lasts_to_midnight_in_its_own_time_zone(period: str, until: str, ends: bool) -> None:
    parts = budgeted(request_limit=1, period=period, timezone="Europe/Amsterdam")
    assert [await served_or_not(parts) for _ in range(2)] == [200, 429]
    parts.clock.advance(datetime.fromisoformat(until).timestamp() - parts.clock.now())
    assert await served_or_not(parts) == 429
    parts.clock.advance(1)
    assert [await served_or_not(parts) for _ in range(2)] == ([200, 429] if ends else [429, 429])


async def test_a_clock_that_is_set_back_over_midnight_finds_what_was_spent_before_it() -> None:
    """The earlier period is in force again, with all that was spent in it, and what the later one spent stays there."""
    parts = budgeted(request_limit=2)
    midnight = 1_800_057_600.0
    parts.clock.wall = midnight - 1
    assert await served_or_not(parts) == 200
    parts.clock.wall = midnight + 1
    assert [await served_or_not(parts) for _ in range(3)] == [200, 200, 429]
    parts.clock.wall = midnight - 1
    assert [await served_or_not(parts) for _ in range(2)] == [200, 429]
    parts.clock.wall = midnight + 1
    assert await served_or_not(parts) == 429


async def test_a_call_over_midnight_is_spent_in_the_period_in_which_it_began() -> None:
    parts = budgeted(request_limit=1)
    held = Held(parts)
    call = Call(parts, held)
    running = call.request.start(call.app)
    await becomes(lambda: held.inside, "the call is inside")
    before = parts.snapshot.funds[0].at(parts.clock.now())
    parts.clock.advance(86_400)
    held.bare.open()
    await running
    after = parts.snapshot.funds[0].at(parts.clock.now())
    assert dict(await parts.limiter.spent([before, after])) == {before.key: (1, 0), after.key: (0, 0)}


@pytest.mark.parametrize(("late", "counts"), [(60, "before"), (7200, "after")])
async def test_a_request_that_comes_in_over_midnight_is_spent_where_the_ledger_has_it(late: float, counts: str) -> None:
    """But never in a period that a store may have forgotten."""
    parts = budgeted(request_limit=1)
    before = parts.snapshot.funds[0].at(parts.clock.now())
    budget = Budget(answering(parts), BudgetConfig(), parts.services)
    parts.clock.wall = before.until - 1

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        called(exchange(request))
        parts.clock.advance(late)
        await budget(scope, receive, send)

    request = Request(CHAT)
    await request.through(identified(slow, parts))
    after = parts.snapshot.funds[0].at(parts.clock.now())
    spent = await parts.limiter.spent([before, after])
    assert {"before": spent[before.key], "after": spent[after.key]} == {
        name: (int(name == counts), 0) for name in ("before", "after")
    }


async def test_a_budget_begins_anew_with_its_period() -> None:
    parts = budgeted(request_limit=1)
    for expected in (200, 429):
        call = Call(parts, answering(parts))
        await call.made()
        assert call.request.status == expected
    parts.clock.advance(86_400)
    call = Call(parts, answering(parts))
    await call.made()
    assert call.request.status == 200


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "of"),
    [
        ("key", "ann"),
        ("user", "ann"),
        ("group", "team"),
        ("tenant", "default"),
        ("partner", "default"),
        ("model", "acme/chat"),
    ],
)
async def test_a_budget_of_each_level_refuses_and_is_named(scope: str, of: str) -> None:
    parts = budgeted(scope, of, request_limit=0)
    call = Call(parts, answering(parts))
    await call.made()
    request = call.request
    assert (request.status, request.code) == (429, "BUDGET_EXCEEDED")
    assert f"requests budget 'hard' of the {scope}" in request.json["error"]["message"]
    assert (request.header("x-should-retry"), request.header("retry-after")) == ("false", None)


async def test_a_budget_of_a_group_counts_the_calls_of_its_members() -> None:
    users: dict[str, Any] = {"ann": {}, "bob": {}, "eve": {}}
    parts = Parts(
        users=users,
        keys={name: {"user": name, "sha256": f"{place:064x}"} for place, name in enumerate(users)},
        groups={"team": {"users": ["ann", "bob"]}},
        budgets={"hard": {"scope": "group", "of": "team", "period": "daily", "request_limit": 2}},
    )
    answers: dict[str, list[int]] = {}
    for name in ("ann", "bob", "eve", "ann", "bob", "eve"):
        principal = next(one for one in parts.snapshot.keys.values() if one.user.name == name)
        request = Request(CHAT)

        async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
            called(scope["scaigrid.exchange"])
            await Budget(answering(parts), BudgetConfig(), parts.services)(scope, receive, send)

        await request.through(Errors(identified(decoded, parts, principal), ErrorsConfig(), parts.services))
        answers.setdefault(name, []).append(request.status)
    assert answers == {"ann": [200, 429], "bob": [200, 429], "eve": [200, 200]}


@pytest.mark.parametrize("path", [CHAT, NATIVE_CHAT, "/anthropic/v1/messages", "/oai/v1/responses"])
async def test_no_dialect_invites_a_repeat_of_what_a_budget_refuses(path: str) -> None:
    """The public SDKs repeat every 429 by themselves, unless they are told not to."""
    parts = budgeted(request_limit=0)
    request = Request(path)

    async def refused(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange(request)
        body = {"model": "acme/chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        if path.endswith("responses"):
            body = {"model": "acme/chat", "input": "Hi"}
        found.call = found.dialect.decode(path, json.dumps(body).encode())
        found.model = found.snapshot.models["acme/chat"]
        await Budget(answering(parts), BudgetConfig(), parts.services)(scope, receive, send)

    await request.through(Errors(identified(refused, parts), ErrorsConfig(), parts.services))
    assert (request.status, request.header("x-should-retry"), request.header("retry-after")) == (429, "false", None)
    message = request.json["error"]["message"]
    assert "requests budget 'hard' of the user" in message
    assert "its next period begins at 2027-01-16T00:00:00Z" in message


async def test_a_refusal_is_exact_to_the_nano_unit() -> None:
    worst, _ = await reserved(budgeted(cost_limit=1))
    for spare, status in ((0, 200), (-1, 429)):
        parts = budgeted(cost_limit=f"0.{worst + spare:09d}")
        call = Call(parts, answering(parts))
        await call.made()
        assert call.request.status == status


async def test_a_refused_call_costs_nothing_in_any_budget_or_limit() -> None:
    parts = Parts(
        budgets={
            "roomy": {"scope": "key", "of": "ann", "period": "total", "cost_limit": 9, "token_limit": 99_999},
            "spent": {"scope": "partner", "of": "default", "period": "total", "request_limit": 0},
        }
    )

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        called(scope["scaigrid.exchange"])
        await linked(scope, receive, send)

    inner = Budget(answering(parts), BudgetConfig(), parts.services)
    linked = RateLimit(inner, RateLimitConfig(), parts.services)
    before = await parts.taken()
    with pytest.raises(GatewayError) as caught:
        await Request(CHAT).through(identified(decoded, parts))
    assert (caught.value.code, caught.value.level) == (Code.BUDGET_EXCEEDED, "partner")
    assert await parts.taken() == before == [(0, 0)] * len(before)
    assert parts.metrics.value("scaigrid_limit_decisions_total", outcome="budget", level="partner") == 1


async def test_of_many_at_once_exactly_those_get_in_whose_worst_case_fits() -> None:
    amount, _ = await reserved(budgeted(cost_limit=1))
    parts = budgeted(cost_limit=f"0.{amount * 3 + amount // 2:09d}")
    held = Held(parts)
    calls = [Call(parts, held) for _ in range(10)]
    running = [call.request.start(call.app) for call in calls]
    for refused in running[3:]:
        await refused
    assert held.inside == 3
    assert await fund(parts) == (0, amount * 3)
    held.bare.open()
    for task in running:
        await task
    assert sorted(call.request.status for call in calls) == [200] * 3 + [429] * 7
    assert await fund(parts) == (21, 0)


# -- what is no call -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limits", "spent"), [({"cost_limit": 1}, 0), ({"request_limit": 5}, 1)], ids=str)
async def test_a_request_that_is_no_call_is_one_request_and_no_money(limits: dict[str, Any], spent: int) -> None:
    parts = budgeted(**limits)
    app = identified(Budget(Bare().app, BudgetConfig(), parts.services), parts)
    assert (await Request().through(app)).status == 202
    assert await fund(parts) == (spent, 0)


async def test_a_call_of_a_model_that_there_is_not_reserves_its_request_alone() -> None:
    parts = budgeted(cost_limit=1, request_limit=1)
    seen: list[tuple[int, int]] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        now = parts.clock.now()
        funds = [fund.at(now) for fund in parts.snapshot.funds]
        seen.extend((await parts.limiter.spent(funds)).values())

    await Call(parts, look, model="made/up").made()
    assert seen == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    "bounds", [{"hidden": frozenset({"acme/chat"})}, {"models": frozenset({"acme/other"})}], ids=["hidden", "confined"]
)
@pytest.mark.parametrize("limits", [{"cost_limit": 0}, {"request_limit": 0}], ids=["cost", "requests"])
async def test_who_may_not_use_a_model_takes_nothing_of_its_budget_and_learns_nothing(
    bounds: dict[str, Any], limits: dict[str, Any]
) -> None:
    parts = budgeted("model", "acme/chat", **limits)
    stranger = msgspec.structs.replace(parts.principal, **bounds)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        found, send = begin(scope, send, parts.services, "test")
        called(found)
        await Budget(Bare().app, BudgetConfig(), parts.services)(scope, receive, send)

    app = Errors(identified(decoded, parts, stranger), ErrorsConfig(), parts.services)
    assert (await Request(CHAT).through(app)).status == 200


async def test_off_keeps_no_budget_and_still_takes_what_rate_limit_wants() -> None:
    parts = budgeted(request_limit=0)
    inner = Budget(Bare().app, BudgetConfig(enabled=False), parts.services)
    app = identified(RateLimit(inner, RateLimitConfig(), parts.services), parts)
    assert (await Request().through(app)).status == 202
    windows = [take.bucket for take in parts.principal.windows]
    assert set((await parts.limiter.spent(windows)).values()) == {(1, 0)}


async def test_what_a_provider_adds_by_itself_counts_as_the_whole_context_window() -> None:
    """A conversation that it keeps is not in the body."""
    parts = budgeted(token_limit=200_000)
    found: list[int] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        found.append((await fund(parts))[1])
        await respond(send, 200, (), b"")

    budget = Budget(look, BudgetConfig(), parts.services)
    body = b'{"model":"acme/chat","input":"Hi","previous_response_id":"resp_1","max_output_tokens":10}'

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        got = exchange(request)
        got.call = got.dialect.decode("/oai/v1/responses", body)
        got.model = got.snapshot.models["acme/chat"]
        await budget(scope, receive, send)

    request = Request("/oai/v1/responses")
    await request.through(Errors(identified(decoded, parts), ErrorsConfig(), parts.services))
    assert found == [100_000 + 10]
