"""The leaf of the chain: tries backends in order, streams the answer back, and leaves the row in the ledger.

One attempt loop for all surfaces, streamed and plain. The commit point is the first byte sent to the client: before
it another backend may be tried, after it there is no second answer. The last byte is only sent once the ledger has
the row, so that whatever a client finished is accounted for.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog

from scaigrid.adapter import Outgoing, Pipe, Relaying, UpstreamRequest
from scaigrid.admission import used_of
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.billing import begun_row, bill, usage_row
from scaigrid.call import Call
from scaigrid.client_watch import ClientWatch
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Backend, Model
from scaigrid.counting import vocabulary
from scaigrid.draining import Drain, Drains
from scaigrid.dropping import HEADER, encoded
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, resolved
from scaigrid.held import Held
from scaigrid.ids import new_id
from scaigrid.ledger.records import Begun, Settling
from scaigrid.middleware import Services
from scaigrid.patience import Interrupted, Patience, Why
from scaigrid.translation import Translation
from scaigrid.types import Usage
from scaigrid.upstream.port import Upstream, UpstreamFailure, UpstreamResponse, UpstreamTimeout, UpstreamTooLarge

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LINGER = 0.5
"""Seconds to wait, once a stream is complete, for the provider to end it: that keeps its connection usable."""
_LARGEST_ERROR_BODY = 64 * 1024

_ELSEWHERE = frozenset(
    {
        Code.BACKEND_ERROR,
        Code.BACKEND_TIMEOUT,
        Code.BACKEND_RATE_LIMITED,
        Code.UPSTREAM_SHAPE_MISMATCH,
        Code.UNSUPPORTED_BY_MODEL,
    }
)
"""What another backend of the same model may do better. The caller's own mistakes are not among it."""

_INTERRUPTIONS: Mapping[Why, tuple[Code, str | None]] = {
    Why.FIRST_BYTE: (Code.BACKEND_TIMEOUT, "The provider sent no first byte in time."),
    Why.IDLE: (Code.BACKEND_TIMEOUT, "The provider stopped sending."),
    Why.TOTAL: (Code.BACKEND_TIMEOUT, "The call took longer than the model's total deadline."),
    Why.READER: (Code.CLIENT_CLOSED, "The client stopped reading."),
    Why.CLIENT_CLOSED: (Code.CLIENT_CLOSED, None),
}

_PLAIN_HEADERS = [(b"content-type", b"application/json")]
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, call, model = resolved(scope)
        loop = asyncio.get_running_loop()
        ends = loop.time() + model.route.total
        failure: GatewayError | None = None
        for backend in exchange.candidates:
            told = await _Attempt(self, exchange, call, model, backend=backend, send=send).run(receive, ends)
            if told is None:
                return
            # That one backend could not say the call is no news to who has heard from another why it failed.
            if failure is None or told.code is not Code.UNSUPPORTED_BY_MODEL:
                failure = told
            if exchange.response_started or told.code not in _ELSEWHERE or loop.time() >= ends:
                break
            # Counted by what was asked: a backend that cannot say the call has cost nobody anything.
            if len(exchange.attempts) >= model.route.max_attempts:
                break
        raise failure or GatewayError(Code.MODEL_UNAVAILABLE)


