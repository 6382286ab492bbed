"""Everything known about one request, typed, filled in link by link.

The exchange lives in the ASGI scope, so that each link finds what the others have found out, and a link that stands
alone around somebody else's application opens one for itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from scaigrid.asgi import Headers, Message, Scope, Send
from scaigrid.call import Call
from scaigrid.config.routing import FailureClass
from scaigrid.config.snapshot import Backend, Model, Principal, Snapshot
from scaigrid.dialect import Dialect
from scaigrid.errors import GatewayError
from scaigrid.held import Held
from scaigrid.ledger.records import Outcome, UsageSource
from scaigrid.limiter import Take
from scaigrid.types import Usage

KEY = "scaigrid.exchange"
"""Where the exchange lives in the ASGI scope."""


Because = Literal["first", "failover", "retry", "hedge", "fallback"]
"""Why a backend was asked: it came first, another one had failed, it had failed itself, another one was slow, or
another model could not answer."""


class Attempt(msgspec.Struct, eq=False, kw_only=True):
    """One call to one backend."""

    backend: Backend
    model: Model | None = None
    """The frontend model that it is asked for: another one than the caller named where that could not answer."""
    because: Because = "first"
    number: int = 0
    """1 for the first of the request; of two that run at the same time, the one that began later has the higher one."""
    id: str = ""
    """Of its row in the ledger; given when it starts."""
    started: float
    """Monotonic seconds, as every time here but `started_at`."""
    ended: float = 0.0
    first_byte: float | None = None
    error: GatewayError | None = None
    """Why it failed; None while it runs and where it served."""
    failure: FailureClass | None = None
    """How it failed, where another backend may do better."""
    status: int | None = None
    """What the provider answered; None where nothing came."""
    waited: float = 0.0
    """Seconds ahead of it: for a pause between two attempts, or for the backend to have room."""
    overtaken: bool = False
    """Another copy of the call had content first, and this one was cut off: no failure, whatever `error` says."""
    dropped: frozenset[str] = frozenset()
    """Fields of the request that were left out, for the backend has no word for them."""


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """What a request of the control plane does: for the audit log. `before` and `after` hold no credential."""

    action: str
    """`resource.verb`."""
    resource_type: str
    resource_id: str | None = None
    before: msgspec.Raw | None = None
    after: msgspec.Raw | None = None


class Owners(NamedTuple):
    """Ids of the tenant and of the partner that a resource belongs to; None for what stands above them."""

    tenant_id: str | None
    partner_id: str | None


class Reserved(NamedTuple):
    """The most that a call can use if its provider keeps to its bound: tokens of both directions, and nano-units."""

    tokens: int
    cost: int


class Exchange(msgspec.Struct, eq=False, kw_only=True):
    """One request and what became of it. Times are monotonic seconds but for `started_at` (seconds since the epoch)."""

    request_id: str
    method: str
    path: str
    dialect: Dialect
    snapshot: Snapshot
    principal: Principal
    started: float
    started_at: float
    authenticated: bool = False
    client_address: str | None = None
    """Where the caller is, proxies that the operator trusts seen through; None where nobody looked."""
    audited: Audited | None = None
    """What the control plane did, or was asked to do; None for calls of models."""
    owners: Owners | None = None
    """Whose resource that is done to; None: the caller's tenant and partner."""
    keep: Callable[[int], None] | None = None
    """Keeps the audit row now, with the status that will be answered, instead of after the answer. Raises
    STORE_UNAVAILABLE where it cannot. None where nobody keeps one."""

    call: Call | None = None
    model: Model | None = None
    """The frontend model of the call, None where the snapshot has none of that name."""
    held: Held | None = None
    """What the call's name of something that a backend keeps leads to; None for no such name, and for one that leads
    to nothing of the caller's tenant."""
    output_bound: int | None = None
    """The bound on output tokens, for each choice, that is sent to the provider; None leaves the caller's own."""

    takes: list[Take] = []
    limited: bool = False
    """Limits were asked for it."""
    budgeted: bool = False
    """Budgets were asked for it."""
    lease: str | None = None
    asked: int = 0
    """Attempts that were over before the lease was taken: of another model."""
    settled: float | None = None
    """When what was taken was settled, or given back; None where nothing was."""
    served: bool = False
    """A provider's answer reached the client, or part of it: the call counts."""

    marks: list[tuple[str, float]] = []
    """When each link was reached, by its name."""

    candidates: Sequence[Backend] = ()
    skipped: Mapping[str, str] = {}
    """Backends that were not candidates, with the reason."""
    attempts: list[Attempt] = []

    reserved: Reserved | None = None
    """The most that the call can use, where a limit or a budget asks for it."""
    usage: Usage | None = None
    usage_source: UsageSource = "none"
    cost: int = 0
    backend_cost: int = 0
    overrun: int = 0
    """Nano-units of the cost that were not reserved for it."""
    outcome: Outcome = "ok"
    repeats: str | None = None
    """The id of the request whose answer this one was given: it was not made anew, and costs nothing."""
    error: GatewayError | None = None
    for_now: bool = False
    """It was refused only because another model, which is named for that, could not be had at the moment: a repeat may
    be answered."""
    upstream_seconds: float = 0.0
    """Time spent waiting for providers up to the first byte: what is not the gateway's own overhead."""

    response_headers: list[tuple[bytes, bytes]] = []
    """Added to the answer, whoever makes it."""
    response_started: bool = False
    """The head was sent, which may be for the sake of a keep-alive alone."""
    committed: bool = False
    """Content of a backend's answer was sent: no other backend is asked any more."""
    gone: bool = False
    """The client has left: whatever is sent, nobody reads it."""
    response_complete: bool = False
    """The last byte of the answer was sent: nothing can be added to it."""
    streaming: bool = False
    """The answer that was started is an event stream, so a late failure can still be told inside it."""
    status: int = 0
    first_byte: float | None = None
    bytes_sent: int = 0
    frames_sent: int = 0
    """Events of a streamed answer."""

    @property
    def heard(self) -> Attempt | None:
        """The attempt whose answer or failure is that of the call: the last one that was not overtaken."""
        for attempt in reversed(self.attempts):
            if not attempt.overtaken:
                return attempt
        return None

    def ended_with(self, error: GatewayError | None) -> int:
        """The status of a request that is over and failed with `error`, if it did; 0 where nobody has answered it."""
        return self.status if self.response_started else error.status if error is not None else 0


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, None where no link has opened one."""
    found: Exchange | None = scope.get(KEY)
    return found


def resolved(scope: Scope) -> tuple[Exchange, Call, Model]:
    """The exchange, call and model of a request that has walked the whole chain. Raises LookupError for any other."""
    exchange = exchange_of(scope)
    if exchange is None or exchange.call is None or exchange.model is None:
        raise LookupError("the forwarder stands behind the links `intake` and `route_resolve`")
    return exchange, exchange.call, exchange.model


def attach(scope: Scope, exchange: Exchange, send: Send) -> Send:
    """Puts `exchange` into the scope and answers the `send` that keeps it informed.

    The one wrapper of a request, whatever the number of links: it adds the headers that links have gathered, and
    notes the status, the size and the end.
    """
    scope[KEY] = exchange

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.response_started = True
            exchange.status = message["status"]
            exchange.streaming = _is_event_stream(message.get("headers", ()))
            if exchange.response_headers:
                # A copy: an application may send the same message again.
                headers = [*message.get("headers", ()), *exchange.response_headers]
                message = {**message, "headers": headers}
        else:
            body: bytes = message.get("body", b"")
            exchange.bytes_sent += len(body)
            last = not message.get("more_body", False)
            if exchange.streaming:
                exchange.frames_sent += body.count(b"\n\n")
                if last and body:
                    # By itself: a server that is kept from sending a last piece drops it, and ends the answer all the
                    # same, as if it were whole.
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    message = {"type": "http.response.body", "body": b"", "more_body": False}
            exchange.response_complete = last
        await send(message)

    return noted


def _is_event_stream(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
