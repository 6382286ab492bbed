"""A call that its model cannot answer is put to the one that is named for that, and no budget is overrun by it."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest

from middlewares.budget import Budget, BudgetConfig
from middlewares.rate_limit import RateLimit, RateLimitConfig
from middlewares.route_resolve import RouteResolve, RouteResolveConfig
from scaigrid.adapter import UpstreamRequest
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Model, Principal
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, exchange_of
from scaigrid.forwarder import Forwarder
from scaigrid.ledger.records import Settling
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Limiter, Spending, Take
from scaigrid.stores import LIMITERS
from scaigrid.upstream.port import UpstreamResponse
from tests.harness.asgi import Request
from tests.harness.behaviours import compact, completion, openai_error, openai_frames
from tests.harness.lanes import CHAT_URL, chat
from tests.harness.services import MODEL, Parts
from tests.harness.upstream import Planned
from tests.middlewares.bare import identified
from tests.scaigrid.stores.openers import OPENERS, Opener

UNLIMITED: Final = {"limits": {"requests_per_minute": None}}
TOKENS: Final = (9, 3)
DEAR: Final = {"input": 30, "output": 150}
DEAR_COST: Final = 9 * 30_000 + 3 * 150_000
TOO_LONG: Final = compact(openai_error("Too long.", code="context_length_exceeded"))
REFUSED: Final = compact(openai_error("No.", code="content_filter"))
REFUSALS: Final = {"context_too_long": TOO_LONG, "content_refused": REFUSED}
CODES: Final = {"context_too_long": Code.CONTEXT_TOO_LONG, "content_refused": Code.CONTENT_REFUSED}
FALLBACKS: Final = dict.fromkeys(REFUSALS, "long")


def route(*backends: str, **more: Any) -> dict[str, Any]:
    return {"targets": [{"backend": name, "priority": place} for place, name in enumerate(backends)], **more}


def refused(body: bytes = TOO_LONG) -> Planned:
    return Planned(body, status=400)


def fine(tokens: tuple[int, int] = TOKENS) -> Planned:
    return Planned(compact(completion("Hello.", tokens=tokens)))


class Providers:
    """Answers for each backend as planned for it, in turn."""

    def __init__(self, **plans: Sequence[Planned] | Callable[[], Planned]) -> None:
        self.plans = plans
        self.asked: list[str] = []

    @asynccontextmanager
    async def send(
        self, request: UpstreamRequest, *, connect_timeout: float, stream: bool
    ) -> AsyncGenerator[UpstreamResponse]:
        name = request.url.partition("//")[2].partition(".")[0]
        plans = self.plans[name]
        plan = plans() if callable(plans) else plans[self.asked.count(name)]
        self.asked.append(name)
        await plan.head()
        # Others go on meanwhile, as they do while a provider works.
        await asyncio.sleep(0)
        yield plan

    async def aclose(self) -> None:
        return None


class Site:
    """The part of the chain that counts, resolves and sends, around providers that are told what to say.

    The model `short` is on the backend `a`, and names `long`, ten times as dear, on `b`.
    """

    def __init__(
        self, providers: Providers, *, limiter: Limiter | None = None, shared: bool = False, **sections: Any
    ) -> None:
        models = {
            "short": {**MODEL, "route": route("a", fallbacks=FALLBACKS)},
            "long": {**MODEL, "prices": DEAR, "route": route("b")},
            **sections.pop("models", {}),
        }
        names = sorted({name for model in models.values() for name in _backends(model)})
        defaults = {
            "partners": {"default": UNLIMITED},
            "tenants": {"default": UNLIMITED},
            "users": {"ann": UNLIMITED},
            "keys": {"ann": {"user": "ann", "sha256": "0" * 64, **UNLIMITED}},
        }
        self.parts = Parts(
            **{**defaults, **sections},
            providers={
                name: {"type": "openai", "base_url": f"http://{name}.invalid/v1", "api_key": "k"} for name in names
            },
            backends={
                name: {"provider": name, "model": f"m-{name}", "cost": {"input": 1, "output": 5}} for name in names
            },
            models=models,
        )
        self.providers = providers
        self.limiter = limiter or self.parts.limiter
        self.forwarder = Forwarder(self.parts.services, {"http": providers}, ForwarderConfig(), shared=shared)
        self.count_by(self.limiter)

    def count_by(self, limiter: Limiter) -> None:
        """Has `limiter` keep the counters."""
        self.limiter = limiter
        services = self.forwarder.services = msgspec.structs.replace(self.forwarder.services, limiter=limiter)
        resolving = RouteResolve(self.forwarder, RouteResolveConfig(), services)
        self.links = RateLimit(Budget(resolving, BudgetConfig(), services), RateLimitConfig(), services)

    async def call(self, dialect: str = "openai", model: str = "short", **more: Any) -> "Called":
        path = CHAT_URL[dialect]
        body = json.dumps({**chat(model, max_tokens=10), **more}).encode()
        request = Request(path, body=body)

        async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
            found = exchange_of(scope)
            assert found is not None
            found.call = found.dialect.decode(path, body)
            found.model = found.snapshot.models.get(found.call.model)
            await self.links(scope, receive, send)

        error = None
        try:
            await request.through(identified(decoded, self.parts))
        except GatewayError as raised:
            error = raised
        found = exchange_of(request.scope)
        assert found is not None
        return Called(request, found, error)

    @property
    def rows(self) -> list[tuple[str, bool, int]]:
        """Of each attempt: the model, whether it served, and the cost."""
        return [(row.model, row.serving, row.cost) for row in self.parts.kept.usage]

    async def funds(self) -> list[tuple[int, int]]:
        """Of each budget, spent and reserved."""
        now = self.parts.clock.now()
        return list((await self.limiter.spent([fund.at(now) for fund in self.parts.snapshot.funds])).values())


class Called(msgspec.Struct, frozen=True):
    request: Request
    exchange: Exchange
    error: GatewayError | None

    @property
    def code(self) -> Code | None:
        return self.error.code if self.error else None


def _backends(model: Mapping[str, Any]) -> list[str]:
    return [target["backend"] for target in model["route"]["targets"]]


def purse(**limits: Any) -> dict[str, Any]:
    return {"purse": {"scope": "user", "of": "ann", "period": "total", **limits}}


# -- who answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", sorted(CHAT_URL))
@pytest.mark.parametrize("why", REFUSALS)
async def test_the_model_that_is_named_answers_and_is_what_is_paid(why: str, dialect: str) -> None:
    site = Site(Providers(a=[refused(REFUSALS[why])], b=[fine()]), budgets=purse(cost_limit=1))
    called = await site.call(dialect)
    assert called.error is None
    assert site.rows == [("short", False, 0), ("long", True, DEAR_COST)]
    assert called.exchange.cost == DEAR_COST
    assert await site.funds() == [(DEAR_COST, 0)]
    answer = called.request.json if dialect == "openai" else called.request.json["data"]
    assert (answer["model"], called.request.header("x-scaigrid-model")) == ("short", "long")
    first, second = called.exchange.attempts
    assert (first.because, second.because, second.model) == ("first", "fallback", site.parts.snapshot.models["long"])
    versions = [row.price_version for row in site.parts.kept.usage]
    assert versions[0] != versions[1]
    labels = {"model": "short", "to": "long", "reason": CODES[why].value}
    assert site.parts.metrics.value("scaigrid_model_fallbacks_total", **labels) == 1


async def test_a_stream_is_answered_likewise() -> None:
    site = Site(Providers(a=[refused()], b=[Planned(*openai_frames("Hel", "lo.", tokens=TOKENS))]))
    called = await site.call(stream=True)
    assert called.error is None
    assert called.request.body.endswith(b"data: [DONE]\n\n")
    assert site.rows == [("short", False, 0), ("long", True, DEAR_COST)]


async def test_nothing_stands_in_for_an_answer_that_has_begun() -> None:
    frames = openai_frames("Hel", "lo.")
    broken = b"data: " + REFUSED + b"\n\n"
    site = Site(Providers(a=[Planned(*frames[:2], broken)], b=[]))
    called = await site.call(stream=True)
    assert called.code is Code.CONTENT_REFUSED
    assert site.providers.asked == ["a"]


async def test_what_breaks_an_answer_that_has_begun_is_told_whichever_model_gave_it() -> None:
    broken = b"data: " + REFUSED + b"\n\n"
    site = Site(Providers(a=[refused()], b=[Planned(*openai_frames("Hel", "lo.")[:2], broken)]))
    called = await site.call(stream=True)
    assert called.code is Code.CONTENT_REFUSED


async def test_the_other_model_is_asked_under_its_own_route() -> None:
    site = Site(
        Providers(a=[refused()], b=[Planned(status=500)], c=[fine()]),
        models={
            "short": {**MODEL, "route": route("a", fallbacks=FALLBACKS, max_attempts=1)},
            "long": {**MODEL, "prices": DEAR, "route": route("b", "c", max_attempts=2)},
        },
    )
    called = await site.call()
    assert called.error is None
    assert [attempt.because for attempt in called.exchange.attempts] == ["first", "fallback", "failover"]


async def test_a_refusal_by_a_stand_in_counts_once_every_candidate_is_done() -> None:
    site = Site(
        Providers(a=[Planned(status=503)], b=[refused()], c=[Planned(status=500)], d=[fine()]),
        models={
            "short": {**MODEL, "route": route("a", "b", "c", fallbacks=FALLBACKS)},
            "long": {**MODEL, "prices": DEAR, "route": route("d")},
        },
    )
    assert (await site.call()).error is None
    assert site.providers.asked == ["a", "b", "c", "d"]


def chained(*slugs: str) -> dict[str, Any]:
    """Models of which each names the next one; the backend of each is called after it."""
    named = {
        slug: {**MODEL, "route": route(f"x{slug}", fallbacks={"context_too_long": after})}
        for slug, after in pairwise(slugs)
    }
    return {slugs[-1]: {**MODEL, "route": route(f"x{slugs[-1]}")}, **named}


async def test_a_call_is_put_to_three_other_models_at_the_most() -> None:
    slugs = ["short", "long", "m2", "m3", "m4"]
    site = Site(Providers(**{f"x{slug}": [refused()] for slug in slugs}), models=chained(*slugs))
    assert (await site.call()).code is Code.CONTEXT_TOO_LONG
    assert site.providers.asked == ["xshort", "xlong", "xm2", "xm3"]


async def test_no_model_is_asked_twice() -> None:
    models = chained("short", "long")
    models["long"] = {**MODEL, "route": route("xlong", fallbacks={"context_too_long": "short"})}
    site = Site(Providers(xshort=[refused()], xlong=[refused()]), models=models)
    assert (await site.call()).code is Code.CONTEXT_TOO_LONG
    assert site.providers.asked == ["xshort", "xlong"]


KEPT_OUT: Final[Mapping[str, dict[str, Any]]] = {
    "the key is for others": {"keys": {"ann": {"user": "ann", "sha256": "0" * 64, "models": ["short"], **UNLIMITED}}},
    "it is disabled": {"status": "disabled"},
    "it has no price": {"prices": None, "unpriced": "refuse"},
}


@pytest.mark.parametrize("why", KEPT_OUT)
async def test_a_model_that_may_not_or_cannot_answer_is_not_asked(why: str) -> None:
    changes = dict(KEPT_OUT[why])
    keys = {"keys": changes.pop("keys")} if "keys" in changes else {}
    long = {**MODEL, "prices": DEAR, "route": route("b"), **changes}
    site = Site(
        Providers(a=[refused()], b=[]), models={"long": {k: v for k, v in long.items() if v is not None}}, **keys
    )
    called = await site.call()
    assert called.error is not None
    assert (called.error.code, called.error.message) == (Code.CONTEXT_TOO_LONG, "Too long.")
    assert site.providers.asked == ["a"]


async def test_what_refers_to_something_kept_stays_with_its_model() -> None:
    site = Site(Providers(a=[refused()], b=[]))
    plain = site.forwarder

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange_of(scope)
        assert found is not None
        assert found.call is not None
        found.call = msgspec.structs.replace(found.call, held="resp_ours")
        await Forwarder.__call__(plain, scope, receive, send)

    resolving = RouteResolve(held, RouteResolveConfig(), site.parts.services)
    site.links = RateLimit(resolving, RateLimitConfig(), site.parts.services)
    assert (await site.call()).code is Code.CONTEXT_TOO_LONG


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Planned(status=500), Code.BACKEND_ERROR),
        (Planned(status=429), Code.BACKEND_RATE_LIMITED),
        (refused(REFUSED), Code.CONTEXT_TOO_LONG),
        (Planned(compact(openai_error("What?")), status=400), Code.CONTEXT_TOO_LONG),
    ],
    ids=["it fails", "it has no time", "it refuses too", "it does not understand"],
)
async def test_where_the_other_model_does_not_answer_either_its_failure_is_told_or_the_first_refusal(
    answer: Planned, code: Code
) -> None:
    site = Site(Providers(a=[refused()], b=[answer]), budgets=purse(cost_limit=1))
    assert (await site.call()).code is code
    assert site.rows == [("short", False, 0), ("long", False, 0)]
    assert await site.funds() == [(0, 0)]


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_the_request_counts_once_and_each_model_by_its_own_limits() -> None:
    limits = {"limits": {"requests_per_minute": 5, "tokens_per_minute": 100_000, "concurrent_requests": 1}}
    site = Site(
        Providers(a=[refused()], b=[fine()]),
        users={"ann": limits},
        models={
            "short": {**MODEL, **limits, "route": route("a", fallbacks=FALLBACKS)},
            "long": {**MODEL, **limits, "prices": DEAR, "route": route("b")},
        },
    )
    called = await site.call()
    assert called.error is None, called.error
    models = site.parts.snapshot.models.values()
    takers: list[Principal | Model] = [site.parts.principal, *models]
    buckets = [bucket for one in takers for bucket in (*[take.bucket for take in one.windows], *one.token_windows)]
    held = await site.limiter.spent(buckets)
    found = [(bucket.level, bucket.kind, *held[bucket.key]) for bucket in buckets]
    used = sum(TOKENS)
    assert sorted(found) == sorted(
        [
            ("user", "requests", 1, 0),
            ("user", "concurrency", 0, 0),
            ("user", "tokens", used, 0),
            ("model", "requests", 1, 0),
            ("model", "concurrency", 0, 0),
            ("model", "tokens", 0, 0),
            ("model", "requests", 1, 0),
            ("model", "concurrency", 0, 0),
            ("model", "tokens", used, 0),
        ]
    )
    names = [name for name, _ in called.request.sent[0]["headers"]]
    assert len(names) == len(set(names)), "each limit is told once"


async def test_a_limit_of_the_other_model_is_a_limit() -> None:
    site = Site(
        Providers(a=[refused()], b=[]),
        models={"long": {**MODEL, "limits": {"requests_per_minute": 0}, "prices": DEAR, "route": route("b")}},
    )
    called = await site.call()
    assert (called.code, site.providers.asked) == (Code.CONTEXT_TOO_LONG, ["a"])
    assert called.exchange.for_now, "a minute later there is room"


async def test_a_refusal_for_which_no_time_was_left_to_ask_another_model_is_one_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scaigrid.forwarder._Asking.late", True)
    site = Site(Providers(a=[refused()], b=[]))
    called = await site.call()
    assert (called.code, called.exchange.for_now) == (Code.CONTEXT_TOO_LONG, True)


async def test_a_refusal_that_no_other_model_could_mend_is_one_for_good() -> None:
    site = Site(Providers(a=[refused()], b=[refused()]))
    called = await site.call()
    assert (called.code, called.exchange.for_now) == (Code.CONTEXT_TOO_LONG, False)


async def test_another_model_that_could_not_even_be_asked_costs_nothing() -> None:
    limits = {"limits": {"requests_per_minute": 5}}
    long = {**MODEL, **limits, "prices": DEAR, "route": route("b")}
    site = Site(Providers(a=[refused()], b=[]), models={"long": long})
    site.forwarder.services = msgspec.structs.replace(site.forwarder.services, gates=_shut(site))
    assert (await site.call()).code is Code.OVERLOADED
    (window,) = site.parts.snapshot.models["long"].windows
    assert await site.limiter.spent([window.bucket]) == {window.bucket.key: (0, 0)}


def _shut(site: Site) -> Any:
    class Shut:
        async def enter(self, *_: object) -> float:
            raise GatewayError(Code.OVERLOADED, retry_after=1)

        def leave(self, *_: object) -> None:
            return None

    for candidates in site.parts.snapshot.models["long"].route.tiers:
        for candidate in candidates:
            msgspec.structs.force_setattr(candidate.backend, "concurrency", 1)
    return Shut()


# -- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("short_of", "code"), [(0, None), (1, Code.CONTEXT_TOO_LONG)])
async def test_the_dearer_model_needs_room_for_its_own_worst_case_to_the_nano_unit(
    short_of: int, code: Code | None
) -> None:
    ample = await Site(Providers(a=[refused()], b=[fine()]), budgets=purse(cost_limit=1)).call()
    assert ample.exchange.reserved is not None
    limit = ample.exchange.reserved.cost - short_of
    site = Site(Providers(a=[refused()], b=[fine()]), budgets=purse(cost_limit=f"{limit / 10**9:.9f}"))
    assert (await site.call()).code is code
    assert await site.funds() == [(0 if short_of else DEAR_COST, 0)]


@pytest.mark.parametrize("limits", [{"request_limit": 1}, {"token_limit": 1024 + 200}], ids=str)
async def test_a_budget_with_room_for_one_call_has_room_for_one_that_is_answered_by_another_model(
    limits: dict[str, Any],
) -> None:
    site = Site(Providers(a=[refused()], b=[fine()]), budgets=purse(**limits))
    assert (await site.call()).error is None
    assert await site.funds() == [(1 if "request_limit" in limits else sum(TOKENS), 0)]


async def test_each_model_s_own_budget_is_spent_by_what_it_answered() -> None:
    budgets = {
        f"of-{name}": {"scope": "model", "of": name, "period": "total", "cost_limit": 1} for name in ("short", "long")
    }
    site = Site(Providers(a=[refused()], b=[fine()]), budgets=budgets)
    assert (await site.call()).error is None
    assert sorted(await site.funds()) == [(0, 0), (DEAR_COST, 0)]


async def test_a_budget_of_the_other_model_that_throttles_lets_few_pass() -> None:
    throttling = {"scope": "model", "of": "long", "period": "total", "request_limit": 1, "hard_action": "throttle"}
    site = Site(Providers(a=refused, b=fine), budgets={"of-long": {**throttling, "throttle_per_minute": 2}})
    codes = [(await site.call()).code for _ in range(5)]
    assert codes == [None] * 3 + [Code.CONTEXT_TOO_LONG] * 2


async def test_the_lease_lasts_as_long_as_the_model_that_was_asked_for_has_time() -> None:
    class Timed(Watched):
        async def acquire(self, takes: Sequence[Take], lease_seconds: float = LEASE_SECONDS) -> Decision:
            leases.append(lease_seconds)
            return await super().acquire(takes, lease_seconds)

    leases: list[float] = []
    quick = {"connect": 1, "first_byte": 1, "idle": 1, "total": 1}
    patient = {**quick, "total": 3000}
    site = Site(
        Providers(a=[refused()], b=[fine()]),
        models={
            "short": {**MODEL, "route": route("a", fallbacks=FALLBACKS, deadlines=patient)},
            "long": {**MODEL, "prices": DEAR, "route": route("b", deadlines=quick)},
        },
    )
    site.count_by(Timed(site.parts.limiter))
    assert (await site.call()).error is None
    assert leases == [3120, 3120]


async def test_a_store_that_goes_away_in_between_leaves_the_first_refusal() -> None:
    class Away(Watched):
        async def acquire(self, takes: Sequence[Take], lease_seconds: float = LEASE_SECONDS) -> Decision:
            if self.acquired:
                raise GatewayError(Code.STORE_UNAVAILABLE)
            return await super().acquire(takes, lease_seconds)

    site = Site(Providers(a=[refused()], b=[]), budgets=purse(cost_limit=1))
    site.count_by(Away(site.parts.limiter))
    assert (await site.call()).code is Code.CONTEXT_TOO_LONG
    assert await site.funds() == [(0, 0)]


async def test_the_row_settles_the_lease_that_was_taken_for_the_model_that_served() -> None:
    site = Site(Providers(a=[refused()], b=[fine()]), shared=True, budgets=purse(cost_limit=1))
    called = await site.call()
    (settling,) = [record for record in site.parts.kept.records if isinstance(record, Settling)]
    assert settling.row.model == "long"
    assert list(settling.used.values()) == [DEAR_COST]
    assert called.exchange.lease is None


class Watched:
    """A limiter of which every step is followed by a look at all funds: none may be beyond its limit, ever."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.acquired = 0
        self.highest = 0.0
        """The part of a limit that was spent or reserved at the most."""
        self._buckets: dict[str, Bucket] = {}

    def on_spent(self, heard: Callable[[Mapping[str, Spending]], None]) -> None:
        self._limiter.on_spent(heard)

    async def acquire(self, takes: Sequence[Take], lease_seconds: float = LEASE_SECONDS) -> Decision:
        self._buckets |= {take.bucket.key: take.bucket for take in takes if take.bucket.fund}
        decision = await self._limiter.acquire(takes, lease_seconds)
        self.acquired += 1
        await self._look()
        return decision

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        await self._limiter.settle(lease, used)
        await self._look()

    async def release(self, lease: str) -> None:
        await self._limiter.release(lease)
        await self._look()

    async def settle_again(self, lease: str, used: Mapping[str, int]) -> None:
        await self._limiter.settle_again(lease, used)

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        await self._limiter.preset(spent, complete=complete)

    async def lost(self) -> None:
        await self._limiter.lost()

    async def spent(self, buckets: Sequence[Bucket]) -> Mapping[str, tuple[int, int]]:
        return await self._limiter.spent(buckets)

    def bar(self, reason: str) -> None:
        self._limiter.bar(reason)

    async def check(self) -> str:
        return await self._limiter.check()

    async def aclose(self) -> None:
        await self._limiter.aclose()

    async def _look(self) -> None:
        buckets = list(self._buckets.values())
        held = await self._limiter.spent(buckets)
        for bucket in buckets:
            assert sum(held[bucket.key]) <= bucket.limit, f"{bucket.key} is overrun: {held[bucket.key]}"
            self.highest = max(self.highest, sum(held[bucket.key]) / bucket.limit)