class _Attempt:
    """One call to one backend, from encoding it to its row in the ledger."""

    def __init__(
        self, forwarder: Forwarder, exchange: Exchange, call: Call, model: Model, *, backend: Backend, send: Send
    ) -> None:
        self._forwarder = forwarder
        self._services = forwarder.services
        self._clock = forwarder.services.clock
        self._upstream = forwarder.upstreams[backend.adapter.transport]
        self._config = forwarder.config
        self._exchange = exchange
        self._call = call
        self._model = model
        self._route = model.route
        self._backend = backend
        self._send = send
        self._pipe: Pipe | None = None
        self._dropped: frozenset[str] = frozenset()
        self._recorded = False
        self._drain: Drain | None = None
        """The client has left, and the answer is read on."""

    async def run(self, receive: Receive, ends: float) -> GatewayError | None:
        """None where the answer was sent, else why it was not; by then everything of the attempt is on record."""
        try:
            request = self._request()
        except GatewayError as error:
            return error
        clock = self._clock
        attempt = self._attempt = Attempt(backend=self._backend, id=new_id("usage", clock), started=clock.monotonic())
        self._exchange.attempts.append(attempt)
        self._services.health.began(self._backend, attempt.started)
        failure: GatewayError | None = None
        try:
            await self._ask(request, attempt, receive, ends)
        except (GatewayError, Interrupted, UpstreamFailure) as error:
            # What comes after the last byte concerns nobody any more.
            failure = None if self._exchange.response_complete else self._meaning(error)
        except BaseException:
            failure = GatewayError(Code.INTERNAL_ERROR)
            raise
        finally:
            self._end(attempt, failure)
        # What a backend failed to say to a client who had left is not asked of another one.
        return failure if self._drain is None else GatewayError(Code.CLIENT_CLOSED)

    def _meaning(self, error: GatewayError | Interrupted | UpstreamFailure) -> GatewayError:
        meaning = _meaning(error, self._backend)
        if self._drain is None or not (self._exchange.response_started or isinstance(error, Interrupted)):
            # A provider that fails ahead of its answer is paid by nobody, whether or not somebody waits for it.
            return meaning
        return GatewayError(Code.CLIENT_CLOSED)

    def lasts(self) -> None:
        """Leaves word that there is this attempt, in case nothing else will be heard of it."""
        if self._recorded:
            # It is over: what lasts is a client who takes his time to read the rest.
            return
        row = begun_row(self._clock, self._exchange, self._attempt, call=self._call, model=self._model)
        # A journal that cannot be written says so by itself, and to the call when it has something to bill.
        with suppress(GatewayError):
            self._services.recorder.append(Begun(row))

    def goes_on(self, patience: Patience) -> bool:
        """The client has left: whether the answer is read on, for the usage at its end."""
        if self._model.on_disconnect == "drain" and not self._recorded and self._drain is None:
            self._drain = self._forwarder.drains.begin(patience)
        return self._drain is not None

    def _request(self) -> UpstreamRequest:
        exchange, call, model, adapter = self._exchange, self._call, self._model, self._backend.adapter
        bound = exchange.output_bound
        if bound is None and call.max_output is None and adapter.needs_max_output:
            bound = model.max_output_tokens
        outgoing = Outgoing(
            max_output=bound,
            defaults=model.defaults,
            system_prompt=model.system_prompt,
            held=None if exchange.held is None else exchange.held.own,
        )
        made = encoded(adapter, call, self._backend.target, outgoing, drops=model.drops_unsupported)
        self._dropped = outgoing.dropped
        return UpstreamRequest(made.method, made.url, (*made.headers, ("x-request-id", exchange.request_id)), made.body)

    async def _ask(self, request: UpstreamRequest, attempt: Attempt, receive: Receive, ends: float) -> None:
        """Raises GatewayError for what the provider says, UpstreamFailure and Interrupted for what it fails to say."""
        call, route = self._call, self._route
        with Patience(ends) as patience, ClientWatch(receive, patience, self) as watch:
            patience.wait(route.first_byte, Why.FIRST_BYTE)
            if (signer := self._backend.signer) is not None:
                request = await signer.signed(request)
            async with self._upstream.send(request, connect_timeout=route.connect, stream=call.stream) as response:
                if response.status == 404 and call.operation == "resource":
                    raise GatewayError(Code.NOT_FOUND, "The provider does not keep this any more.")
                if not 200 <= response.status < 300:
                    raise self._backend.adapter.error(response.status, response.headers, await _error_body(response))
                if call.stream:
                    await self._stream(response, attempt, patience)
                    # From here on the server says that the client is gone, whether or not it is.
                    watch.stop()
                    await _linger(response, self._pipe)
                else:
                    await self._plain(response, attempt, patience)

    def _end(self, attempt: Attempt, failure: GatewayError | None) -> None:
        attempt.ended = self._clock.monotonic()
        attempt.error = failure
        if attempt.first_byte is None:
            self._exchange.upstream_seconds += attempt.ended - attempt.started
        self._services.health.ended(self._backend, failure, attempt.ended)
        if self._drain is not None:
            self._drain.end()
        if not self._recorded:
            self._record(attempt, failure)

    async def _plain(self, response: UpstreamResponse, attempt: Attempt, patience: Patience) -> None:
        patience.wait(self._route.idle, Why.IDLE)
        body = await response.read(self._config.max_answer_bytes)
        self._first_byte(attempt)
        pipe = self._pipe = self._open_pipe()
        answer = pipe.feed(body)
        answer += pipe.close()
        self._record_whole(attempt)
        patience.wait(self._route.idle, Why.READER)
        await self._begin(attempt, [*_PLAIN_HEADERS, (b"content-length", b"%d" % len(answer))])
        await self._send({"type": "http.response.body", "body": answer, "more_body": False})

    async def _stream(self, response: UpstreamResponse, attempt: Attempt, patience: Patience) -> None:
        pipe = self._pipe = self._open_pipe()
        send, idle = self._send, self._route.idle
        begun = False
        while chunk := await response.chunk():
            if self._drain is not None:
                self._drain.take(len(chunk))
            frames = pipe.feed(chunk)
            if frames and self._drain is None:
                patience.wait(idle, Why.READER)
                try:
                    if not begun:
                        self._first_byte(attempt)
                        await self._begin(attempt, _STREAM_HEADERS)
                    await send({"type": "http.response.body", "body": frames, "more_body": True})
                except asyncio.CancelledError:
                    # Whoever does not read has left too; here it is our own cancellation that says so.
                    if patience.tripped is not Why.READER or not self.goes_on(patience) or not patience.forgiven():
                        raise
            begun = begun or bool(frames)
            if pipe.ended:
                break
            if begun:
                patience.wait(idle, Why.IDLE)
        last = pipe.close()
        self._record_whole(attempt)
        if not begun:
            self._first_byte(attempt)
            await self._begin(attempt, _STREAM_HEADERS)
        patience.wait(idle, Why.READER)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _open_pipe(self) -> Pipe:
        call, adapter, exchange = self._call, self._backend.adapter, self._exchange
        target = self._backend.target
        if call.surface in target.speaks:
            relaying = Relaying(name=self._name, held=call.held, system_prompt=self._model.system_prompt)
            return adapter.relay(call, target, relaying)

        def on_usage(usage: Usage) -> None:
            # The renderer writes the cost into the end of the answer, so it is needed before the answer is over.
            price = self._model.price
            exchange.cost = price.cost(usage) if price is not None else 0

        renderer = exchange.dialect.renderer(call, exchange)
        keeps = vocabulary(target.model) is not None
        return Translation(adapter.decoder(call, target), renderer, on_usage, keeps=keeps)

    def _name(self, own: str) -> str:
        tenant = self._exchange.principal.tenant.id
        return self._services.names.name(Held(self._backend.id, tenant, self._model.slug, own))

    def _first_byte(self, attempt: Attempt) -> None:
        now = self._clock.monotonic()
        attempt.first_byte = self._exchange.first_byte = now
        self._exchange.upstream_seconds += now - attempt.started

    async def _begin(self, attempt: Attempt, headers: list[tuple[bytes, bytes]]) -> None:
        exchange = self._exchange
        overhead = self._clock.monotonic() - exchange.started - exchange.upstream_seconds
        added = [
            (b"x-scaigrid-model", self._model.slug.encode()),
            (b"x-scaigrid-attempts", b"%d" % len(exchange.attempts)),
            (b"x-scaigrid-overhead-ms", b"%.3f" % (overhead * 1000)),
        ]
        if self._config.expose_backend:
            added.append((b"x-scaigrid-backend", self._backend.name.encode()))
        if self._dropped:
            added.append((HEADER, ",".join(sorted(self._dropped)).encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": [*headers, *added]})

    def _record_whole(self, attempt: Attempt) -> None:
        """Likewise, for an answer that came to its end. Raises CLIENT_CLOSED where nobody is there to have it."""
        if self._drain is None:
            self._record(attempt, None)
        else:
            gone = GatewayError(Code.CLIENT_CLOSED)
            self._record(attempt, gone, complete=True)
            raise gone

    def _record(self, attempt: Attempt, failure: GatewayError | None, *, complete: bool = False) -> None:
        """Bills the attempt and writes its row. Raises STORE_UNAVAILABLE where it cannot be kept."""
        self._recorded = True
        exchange, pipe = self._exchange, self._pipe
        if failure is None or exchange.response_started or failure.code is Code.CLIENT_CLOSED:
            # Whoever leaves, or is cut off, has had what was made until then; the provider bills that too.
            exchange.served = True
            bill(exchange, self._model, self._backend, pipe, complete=complete or failure is None)
            if exchange.overrun:
                self._services.telemetry.overruns.labels(self._backend.id).inc()
        else:
            # The renderer may have been told a cost already, of an answer that nobody got.
            exchange.cost = 0
        row = usage_row(self._clock, exchange, attempt, failure, call=self._call, model=self._model)
        lease = exchange.lease if self._forwarder.shared and exchange.served else None
        self._services.recorder.append(row if lease is None else Settling(row, lease, used_of(exchange)))


def _meaning(error: GatewayError | Interrupted | UpstreamFailure, backend: Backend) -> GatewayError:
    """What a failed attempt is called; a failure of the upstream keeps its text inside, for it names addresses."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, Interrupted):
        return GatewayError(*_INTERRUPTIONS[error.why])
    _log.warning("upstream_failed", backend=backend.name, reason=str(error))
    if isinstance(error, UpstreamTimeout):
        return GatewayError(Code.BACKEND_TIMEOUT, "The provider could not be reached in time.")
    if isinstance(error, UpstreamTooLarge):
        return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, "The provider's answer is larger than the gateway takes.")
    return GatewayError(Code.BACKEND_ERROR)


async def _error_body(response: UpstreamResponse) -> bytes:
    try:
        return await response.read(_LARGEST_ERROR_BODY)
    except UpstreamFailure:
        return b""


async def _linger(response: UpstreamResponse, pipe: Pipe | None) -> None:
    if pipe is None or not pipe.ended:
        return
    try:
        async with asyncio.timeout(LINGER):
            while await response.chunk():
                pass
    except (TimeoutError, UpstreamFailure):
        return
