"""One call to one backend, from encoding it to its row in the ledger.

The commit point is the first content sent to the client: after it there is no second answer. The last byte is only
sent once the ledger has the row, so that whatever a client finished is accounted for.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from math import inf
from typing import Final, Protocol

from scaigrid.adapter import Pipe, UpstreamRequest
from scaigrid.asgi import Headers, Receive, Send
from scaigrid.call import Call
from scaigrid.client_watch import ClientWatch, Watching
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.config.snapshot import Backend, Model
from scaigrid.draining import Drain, Drains
from scaigrid.dropping import HEADER, asked_of
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Because, Exchange
from scaigrid.failing import failure_of, had_its_chance
from scaigrid.ids import new_id
from scaigrid.keep_alive import STREAM_HEADERS
from scaigrid.meanings import meaning, unasked
from scaigrid.middleware import Services
from scaigrid.patience import Interrupted, Patience, Why
from scaigrid.pipes import error_body, linger, opened
from scaigrid.recording import Recording
from scaigrid.upstream.port import Upstream, UpstreamFailure, UpstreamResponse

_PLAIN_HEADERS: Final = ((b"content-type", b"application/json"),)


class Means(Protocol):
    """What every call of a worker is sent by: the forwarder, as far as a single call knows it."""

    services: Services
    upstreams: Mapping[str, Upstream]
    config: ForwarderConfig
    drains: Drains
    shared: bool
    """The counters outlive this worker, so a row also says how its lease is settled."""


class Race(Protocol):
    """Two copies of one call, of which one is heard (`scaigrid.hedging`)."""

    @property
    def call(self) -> "asyncio.Task[object]":
        """The task that ends when the call is over."""
        ...

    def runs(self, copy: "Sending") -> AbstractContextManager[Watching]:
        """As long as `copy` waits for anything: the client is watched for both."""
        ...

    def began(self, copy: "Sending") -> None:
        """Its backend is asked from now on."""
        ...

    def claims(self, copy: "Sending") -> bool:
        """It has content: whether it is the one that is heard."""
        ...

    def waited(self, now: float) -> float:
        """Seconds that providers were waited for since this was asked last."""
        ...


class Sending:
    """One attempt. Made for one backend, and run once."""

    def __init__(
        self,
        means: Means,
        exchange: Exchange,
        call: Call,
        model: Model,
        *,
        backend: Backend,
        send: Send,
        because: Because = "first",
        waited: float = 0.0,
    ) -> None:
        """For whoever reads of the request afterwards, `because` says why this backend is asked.

        `waited` is how many seconds were let pass before it was.
        """
        self.backend = backend
        self.services = means.services
        self.race: Race | None = None
        """Set where it does not run alone."""
        self.attempt: Attempt | None = None
        """From the moment on in which the backend is asked."""
        self._means = means
        self._clock = means.services.clock
        self._exchange = exchange
        self._call = call
        self._model = model
        self._send = send
        self._because: Because = because
        self._waited = waited
        self._idle = backend.deadlines.idle or model.route.idle
        self._patience: Patience | None = None
        self._recording: Recording | None = None
        self._pipe: Pipe | None = None
        self._dropped: frozenset[str] = frozenset()
        self._lasting = False
        self._committed = False
        """Content of this attempt went to the client."""
        self._drain: Drain | None = None
        """The client has left, and the answer is read on."""

    async def run(self, receive: Receive, ends: float) -> GatewayError | None:
        """None where the answer was sent, else why it was not; by then everything of the attempt is on record.

        `attempt` stays None where the backend was not asked: it cannot say the call (UNSUPPORTED_BY_MODEL), had no room
        for it (OVERLOADED), or no time and no client was left when its turn came.
        """
        try:
            request = self._request()
        except GatewayError as error:
            return error
        race, live, gates = self.race, self.services.live, self.services.gates
        patience = self._patience = Patience(ends, None if race is None else race.call)
        failure: GatewayError | None = None
        cause: BaseException | None = None
        inside = False
        try:
            with patience, ClientWatch(receive, self) if race is None else race.runs(self) as watch:
                live.enter(patience)
                if self.backend.concurrency is not None:
                    patience.wait(inf, Why.TOTAL)
                    self._waited += await gates.enter(self.backend)
                    inside = True
                attempt = self._begins()
                await self._ask(request, attempt, patience, watch)
        except (GatewayError, Interrupted, UpstreamFailure) as error:
            cause = error
            # What comes after the last byte concerns nobody any more.
            if not (self._committed and self._exchange.response_complete):
                failure = self._meaning(error)
        except BaseException as error:
            cause, failure = error, GatewayError(Code.INTERNAL_ERROR)
            raise
        finally:
            live.leave(patience)
            if inside:
                gates.leave(self.backend)
            if self.attempt is not None:
                self._end(self.attempt, failure, cause)
            # Its traceback holds this frame, and with it the request: a ring that only the collector would find.
            cause = None
        # What a backend failed to say to a client who had left is not asked of another one.
        return failure if self._drain is None else GatewayError(Code.CLIENT_CLOSED)

    def lasts(self) -> None:
        """It is watched from now on, and leaves word of itself."""
        self._lasting = True
        if self._recording is not None:
            self._recording.begun()

    def left(self) -> None:
        """The client has left: the answer is read on, for the usage at its end, or cut off."""
        self._exchange.gone = True
        if self._recording is not None and self._recording.done:
            # All but the end was sent, and that is on its way: the client may have it already.
            return
        if self._patience is not None and not self._reads_on(self._patience):
            self._patience.trip(Why.CLIENT_CLOSED)

    def overtake(self) -> None:
        """Cuts it off, for another copy of the call is heard."""
        if self._patience is not None:
            self._patience.trip(Why.OVERTAKEN)

    def _reads_on(self, patience: Patience) -> bool:
        under_way = self._recording is not None and not self._recording.done
        if under_way and self._model.on_disconnect == "drain" and self._drain is None:
            self._drain = self._means.drains.begin(patience)
        return self._drain is not None

    @property
    def _first_byte_seconds(self) -> float:
        return self.backend.deadlines.first_byte or self._model.route.first_byte

    def _request(self) -> UpstreamRequest:
        exchange = self._exchange
        made, self._dropped = asked_of(exchange, self._call, self._model, self.backend)
        return UpstreamRequest(made.method, made.url, (*made.headers, ("x-request-id", exchange.request_id)), made.body)

    def _begins(self) -> Attempt:
        services, exchange = self.services, self._exchange
        attempt = self.attempt = Attempt(
            backend=self.backend,
            model=self._model,
            because=self._because,
            number=len(exchange.attempts) + 1,
            id=new_id("usage", self._clock),
            started=self._clock.monotonic(),
            waited=self._waited,
            dropped=self._dropped,
        )
        exchange.attempts.append(attempt)
        if self._waited and self.race is None:
            # For a provider to have room, or to be better: not for the gateway.
            exchange.upstream_seconds += self._waited
        self._recording = Recording(services, exchange, attempt, self._call, self._model, shared=self._means.shared)
        services.health.began(self.backend, attempt.started)
        if self.race is not None:
            self.race.began(self)
        if self._lasting:
            self._recording.begun()
        return attempt

    async def _ask(self, request: UpstreamRequest, attempt: Attempt, patience: Patience, watch: Watching) -> None:
        """Raises GatewayError for what the provider says, UpstreamFailure and Interrupted for what it fails to say."""
        call, route, backend = self._call, self._model.route, self.backend
        patience.wait(self._first_byte_seconds, Why.FIRST_BYTE)
        if (signer := backend.signer) is not None:
            request = await signer.signed(request)
        upstream = self._means.upstreams[backend.adapter.transport]
        connect = backend.deadlines.connect or route.connect
        async with upstream.send(request, connect_timeout=connect, stream=call.stream) as response:
            status = attempt.status = response.status
            if status == 404 and call.operation == "resource":
                raise GatewayError(Code.NOT_FOUND, "The provider does not keep this any more.")
            if not 200 <= status < 300:
                raise backend.adapter.error(status, response.headers, await error_body(response))
            pipe = self._pipe = opened(self._exchange, call, self._model, backend, self.services.names)
            if call.stream:
                await self._stream(response, pipe, attempt, patience)
                # From here on the server says that the client is gone, whether or not it is.
                watch.stop()
                await linger(response, pipe)
            else:
                await self._plain(response, pipe, attempt, patience)

    async def _plain(self, response: UpstreamResponse, pipe: Pipe, attempt: Attempt, patience: Patience) -> None:
        patience.wait(self._idle, Why.IDLE)
        body = await response.read(self._means.config.max_answer_bytes)
        self._first_byte(attempt)
        answer = pipe.feed(body)
        answer += pipe.close()
        self._check(answer)
        self._claim()
        self._whole(pipe)
        patience.wait(self._idle, Why.READER)
        await self._begin(attempt, (*_PLAIN_HEADERS, (b"content-length", b"%d" % len(answer))))
        await self._send({"type": "http.response.body", "body": answer, "more_body": False})

    async def _stream(self, response: UpstreamResponse, pipe: Pipe, attempt: Attempt, patience: Patience) -> None:
        begun = False
        while chunk := await response.chunk():
            if self._drain is not None:
                self._drain.take(len(chunk))
            frames = pipe.feed(chunk)
            if frames:
                self._check(frames)
                if not begun:
                    begun = True
                    self._first_byte(attempt)
                    self._claim()
                if self._drain is None:
                    await self._pass_on(frames, attempt, patience)
            if pipe.ended:
                break
            if begun:
                patience.wait(self._idle, Why.IDLE)
        last = pipe.close()
        self._check(last)
        if not begun:
            self._first_byte(attempt)
            self._claim()
        self._whole(pipe)
        if not begun:
            await self._begin(attempt, STREAM_HEADERS)
        patience.wait(self._idle, Why.READER)
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pass_on(self, frames: bytes, attempt: Attempt, patience: Patience) -> None:
        patience.wait(self._idle, Why.READER)
        try:
            if not self._committed:
                await self._begin(attempt, STREAM_HEADERS)
            await self._send({"type": "http.response.body", "body": frames, "more_body": True})
        except asyncio.CancelledError:
            # Whoever does not read has left too; here it is our own cancellation that says so.
            if patience.tripped is not Why.READER or not self._reads_on(patience) or not patience.forgiven():
                raise
            self._exchange.gone = True

    def _check(self, answer: bytes) -> None:
        """Raises UPSTREAM_SHAPE_MISMATCH where a provider tells what it was called with: that is not for the caller."""
        for credential in self.backend.credentials:
            if credential in answer:
                raise GatewayError(
                    Code.UPSTREAM_SHAPE_MISMATCH, "The provider's answer had a credential of the gateway's in it."
                )

    def _first_byte(self, attempt: Attempt) -> None:
        now = attempt.first_byte = self._clock.monotonic()
        self._exchange.upstream_seconds += now - attempt.started if self.race is None else self.race.waited(now)

    def _claim(self) -> None:
        """The client is this attempt's from here on. Raises Interrupted where it is another one's."""
        if self.race is not None and not self.race.claims(self):
            raise Interrupted(Why.OVERTAKEN)

    def _whole(self, pipe: Pipe) -> None:
        """Records an answer that came to its end. Raises CLIENT_CLOSED where nobody is there to have it."""
        gone = None if self._drain is None else GatewayError(Code.CLIENT_CLOSED)
        if self._recording is not None:
            self._recording.served(gone, pipe, complete=True)
        if gone is not None:
            raise gone

    async def _begin(self, attempt: Attempt, headers: Headers) -> None:
        exchange = self._exchange
        exchange.committed = self._committed = True
        exchange.first_byte = attempt.first_byte
        if exchange.response_started:
            # A keep-alive has sent the head.
            return
        # A wait in a queue is timed by another clock, a coarser one.
        overhead = max(self._clock.monotonic() - exchange.started - exchange.upstream_seconds, 0.0)
        added = [
            (b"x-scaigrid-model", self._model.slug.encode()),
            (b"x-scaigrid-attempts", b"%d" % len(exchange.attempts)),
            (b"x-scaigrid-overhead-ms", b"%.3f" % (overhead * 1000)),
        ]
        if self._means.config.expose_backend:
            added.append((b"x-scaigrid-backend", self.backend.name.encode()))
        if self._dropped:
            added.append((HEADER, ",".join(sorted(self._dropped)).encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": [*headers, *added]})

    def _meaning(self, error: GatewayError | Interrupted | UpstreamFailure) -> GatewayError:
        if self.attempt is None and isinstance(error, Interrupted):
            return unasked(error)
        told = meaning(error, self.backend)
        if self._drain is None or not (self._committed or isinstance(error, Interrupted)):
            # A provider that fails ahead of its answer is paid by nobody, whether or not somebody waits for it.
            return told
        return GatewayError(Code.CLIENT_CLOSED)

    def _end(self, attempt: Attempt, failure: GatewayError | None, cause: BaseException | None) -> None:
        now = attempt.ended = self._clock.monotonic()
        attempt.error = failure
        if failure is not None and cause is not None:
            attempt.overtaken = isinstance(cause, Interrupted) and cause.why is Why.OVERTAKEN
            attempt.failure = failure_of(failure, cause, attempt.status)
        first = attempt.first_byte
        if attempt.overtaken:
            # It would have taken longer still. Left out, a backend would seem the quicker the more often it is slow.
            first = now
        elif first is None:
            self._exchange.upstream_seconds += now - attempt.started if self.race is None else self.race.waited(now)
        took = None if first is None else first - attempt.started
        stream, started = self._call.stream, attempt.started
        fair = cause is None or had_its_chance(cause, now - started, self._first_byte_seconds, self._model.route.total)
        self.services.health.ended(self.backend, failure, now, took, stream=stream, started=started, fair=fair)
        if self._drain is not None:
            self._drain.end()
        recording = self._recording
        if recording is None or recording.done:
            return
        if attempt.overtaken:
            recording.overtaken()
        elif failure is None or self._committed or failure.code is Code.CLIENT_CLOSED:
            recording.served(failure, self._pipe, complete=failure is None)
        else:
            recording.failed(failure)
