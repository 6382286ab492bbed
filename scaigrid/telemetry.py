"""Every metric in one table, with the children that requests need kept ready.

Label values come from the configuration alone: a made-up model name in a request is the one label `unknown`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from scaigrid.shared_metrics import Over, Reading, Shared

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)

# A `_created` series beside each counter doubles the exposition and is read by nobody we know of.
cast("Callable[[], None]", disable_created_metrics)()

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_TOLD_EVERY: Final = 1.0
"""Seconds: so old may be what another worker read."""

Sample = tuple[tuple[str, ...], float]
Taken = tuple[str, str, str]
"""Limit or budget, level, kind."""

_TAKEN: Final = (
    "scaigrid_taken",
    "Units that calls took of the limits and budgets of each level, settled to what they used.",
    ("of", "level", "kind"),
)


class Telemetry:
    """The metrics of one worker, or this worker's part of those that are `shared`.

    Of several workers, each gauge says which of its values counts: the worst of a backend's health and breaker, for a
    breaker opens in the worker whose calls failed.
    """

    def __init__(self, shared: Shared | None = None) -> None:
        registry = self.registry = CollectorRegistry()
        self._shared = shared
        self.requests = Counter(
            "scaigrid_requests", "Requests answered.", ("model", "status", "protocol"), registry=registry
        )
        self.duration = Histogram(
            "scaigrid_request_duration_seconds",
            "From the request's arrival to the last byte of the answer.",
            ("model", "backend"),
            buckets=_LATENCY,
            registry=registry,
        )
        self.tokens = Counter(
            "scaigrid_tokens",
            "Tokens by direction (input, output).",
            ("model", "direction", "tenant_id"),
            registry=registry,
        )
        self.first_token = Histogram(
            "scaigrid_time_to_first_token_seconds",
            "From the request's arrival to the first byte of a streamed answer.",
            ("model",),
            buckets=_LATENCY,
            registry=registry,
        )
        self.overhead = Histogram(
            "scaigrid_overhead_seconds",
            "Time to the first byte of the answer that was not spent waiting for a provider.",
            ("link",),
            buckets=_OVERHEAD,
            registry=registry,
        )
        self.backend_health = Gauge(
            "scaigrid_backend_health",
            "1 healthy, 0.5 degraded, 0 unavailable.",
            ("backend_id",),
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.breaker = Gauge(
            "scaigrid_circuit_breaker_state",
            "0 closed, 1 open, 2 half-open.",
            ("backend_id",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.decisions = Counter(
            "scaigrid_limit_decisions",
            "Limit and budget decisions: admitted, or refused by a limit or a budget of a level.",
            ("outcome", "level"),
            registry=registry,
        )
        self.admitted = self.decisions.labels("admitted", "")
        self.budget_thresholds = Counter(
            "scaigrid_budget_thresholds",
            "Thresholds that the spending of a budget has reached: soft, hard.",
            ("budget", "threshold"),
            registry=registry,
        )
        self.attempts = Counter(
            "scaigrid_backend_attempts",
            "Calls to backends by outcome (ok or the error code).",
            ("backend_id", "outcome"),
            registry=registry,
        )
        self.fallbacks = Counter(
            "scaigrid_store_fallback",
            "Calls that the store of limits and budgets did not answer: refused (deny), let through uncounted (allow) "
            "or within this worker's share (allow_bounded), or refused because that is used up (exhausted).",
            ("action",),
            registry=registry,
        )

        self.overruns = Counter(
            "scaigrid_overruns",
            "Calls that cost more than was reserved for them: their backend did not keep to its bound.",
            ("backend_id",),
            registry=registry,
        )
        self.retries_refused = Counter(
            "scaigrid_retries_refused",
            "Calls that were not made once more after they had failed: the worker's retry budget was used up.",
            registry=registry,
        )
        self.stood_in = Counter(
            "scaigrid_model_fallbacks",
            "Calls that another model was asked to answer: for whom, which one, and why (an error code).",
            ("model", "to", "reason"),
            registry=registry,
        )
        self.turned_away = Counter(
            "scaigrid_backend_turned_away",
            "Calls that a backend had no room for: too many waited already (full), or they waited too long (late).",
            ("backend_id", "why"),
            registry=registry,
        )

        self.shed = Counter(
            "scaigrid_shed_calls",
            "Calls that were refused unread: too many under way (calls), too much of their bodies (bytes), stopping.",
            ("reason",),
            registry=registry,
        )

        self.hedged = Counter(
            "scaigrid_hedged_calls",
            "Slow calls by what became of a second copy: it was heard (won), it was not (lost), or the share of such "
            "calls was used up, and there was none (refused).",
            ("outcome",),
            registry=registry,
        )

        self._readers: list[_Reader] = []
        self.taken: dict[Taken, int]
        if shared is None:
            self.taken = {}
            registry.register(_Totals(self.taken))
        else:
            self.taken = _WrittenThrough(Counter(*_TAKEN, registry=registry))
        self._refreshers: list[Callable[[], Awaitable[None]]] = []
        self.overhead_all = self.overhead.labels("all")
        self._answered: dict[tuple[str, int, str], Counter] = {}
        self._took: dict[tuple[str, str], Histogram] = {}
        self._first: dict[str, Histogram] = {}
        self._used: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._attempted: dict[tuple[str, str], Counter] = {}

    # `labels()` formats, locks and looks up; a request would do that five times, so the children are kept.

    def answered(self, model: str, status: int, protocol: str) -> None:
        key = (model, status, protocol)
        child = self._answered.get(key)
        if child is None:
            child = self._answered[key] = self.requests.labels(model, str(status), protocol)
        child.inc()

    def took(self, model: str, backend: str, seconds: float) -> None:
        key = (model, backend)
        child = self._took.get(key)
        if child is None:
            child = self._took[key] = self.duration.labels(model, backend)
        child.observe(seconds)

    def first_token_after(self, model: str, seconds: float) -> None:
        child = self._first.get(model)
        if child is None:
            child = self._first[model] = self.first_token.labels(model)
        child.observe(seconds)

    def used(self, model: str, tenant_id: str, tokens_in: int, tokens_out: int) -> None:
        key = (model, tenant_id)
        children = self._used.get(key)
        if children is None:
            children = self._used[key] = (
                self.tokens.labels(model, "input", tenant_id),
                self.tokens.labels(model, "output", tenant_id),
            )
        children[0].inc(tokens_in)
        children[1].inc(tokens_out)

    def attempted(self, backend: str, outcome: str) -> None:
        key = (backend, outcome)
        child = self._attempted.get(key)
        if child is None:
            child = self._attempted[key] = self.attempts.labels(backend, outcome)
        child.inc()

    def fell_back(self, action: str) -> None:
        self.fallbacks.labels(action).inc()

    def on_inflight(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Who knows how many calls are under way at each backend."""
        self.on_scrape(
            "scaigrid_backend_inflight_requests",
            "Calls under way at a backend.",
            ("backend_id",),
            lambda: [((backend,), count) for backend, count in read().items()],
        )

    def on_scrape(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[Sample]],
        *,
        over: Over = "sum",
    ) -> None:
        """A gauge that is read at scrape time: samples of label values and a number. `over` several workers, it is so.

        What others than the worker that is asked have read may be a second old.
        """
        reader = _Reader(name, text, labels, read, over)
        self._readers.append(reader)
        self.registry.register(reader)

    def before_scrape(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Something to await ahead of each scrape: a store that has to be asked."""
        self._refreshers.append(refresh)

    async def render(self) -> bytes:
        """The exposition in Prometheus' text format."""
        for refresh in self._refreshers:
            await refresh()
        if self._shared is None:
            return generate_latest(self.registry)
        return await asyncio.to_thread(self._shared.render, self._readings())

    async def share(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Tells the other workers, again and again, what is read here at a scrape. Alone, there is nobody to tell."""
        while self._shared is not None:
            # A disk that is full will have room again: until then the others know what was told last.
            with suppress(OSError):
                await asyncio.to_thread(self._shared.tell, self._readings())
            await sleep(_TOLD_EVERY)

    def _readings(self) -> list[Reading]:
        return [reader.reading() for reader in self._readers]


class _WrittenThrough(dict[Taken, int]):
    """Totals that are counted at once where other workers see them."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter
        self._children: dict[Taken, Counter] = {}

    def __setitem__(self, key: Taken, total: int) -> None:
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._counter.labels(*key)
        child.inc(total - self.get(key, 0))
        super().__setitem__(key, total)


class _Totals:
    """Totals that are read when somebody asks for them."""

    def __init__(self, totals: Mapping[Taken, int]) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Metric]:
        name, text, labels = _TAKEN
        family = CounterMetricFamily(name, text, labels=labels)
        for key, total in self._totals.items():
            family.add_metric(key, total)
        yield family


class _Reader:
    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], read: Callable[[], Iterable[Sample]], over: Over
    ) -> None:
        self._name, self._text, self._labels, self._read = name, text, labels, read
        self._over: Over = over

    def reading(self) -> Reading:
        return Reading(self._name, self._text, self._labels, self._over, list(self._read()))

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family
