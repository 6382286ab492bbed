"""How a recorded exchange is played again: through the parts in this process, or through a gateway of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from scaigrid.adapter import Adapter, Decoder, Outgoing, Pipe, Relaying, Target
from scaigrid.call import Call
from scaigrid.dialect import Dialect, Renderer
from scaigrid.dialects import DIALECTS
from scaigrid.errors import GatewayError
from scaigrid.held import Held, Names
from scaigrid.resources import find
from scaigrid.secrets import Secret
from scaigrid.translation import Translation
from scaigrid.types import Usage
from tests.conformance.client import BOUND
from tests.conformance.plans import Play, configured
from tests.conformance.told import Reply
from tests.conformance.wire import frames
from tests.harness.answers import Answered
from tests.harness.recordings import Recorded

SLUG: Final = "conformance/model"
KEY: Final = "key-of-the-provider"
NOT_OF_THE_BODY: Final = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection"})
"""Headers that describe how the recorded bytes travelled."""


class Question(msgspec.Struct, frozen=True):
    """A client's call; its body names the model by `slug`."""

    path: str
    body: bytes
    slug: str
    provider: str
    """The type of provider that it goes to."""
    options: Mapping[str, Any]
    """What is set at that provider."""
    model: str
    """The provider's own name of the model."""
    method: str = "POST"
    rests_on: str | None = None
    """The gateway's name of the stored answer that the call is about, or rests on."""


class Sent(msgspec.Struct, frozen=True):
    """What a provider was asked. Header names are in lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


class Played(msgspec.Struct, frozen=True):
    """One exchange, seen from both ends; `sent` is None where no provider was asked."""

    sent: Sent | None
    reply: Reply
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
    """What the call will be billed by, where this way lets it be seen."""


class Way(Protocol):
    def slug(self, play: Play) -> str:
        """The frontend model that stands for the play's own."""
        ...

    def name(self, play: Play, own: str) -> str:
        """The gateway's name of what the play's provider keeps as `own`."""
        ...

    def leads(self, name: str, own: str) -> bool:
        """Whether a name of the gateway leads to what the provider keeps as `own`, as far as this way can see."""
        ...

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        """Asks, and lets the provider answer as `answer` was, its body in these pieces."""
        ...


class Inside:
    """Dialect and adapter in this process, put together as the forwarder does."""

    def __init__(self, adapters: Mapping[str, Adapter], renders: Callable[[Renderer], Renderer] | None = None) -> None:
        """`renders` may put something of its own around a dialect's renderer."""
        self._adapters = adapters
        self._renders = renders
        self._names = Names.passing()

    def slug(self, play: Play) -> str:
        return SLUG

    def name(self, play: Play, own: str) -> str:
        return self._name(own)

    def _name(self, own: str) -> str:
        return self._names.name(Held("a-backend", "a-tenant", SLUG, own))

    def leads(self, name: str, own: str) -> bool:
        return self._own(name) == own

    def _own(self, name: str) -> str | None:
        held = self._names.opened(name)
        return None if held is None else held.own

    def decoder(self, question: Question) -> Decoder:
        """The decoder of an answer to a call that is translated."""
        adapter = self._adapters[question.provider]
        call = _dialect(question).decode(question.path, question.body)
        return adapter.decoder(call, self._target(question, adapter))

    def encoded(self, question: Question) -> bytes:
        """The body with which a provider is asked. Raises GatewayError."""
        adapter = self._adapters[question.provider]
        call = _dialect(question).decode(question.path, question.body)
        outgoing = Outgoing(max_output=_bound(call, adapter))
        return adapter.encode(call, self._target(question, adapter), outgoing).body

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        dialect = _dialect(question)
        adapter = self._adapters[question.provider]
        target = self._target(question, adapter)
        try:
            call = _call(dialect, question)
            kept = None if call.held is None else self._own(call.held)
            request = adapter.encode(call, target, Outgoing(max_output=_bound(call, adapter), held=kept))
        except GatewayError as error:
            return Played(None, _error(error, dialect))
        sent = Sent(request.url, dict(request.headers), request.body, request.method)
        if not 200 <= answer.status < 300:
            refusal = adapter.error(answer.status, dict(answer.response_headers), b"".join(pieces))
            return Played(sent, _error(refusal, dialect))
        pipe: Pipe
        if call.surface in target.speaks:
            pipe = adapter.relay(call, target, Relaying(name=self._name, held=call.held))
        else:
            renderer = dialect.renderer(call, Answered())
            renderer = renderer if self._renders is None else self._renders(renderer)
            pipe = Translation(adapter.decoder(call, target), renderer)
        return Played(sent, _answer(call, dialect, pipe, pieces), pipe.usage)

    def _target(self, question: Question, adapter: Adapter) -> Target:
        options = configured(question.provider, question.options)
        return Target(
            type=question.provider,
            base_url=adapter.base_url(options) or "http://provider.invalid/v1",
            model=question.model,
            headers=adapter.headers(Secret(KEY), {}),
            speaks=adapter.speaks(options),
            options=options,
        )


def _dialect(question: Question) -> Dialect:
    path = urlsplit(question.path).path
    return next(one for one in DIALECTS if path in one.operations or find(one.resources, path) is not None)


def _call(dialect: Dialect, question: Question) -> Call:
    """The question as the gateway takes it in. Raises GatewayError."""
    if question.path in dialect.operations:
        return dialect.decode(question.path, question.body)
    address = urlsplit(question.path)
    found = find(dialect.resources, address.path)
    assert found is not None
    methods, name = found
    return msgspec.structs.replace(methods[question.method](name, address.query), model=question.slug)


def _bound(call: Call, adapter: Adapter) -> int | None:
    return BOUND if call.max_output is None and adapter.needs_max_output else call.max_output


def _answer(call: Call, dialect: Dialect, pipe: Pipe, pieces: Sequence[bytes]) -> Reply:
    body = b""
    try:
        for piece in pieces:
            body += pipe.feed(piece)
            if pipe.ended:
                break
        body += pipe.close()
    except GatewayError as error:
        if not body:
            return _error(error, dialect)
        body += _stream_error(error, call, dialect, body)
    return Reply(200, "text/event-stream" if call.stream else "application/json", body)


def _stream_error(error: GatewayError, call: Call, dialect: Dialect, sent: bytes) -> bytes:
    if call.stream_error is None:
        return dialect.stream_error(error, Answered().request_id)
    return call.stream_error(error, Answered().request_id, len(frames(sent)))


def _error(error: GatewayError, dialect: Dialect) -> Reply:
    headers, body = dialect.error(error, Answered().request_id)
    return Reply(error.status, dict(headers)[b"content-type"].decode(), body)


def question(play: Play, slug: str, asked: dict[str, Any] | None = None, rests_on: str | None = None) -> Question:
    """The play's call, or the one that is `asked` instead, for the model by its slug.

    `rests_on` is the gateway's name of the stored answer that it is about, or rests on.
    """
    if play.operation == "resource":
        path = play.path.replace("{response_id}", rests_on or "") + _query(play)
        return Question(
            path, b"", slug, play.provider, play.options, play.model, play.recorded.method.upper(), rests_on
        )
    said = play.asked if asked is None else asked
    if rests_on is not None:
        said = {**said, "previous_response_id": rests_on}
    body = msgspec.json.encode({"model": slug} | {name: value for name, value in said.items() if name != "model"})
    return Question(play.path, body, slug, play.provider, play.options, play.model, rests_on=rests_on)


def _query(play: Play) -> str:
    query = urlsplit(play.recorded.uri).query
    return f"?{query}" if query else ""
