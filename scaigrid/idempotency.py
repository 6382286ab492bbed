"""Calls that are made once, however often they are asked for: what the link `idempotency` has of its two stores.

A key is claimed first and looked up then, and an answer is kept before its claim ends; so there is no moment at which
two callers would make the same call.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.repeats.fingerprint import fingerprint, place
from scaigrid.repeats.port import Answer, Answers, Claim, End, Head, Own, Reader, Reading, Refusal, Runs, head_of, pack

__all__ = [
    "Answer",
    "Answers",
    "End",
    "Head",
    "Reader",
    "Reading",
    "Refusal",
    "Repeats",
    "Run",
    "Runs",
    "Terms",
    "fingerprint",
    "head_of",
    "place",
]

_MOST_HELD: Final = 128 * 1024 * 1024
"""Bytes of answers under way that one worker holds for those who may ask for them again."""
_LITTLE: Final = 64 * 1024
"""Bytes of one of them that readers can have while that is full."""
_UNKEPT_SECONDS: Final = 3600.0
"""How long an answer that could not be kept is to be had from where those who read along have it."""
_PARTING_SECONDS: Final = 1.0
"""More than a call needs to take note that its client has left."""
_OWN_HEADERS: Final = frozenset({b"x-scaigrid-overhead-ms"})
"""What is told of one request and of no repeat."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Terms(Strict):
    """What of the calls with an `Idempotency-Key` is kept, and for how long."""

    keep_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    """How long an answer is given again for free."""
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    """How long the repeat of a plain call waits for the first one, before it is refused with IDEMPOTENCY_IN_PROGRESS.
    The repeat of a streamed one is given the stream from its start, at once."""
    lease_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 30.0
    """With `store.type: valkey`: how long after its worker has died a running call counts as lost, so that a repeat
    makes it anew."""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**28)] = 1024 * 1024
    """The largest answer that is kept. The repeat of a call whose answer was larger is refused with CONFLICT: nothing
    is made, nor charged, a second time."""
    max_total_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**44)] = 1024 * 1024 * 1024
    """Of all kept answers together. Beyond it the oldest are forgotten ahead of their time, but not that they were
    given: their repeats are refused likewise."""


class Repeats:
    """Both stores as one."""

    def __init__(self, runs: Runs, answers: Answers, terms: Terms) -> None:
        self.terms = terms
        self.held = 0
        """Bytes of answers under way in this worker's memory."""
        self._runs = runs
        self._answers = answers
        self._staying: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()

    async def stay(self, waited: Coroutine[Any, Any, None]) -> None:
        """For a call that goes on without its client: returns when `waited` does, or when the worker stops."""
        watch = asyncio.current_task()
        ends = [asyncio.create_task(waited), asyncio.create_task(self._stopping.wait())]
        if watch is not None:
            self._staying.add(watch)
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            if watch is not None:
                self._staying.discard(watch)

    async def aclose(self) -> None:
        """The worker is stopping: no call goes on without its client any longer. Returns once each has taken note."""
        staying = tuple(self._staying)
        self._stopping.set()
        if staying:
            await asyncio.wait(staying, timeout=_PARTING_SECONDS)

    async def begin(self, where: str, what: str, request_id: str) -> "Run | Reader | Answer":
        """A run of one's own for the request, the run of somebody else, or what came of one.

        `where` is the key's scope and `what` the fingerprint of the request. Raises IDEMPOTENCY_KEY_REUSED where the
        key belongs to another request, and STORE_UNAVAILABLE.
        """
        found = await self._runs.claim(where, what, self.terms.lease_seconds)
        try:
            if not isinstance(found, Own):
                _check_same(found.fingerprint, what)
            answer = await self._answers.find(where)
            if answer is not None:
                _check_same(answer.fingerprint, what)
        except BaseException:
            _let_go(found)
            raise
        if answer is not None:
            _let_go(found)
            return answer
        return Run(self, found.claim, where, what, request_id) if isinstance(found, Own) else found

    async def keep(self, where: str, answer: Answer) -> bool:
        """False where the database is away."""
        try:
            await self._answers.keep(where, answer, self.terms.keep_hours * 3600)
        except GatewayError as error:
            _log.warning("answer_not_kept", request_id=answer.head.request_id, reason=str(error.__cause__ or error))
            return False
        return True


