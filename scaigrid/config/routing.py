"""The words of routes and backends that the configuration file, the API and the database share."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from scaigrid.config.decode import Invalid
from scaigrid.config.strict import Strict
from scaigrid.config.terms import Deadlines, Name, Seconds, Slug

Strategy = Literal["weighted", "least_latency", "least_busy", "cheapest", "sticky"]
"""In which order the backends of one tier are tried."""
StickyBy = Literal["key", "user", "tenant", "session"]
"""What has to be the same for two calls to go to the same backend."""
FailureClass = Literal["connect", "reset", "timeout", "rate_limited", "server_error", "malformed", "credential"]
"""How a call to a provider fails, ahead of its first byte to the client."""
Capability = Literal[
    "tools", "images", "audio", "files", "reasoning", "json_schema", "citations", "n", "logprobs", "stream"
]
"""What a call may need, and a deployment may lack."""
FallbackReason = Literal["context_too_long", "content_refused"]
"""Why another model may answer."""
FAILURES: tuple[FailureClass, ...] = (
    "connect",
    "reset",
    "timeout",
    "rate_limited",
    "server_error",
    "malformed",
    "credential",
)
TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=1)]


class When(Strict, omit_defaults=True):
    """Facts of a request. What is left out does not matter; of what is said, all has to be so."""

    stream: bool | None = None
    """The answer is streamed, or is not."""
    dialects: Annotated[tuple[Literal["native", "openai", "anthropic"], ...], msgspec.Meta(min_length=1)] | None = None
    """The caller speaks one of these."""
    uses: Annotated[tuple[Capability, ...], msgspec.Meta(min_length=1)] | None = None
    """The request uses every one of these."""
    min_input_tokens: TokenCount | None = None
    """The input is no smaller: counted where the gateway has the backend's vocabulary, else guessed from its bytes."""
    max_input_tokens: TokenCount | None = None
    """The input is no larger, counted likewise."""
    tags: dict[str, str] | None = None
    """The request has these tags (`metadata`, `X-ScaiGrid-Tags`)."""

    def __post_init__(self) -> None:
        least, most = self.min_input_tokens, self.max_input_tokens
        if least is not None and most is not None and least > most:
            raise Invalid(((("max_input_tokens",), "must be no less than `min_input_tokens`"),))


class RouteTarget(Strict):
    """One backend that a model may be answered by."""

    backend: Name
    """Its name under `backends`."""
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """Its share among the targets of the same priority. 0: only when the others of its tier have failed."""
    priority: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """Its tier: 0 is tried first, higher ones when every target of the lower ones has failed."""
    when: When | None = None
    """Only for requests like these. Left out: for all."""


class Hedge(Strict):
    """A second copy of a call that is slow to answer, to the next backend; whichever answers first is heard.

    The other one is cut off at once. What it costs is the operator's: callers pay for one answer.
    """

    share: Ratio = 0.05
    """The part of the route's calls that may have a second copy, at the most."""
    after_seconds: Seconds | None = None
    """How long the first one is waited for. Left out: as long as 95 of its last 100 answers took to begin; until it has
    answered often enough to know, there is no second copy."""


class Fallbacks(Strict):
    """Other models that answer what this one cannot; each has to be named.

    Who may not use the other model gets the failure. The caller pays the price of the model that answers, and its own
    limits and budgets count; where they have no room for it, he gets the failure as well. The other model is asked by
    its own route, within what is left of this one's total deadline, and may name another one, up to three. The header
    `x-scaigrid-model` names the model that answered, the answer itself the one that was asked for.
    """

    context_too_long: Slug | None = None
    """Answers requests that are longer than this model's context."""
    content_refused: Slug | None = None
    """Answers requests that the provider's content filter refuses."""


FALLBACK_REASONS: tuple[FallbackReason, ...] = ("context_too_long", "content_refused")
"""The fields of `Fallbacks`."""


class Breaker(Strict):
    """When calls to a backend stop for a while, as each worker sees it. A provider's Retry-After does that as well."""

    failures: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 5
    """So many failures in a row open it."""
    error_ratio: Ratio | None = None
    """So large a part of the calls of `window_seconds` failing opens it too. Left out: only failures in a row do."""
    min_calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20
    """A ratio says nothing of fewer calls than this."""
    window_seconds: Seconds = 30.0
    """How far back `error_ratio` looks."""
    open_seconds: Seconds = 10.0
    """How long no call is sent. Then a single one finds out whether the backend serves again."""
    longest_open_seconds: Seconds = 300.0
    """The most that a provider's Retry-After is believed."""


class BackendDeadlines(Strict):
    """Where a backend needs more or less patience than the routes that lead to it say. Left out: as the route says."""

    connect: Seconds | None = None
    """For a connection, TLS included."""
    first_byte: Seconds | None = None
    """From the start of an attempt to the first piece of a stream or the head of an answer."""
    idle: Seconds | None = None
    """Between two pieces of a streamed answer; for a plain one, from its head to its end."""


class Route(Strict):
    """How a frontend model reaches its backends."""

    targets: Annotated[tuple[RouteTarget, ...], msgspec.Meta(min_length=1)]
    """The backends, at least one."""
    strategy: Strategy = "weighted"
    """Which target of a tier comes first. `weighted`: drawn by `weight`. `least_latency`: of two that are drawn, the
    one whose first token came sooner of late. `least_busy`: the one with the fewest calls under way. `cheapest`: by
    what the backends cost. `sticky`: the same one for the same `sticky_by`, for as long as it serves."""
    sticky_by: StickyBy = "user"
    """With `sticky` alone. `session` is what the caller says in the header `X-ScaiGrid-Session`, or the user's own
    where nothing is said."""
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=16)] = 3
    """How many calls to providers one request may cause. Another model that answers instead of this one has its own."""
    attempts_per_backend: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many of these one backend may get. Above 1, the targets are gone round again once each has had its turn,
    after a pause that is drawn, and is longer each time."""
    failover_on: tuple[FailureClass, ...] = FAILURES
    """The failures after which another call is made. Left out: all of them. What no backend can mend never is tried
    again: a request that is not valid, too long, or refused."""
    when_unhealthy: Literal["try", "refuse"] = "try"
    """What becomes of calls while the breaker of every backend is open: `try` asks them all the same, `refuse` answers
    MODEL_UNAVAILABLE at once."""
    deadlines: Deadlines = Deadlines()
    """How long to wait."""
    hedge: Hedge | None = None
    """A second copy of slow calls. Left out: none."""
    fallbacks: Fallbacks = Fallbacks()
    """Other models for what this one cannot answer. Left out: none."""


def room_faults(concurrency: int | None, queue: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the room of a backend, each with its field."""
    if queue and concurrency is None:
        yield "queue", "nobody waits where any number of calls may go at the same time: give `concurrency` as well"


def route_faults(
    slug: str, targets: int, hedge: Hedge | None, fallbacks: Fallbacks
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a route of the model `slug` that has so many targets, each with its path."""
    if hedge is not None and targets == 1:
        yield ("hedge",), "a second copy goes to another backend, and the route has one alone"
    for reason in FALLBACK_REASONS:
        if getattr(fallbacks, reason) == slug:
            yield ("fallbacks", reason), "names the model itself"