@pytest.fixture(scope="session", params=sorted(LIMITERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


@pytest.mark.parametrize("seed", range(3))
async def test_no_budget_is_overrun_however_many_calls_go_on_with_a_dearer_model(opener: Opener, seed: int) -> None:
    """Forty at once, of random costs up to their bounds; and what is spent is what the rows say."""
    draw = random.Random(seed)  # noqa: S311 - no secrets

    def first() -> Planned:
        return refused(draw.choice([TOO_LONG, REFUSED])) if draw.random() < 0.7 else fine((draw.randint(1, 1000), 10))

    def second() -> Planned:
        return Planned(status=500) if draw.random() < 0.2 else fine((draw.randint(1, 1024), draw.randint(1, 10)))

    limit = 6 * 1200 * 30_000
    async with opener() as opened:
        watched = Watched(opened.limiter)
        site = Site(
            Providers(a=first, b=second),
            limiter=watched,
            users={"ann": {"limits": {"requests_per_minute": None, "concurrent_requests": 15}}},
            budgets={
                **purse(cost_limit=f"{limit / 10**9:.9f}", token_limit=30_000),
                "of-long": {"scope": "model", "of": "long", "period": "total", "cost_limit": f"{limit / 10**9:.9f}"},
            },
        )
        calls = await asyncio.gather(*[site.call() for _ in range(40)])
        served = [call for call in calls if call.error is None]
        instead = [call for call in served if call.exchange.attempts[-1].because == "fallback"]
        assert instead
        assert len(served) < len(calls)
        assert watched.highest > 0.8
        spent = await site.funds()
        assert [reserved for _, reserved in spent] == [0, 0, 0]
        rows = site.parts.kept.usage
        cost, tokens = sum(row.cost for row in rows), sum(row.tokens_in + row.tokens_out for row in rows)
        of_long = sum(row.cost for row in rows if row.model == "long")
        assert sorted(amount for amount, _ in spent) == sorted([cost, tokens, of_long])
