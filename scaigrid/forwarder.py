"""The leaf of the chain: the one loop of attempts, for all surfaces and dialects, streamed and plain.

Its rules, each of which holds ahead of the first byte of an answer; after that there is no second answer:

1. The candidates are asked in the order in which the router put them. One that cannot say the call, or has no room for
   it (OVERLOADED), was not asked, and the next one is. One that failed in a way that `failover_on` names is left for
   the next one. Any other end is final: the caller's own mistake, his leaving, a ledger that cannot be written.
2. Where `attempts_per_backend` allows it, the candidates are gone round again once each has had its turn, after a pause
   that is drawn: those whose breaker lets calls through, but for those that refused our credential or the request.
3. No request makes more than `max_attempts` calls for one model; none begins after the total deadline; and every call
   that follows a failed one is taken from the retry budget of the worker. Where that is used up, the failure is told.
4. What a stand-in does not accept is no news of the request: where a backend that comes after a failed one calls the
   request invalid, too long or refused, the next one is asked, and the caller is never told that. As the first answer
   of all it is told at once.
5. Where nothing served, what is told is the first failure that was no rate limit, for it says most; else that backends
   had no room; else, where every one that was asked is limiting calls, BACKEND_RATE_LIMITED, with the shortest of the
   times that they asked for; else why none could be asked.
6. A route with a `hedge` has its first attempt overtaken by a second one where it is slow (see `hedging`).
7. Where that a request is too long, or refused, is the end of it, the model that the route's `fallbacks` name is asked
   instead, under its own route and price and what is left of the total deadline, if the caller may use it and has the
   money (see `fallbacks`). That one may name another, up to three. Unless one of them answers, the caller is told what
   his own model said; or, where they only failed for the moment, that, for a repeat may be answered. Where one could
   only not be had for the moment, he is told what his own model said, and that is not kept for repeats (`for_now`).
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from scaigrid.asgi import Receive, Scope, Send, header
from scaigrid.attempt_headers import failure_headers
from scaigrid.call import Call
from scaigrid.config.routing import Hedge
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Backend, Model
from scaigrid.draining import Drains
from scaigrid.errors import Code, GatewayError, let_go
from scaigrid.exchange import Attempt, Because, Exchange, resolved
from scaigrid.facts import SESSION, facts_of, sticky_of
from scaigrid.fallbacks import REFUSALS, change, stand_in
from scaigrid.hedging import HedgeShares, hedged
from scaigrid.keep_alive import KeepAlive
from scaigrid.middleware import Services
from scaigrid.retrying import RetryBudget, pause, pause_before
from scaigrid.router import order
from scaigrid.sending import Sending
from scaigrid.upstream.port import Upstream

_MISTAKES: Final = frozenset({*REFUSALS, Code.VALIDATION_ERROR, Code.UNSUPPORTED_BY_MODEL, Code.REQUEST_TOO_LARGE})
"""What a backend says of a request that another backend, or another model, may see otherwise."""
_UNASKED: Final = frozenset({Code.OVERLOADED, Code.UNSUPPORTED_BY_MODEL})
"""Why a backend was not even asked; another one may be."""

_LAST_FRAME: Final = 30.0
"""Seconds at the most that a call which is over waits for a reader: less than its lease outlives its deadline."""

_NOBODY: Final[Iterator[Backend]] = iter(())
_FAILED, _BUSY, _LIMITED, _REFUSED = range(4)
"""What is told, of several: the lowest of them, and the first of those."""


class Forwarder:
    """The ASGI application that the chain ends in."""

    def __init__(
        self,
        services: Services,
        upstreams: Mapping[str, Upstream],
        config: ForwarderConfig,
        drains: Drains | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """`shared`: the counters outlive this worker, so a row also says how its lease is settled."""
        self.services = services
        self.upstreams = upstreams
        self.config = config
        self.drains = drains or Drains(config, services.telemetry)
        self.shared = shared
        self.retries = RetryBudget(config.retry_share, config.retries_per_second, services.clock)
        self.draw = random.Random()  # noqa: S311 - shares of load and pauses, no secrets
        self.hedges = HedgeShares(services.telemetry, services.current)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, call, model = resolved(scope)
        # A call whose row could not be kept costs money all the same, once it is sent.
        self.services.recorder.check()
        self.retries.calls += 1
        ends = asyncio.get_running_loop().time() + model.route.total
        silence = self.config.keep_alive_seconds if call.stream else None
        alive = None if silence is None else KeepAlive(exchange, send, silence)
        try:
            sends = send if alive is None else alive.send
            asking = _Asking(self, exchange, call, receive=receive, send=sends, ends=ends)
            told = await asking.all_of(model, exchange.candidates)
            if told is not None and model.route.fallbacks is not None:
                told = await self._instead(asking, told, scope)
        finally:
            if alive is not None:
                await alive.stop(min(model.route.idle, _LAST_FRAME))
        if told is not None:
            now = self.services.clock.monotonic()
            exchange.response_headers += failure_headers(exchange, now, expose_backend=self.config.expose_backend)
            raise told

    async def _instead(self, asking: "_Asking", told: GatewayError, scope: Scope) -> GatewayError | None:
        """Puts the call to the models that stand in for its own. None where one of them answered."""
        exchange, call, services = asking.exchange, asking.call, self.services
        tried = {asking.model.slug}
        while (refusal := asking.refusal) is not None:
            other = stand_in(exchange, call, asking.model, refusal, tried)
            if other is None:
                break
            if asking.late:
                exchange.for_now = True
                break
            try:
                candidates = self._ordered(exchange, call, other, scope)
                await change(exchange, other, services)
            except GatewayError as error:
                # It is out, or there is no room for it, or no saying whether there is; that may be otherwise soon.
                exchange.for_now = error.code is not Code.UNSUPPORTED_BY_MODEL
                break
            services.telemetry.stood_in.labels(asking.model.slug, other.slug, refusal).inc()
            tried.add(other.slug)
            asking = _Asking(self, exchange, call, receive=asking.receive, send=asking.send, ends=asking.ends)
            failed = await asking.all_of(other, candidates, "fallback")
            if failed is None or exchange.committed or failed.code not in _MISTAKES:
                return failed
        return told

    def _ordered(self, exchange: Exchange, call: Call, other: Model, scope: Scope) -> Sequence[Backend]:
        """Raises MODEL_UNAVAILABLE where its route has nobody for the call."""
        route, services = other.route, self.services
        session = header(scope, SESSION) if route.strategy == "sticky" else None
        candidates, _ = order(
            route,
            services.health,
            services.clock.monotonic(),
            self.draw,
            facts=facts_of(call, other),
            sticky=sticky_of(route, exchange.principal, session),
            stream=call.stream,
        )
        return candidates


class _Asking:
    """One call and one model: its backends are asked until one has answered. Used once."""

    # Most calls are answered by the first backend that is asked: what only others need is set by them alone.

    model: Model
    _backends: Iterator[Backend]
    """Those whose turn comes yet."""
    _because: Because = "first"
    _heard: tuple[tuple[int, GatewayError], ...] = ()
    """What the backends said, each with its rank."""
    _final: GatewayError | None = None
    _useless: frozenset[str] = frozenset()
    """Ids of backends of which nothing better is to be had."""
    _paid = False
    """The next attempt has been taken from the retry budget."""
    _paused = 0.0
    """Seconds ahead of the next attempt."""

    def __init__(
        self, forwarder: Forwarder, exchange: Exchange, call: Call, *, receive: Receive, send: Send, ends: float
    ) -> None:
        """`ends`: the time of the loop at which all has to be over."""
        self._forwarder = forwarder
        self.exchange = exchange
        self.call = call
        self.receive = receive
        self.send = send
        self.ends = ends
        self._before = len(exchange.attempts)
        """Attempts of other models."""

    async def all_of(
        self, model: Model, candidates: Sequence[Backend], because: Because = "first"
    ) -> GatewayError | None:
        """None where one of them answered, else what the caller is told. `because` is why the first one is asked."""
        self.model = model
        self._because = because
        try:
            for turn in range(model.route.attempts_per_backend):
                if turn and not await self._pause(turn, candidates):
                    break
                self._backends = self._again(candidates) if turn else self._in_turn(candidates)
                while (backend := next(self._backends, None)) is not None:
                    asked = len(self.exchange.attempts)
                    if (self._heard or asked != self._before) and not self._may_ask():
                        return self._told()
                    told = await self._ask(backend)
                    if told is None:
                        return None
                    if not self._goes_on(backend, told, self.exchange.attempts[asked:]):
                        return self._told()
            return self._told()
        finally:
            # It knows of this object, which knows of it: a ring that only the collector would find.
            self._backends = _NOBODY

    @property
    def refusal(self) -> Code | None:
        """Why another model may be asked: that the request is too long, or refused, was the end or part of it."""
        if self._final is not None:
            code = self._final.code
            return code if code in REFUSALS and not self.exchange.committed else None
        return next((error.code for rank, error in self._heard if rank == _REFUSED and error.code in REFUSALS), None)

    @property
    def late(self) -> bool:
        """The total deadline is over."""
        return asyncio.get_running_loop().time() >= self.ends

    # -- one attempt -------------------------------------------------------------------------------------------------

    @property
    def _made(self) -> int:
        return len(self.exchange.attempts) - self._before

    def _may_ask(self) -> bool:
        """Whether there may be an attempt after others; the retry budget counts it from then on."""
        made = self._made
        if made >= self.model.route.max_attempts or self.late:
            return False
        if made and not self._paid:
            self._paid = self._forwarder.retries.take()
            if not self._paid:
                self._forwarder.services.telemetry.retries_refused.inc()
                return False
        return True

    async def _ask(self, backend: Backend) -> GatewayError | None:
        if len(self.exchange.attempts) == self._before:
            sending = self._sending(backend, self._because)
            if (hedge := self.model.route.hedge) is not None:
                return await self._hedged(sending, hedge)
        else:
            again = any(attempt.backend is backend for attempt in self.exchange.attempts[self._before :])
            sending = self._sending(backend, "retry" if again else "failover")
        return await sending.run(self.receive, self.ends)

    def _sending(self, backend: Backend, because: Because) -> Sending:
        return Sending(
            self._forwarder,
            self.exchange,
            self.call,
            self.model,
            backend=backend,
            send=self.send,
            because=because,
            waited=self._paused,
        )

    async def _hedged(self, sending: Sending, hedge: Hedge) -> GatewayError | None:
        """Runs a call's first attempt, and a second one beside it where it is slow."""
        forwarder, stream = self._forwarder, self.call.stream
        share = forwarder.hedges.of(self.model.id)
        share.called()
        after = hedge.after_seconds or forwarder.services.health.slow_after(sending.backend.id, stream=stream)
        if after is None:
            return await sending.run(self.receive, self.ends)

        def second() -> Sending | None:
            backend = next(self._backends, None) if self._made < self.model.route.max_attempts else None
            if backend is None:
                return None
            if not share.takes(hedge.share):
                # It is still there for when the first one fails.
                self._backends = chain((backend,), self._backends)
                return None
            return self._sending(backend, "hedge")

        return await hedged(sending, second, after, self.receive, self.ends)

    def _goes_on(self, backend: Backend, told: GatewayError, made: Sequence[Attempt]) -> bool:
        """Notes what a backend said, or why it was not asked. True where another one may do better."""
        if not made:
            stops = self._forwarder.services.live.over
            if stops or (told.code not in _UNASKED and not self._disbelieved(told)):
                self._final = told
                return False
            # Unlike those of an attempt, nobody else knows of it; its frames hold the request, and it.
            let_go(told)
            self._note(told, _BUSY if told.code is Code.OVERLOADED else _REFUSED, backend)
            self.exchange.skipped = {**self.exchange.skipped, backend.name: told.message}
            return True
        self._paid, self._paused = False, 0.0
        failed = [attempt for attempt in made if not attempt.overtaken]
        if self.exchange.committed or all(attempt.error is not told for attempt in failed):
            self._final = told
            return False
        goes_on = [self._goes_on_after(attempt) for attempt in failed]
        return False not in goes_on

    def _goes_on_after(self, attempt: Attempt) -> bool:
        error, failure = attempt.error, attempt.failure
        if error is None:
            return True
        if failure is not None:
            self._note(error, _LIMITED if failure == "rate_limited" else _FAILED, attempt.backend)
            if failure == "credential":
                self._rule_out(attempt.backend)
            return failure in self.model.route.failover_on
        if error.code is Code.UNSUPPORTED_BY_MODEL or self._disbelieved(error):
            self._note(error, _REFUSED, attempt.backend)
            return True
        self._final = self._final or error
        return False

    def _disbelieved(self, told: GatewayError) -> bool:
        """Whether it is only a stand-in that does not accept the call: that is no news of it."""
        return told.code in _MISTAKES and any(rank in (_FAILED, _LIMITED) for rank, _ in self._heard)

    def _note(self, told: GatewayError, rank: int, backend: Backend) -> None:
        self._heard = (*self._heard, (rank, told))
        if rank == _REFUSED:
            self._rule_out(backend)

    def _rule_out(self, backend: Backend) -> None:
        self._useless |= {backend.id}

    def _in_turn(self, candidates: Sequence[Backend]) -> Iterator[Backend]:
        """The candidates; behind the others, and only where the route tries such, who has fallen ill meanwhile."""
        health, clock = self._forwarder.services.health, self._forwarder.services.clock
        ill: list[Backend] = []
        for place, backend in enumerate(candidates):
            if place and health.reason_to_skip(backend, clock.monotonic()) is not None:
                ill.append(backend)
            else:
                yield backend
        if self.model.route.when_unhealthy == "try":
            yield from ill

    # -- another turn ------------------------------------------------------------------------------------------------

    async def _pause(self, turn: int, candidates: Sequence[Backend]) -> bool:
        """Waits ahead of another turn. False where there is nobody to ask, no time left, or nobody to ask for."""
        forwarder = self._forwarder
        seconds = pause_before(turn, forwarder.draw)
        over = asyncio.get_running_loop().time() + seconds >= self.ends
        if over or self._made >= self.model.route.max_attempts or next(self._again(candidates), None) is None:
            return False
        try:
            await pause(seconds, self.ends, self.receive, forwarder.services.live)
        except GatewayError as ended:
            self._final = ended
            return False
        self._paused += seconds
        return True

    def _again(self, candidates: Iterable[Backend]) -> Iterator[Backend]:
        """Those that may do better the next time, each looked at when its turn comes."""
        services, useless = self._forwarder.services, self._useless
        for backend in candidates:
            healthy = services.health.reason_to_skip(backend, services.clock.monotonic()) is None
            if healthy and backend.id not in useless:
                yield backend

    # -- the end -----------------------------------------------------------------------------------------------------

    def _told(self) -> GatewayError:
        """What the caller is told of all that was heard."""
        if self._paid:
            # Whoever was to be asked could not be.
            self._forwarder.retries.give_back()
            self._paid = False
        if self._final is not None:
            return self._final
        if not self._heard:
            return GatewayError(Code.MODEL_UNAVAILABLE)
        lowest = min(rank for rank, _ in self._heard)
        errors = [error for rank, error in self._heard if rank == lowest]
        if lowest != _LIMITED:
            return errors[0]
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        return GatewayError(Code.BACKEND_RATE_LIMITED, retry_after=min(waits, default=None))