class Run:
    """A call that is made under a key, and told on to whoever asks for it meanwhile.

    `started`, `piece` and `finish` in this order; `fail` wherever it breaks off. What comes after the end is ignored.
    """

    __slots__ = ("_claim", "_held", "_keeping", "_kept", "_over", "_repeats", "_size", "_what", "_where", "head")

    def __init__(self, repeats: Repeats, claim: Claim, where: str, what: str, request_id: str) -> None:
        self.head = Head(request_id, 0)
        self._repeats = repeats
        self._claim = claim
        self._where = where
        self._what = what
        self._kept: list[bytes] | None = []
        """The body so far; None once it is more than is kept."""
        self._size = 0
        self._held = 0
        self._keeping: asyncio.Task[None] | None = None
        self._over = False

    @property
    def whole(self) -> bool:
        """The answer has come to its end: whatever follows, it was given."""
        return self._keeping is not None

    @property
    def told(self) -> bool:
        """Some of the answer was given: nothing else can be said instead of it."""
        return self._size > 0

    def started(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer begins."""
        told = tuple((name, value) for name, value in headers if name not in _OWN_HEADERS)
        self.head = Head(self.head.request_id, status, told)
        self._tell(pack(self.head))

    def piece(self, body: bytes, *, kept: bool = True) -> None:
        """A piece of it, ahead of its being sent. What is not `kept` is for those alone who read along."""
        self._tell(body)
        if not kept:
            return
        self._size += len(body)
        if self._kept is not None:
            self._kept.append(body)
            if self._size > self._repeats.terms.max_body_bytes or self._repeats.held > _MOST_HELD:
                self._kept = None

    async def finish(self) -> None:
        """That was all of it. Returns once it is kept: the last byte waits for that. Cancelling it stops nothing."""
        body = None if self._kept is None else b"".join(self._kept)
        answer = Answer(fingerprint=self._what, head=self.head, body=body)
        self._keeping = asyncio.create_task(self._keep(answer, End(whole=True)))
        await asyncio.shield(self._keeping)

    async def refuse(self, error: GatewayError) -> None:
        """What was said instead of an answer is final, and is kept as one."""
        refusal = Refusal.of(error)
        self.head = Head(self.head.request_id, error.status)
        answer = Answer(fingerprint=self._what, head=self.head, refusal=refusal)
        self._keeping = asyncio.create_task(self._keep(answer, End(whole=False, refusal=refusal)))
        await asyncio.shield(self._keeping)

    async def close(self, error: GatewayError | None) -> None:
        """The call is over. Where it came to no end the key is free again, and readers are told `error`."""
        if self._keeping is not None:
            await asyncio.wait((self._keeping,))
        else:
            self._end(End(whole=False, refusal=None if error is None else Refusal.of(error)))

    async def deserted(self) -> None:
        """Returns as soon as nobody reads along, or the worker stops."""
        await self._repeats.stay(self._claim.deserted())

    async def unheard(self, seconds: float) -> None:
        """Returns after so many seconds, or when the worker stops."""
        await self._repeats.stay(asyncio.sleep(seconds))

    def _tell(self, piece: bytes) -> None:
        repeats = self._repeats
        full = repeats.held > _MOST_HELD
        self._claim.add(piece, _LITTLE if full else repeats.terms.max_body_bytes)
        held = min(self._held + len(piece), _LITTLE if full else repeats.terms.max_body_bytes)
        repeats.held += held - self._held
        self._held = held

    async def _keep(self, answer: Answer, end: End) -> None:
        kept = False
        with suppress(Exception):
            kept = await self._repeats.keep(self._where, answer)
        self._end(end, 0.0 if kept else _UNKEPT_SECONDS)

    def _end(self, end: End, stays: float = 0.0) -> None:
        if not self._over:
            self._over = True
            self._repeats.held -= self._held
            self._claim.end(end, stays)


def _check_same(known: str, given: str) -> None:
    if known != given:
        raise GatewayError(Code.IDEMPOTENCY_KEY_REUSED)


def _let_go(found: Own | Reader) -> None:
    if isinstance(found, Own):
        found.claim.end(End(whole=False))
    else:
        found.leave()
