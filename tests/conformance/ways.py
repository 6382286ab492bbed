"""How a recorded exchange is played again: through the parts in this process, or through a gateway of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from scaigrid.adapter import Adapter, Outgoing, Pipe, Target
from scaigrid.call import Call
from scaigrid.dialect import Dialect
from scaigrid.dialects import DIALECTS
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.translation import Translation
from scaigrid.types import Operation, Usage
from tests.conformance.told import Reply
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
    model: str
    """The provider's own name of the model."""
    stream: bool


class Sent(msgspec.Struct, frozen=True):
    """What a provider was asked. Header names are in lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Played(msgspec.Struct, frozen=True):
    """One exchange, seen from both ends; `sent` is None where no provider was asked."""

    sent: Sent | None
    reply: Reply
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
    """What the call will be billed by, where this way lets it be seen."""


class Way(Protocol):
    def slug(self, provider: str, model: str) -> str:
        """The frontend model for a provider's model of that name."""
        ...

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        """Asks, and lets the provider answer as `answer` was, its body in these pieces."""
        ...


class Inside:
    """Dialect and adapter in this process, put together as the forwarder does."""

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters

    def slug(self, provider: str, model: str) -> str:
        return SLUG

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        dialect, operation = _surface(question.path)
        adapter = self._adapters[question.provider]
        target = Target(
            type=question.provider,
            base_url=adapter.base_url() or "http://provider.invalid/v1",
            model=question.model,
            headers=adapter.headers(Secret(KEY), {}),
        )
        try:
            call = dialect.decode(operation, question.body)
            request = adapter.encode(call, target, Outgoing(max_output=call.max_output))
        except GatewayError as error:
            return Played(None, _error(error, dialect))
        sent = Sent(request.url, dict(request.headers), request.body)
        if not 200 <= answer.status < 300:
            refusal = adapter.error(answer.status, dict(answer.response_headers), b"".join(pieces))
            return Played(sent, _error(refusal, dialect))
        pipe: Pipe
        if adapter.dialect == call.dialect:
            pipe = adapter.relay(call)
        else:
            pipe = Translation(adapter.decoder(call), dialect.renderer(call, Answered()))
        return Played(sent, _answer(call, dialect, pipe, pieces), pipe.usage)


def _surface(path: str) -> tuple[Dialect, Operation]:
    return next((dialect, dialect.operations[path]) for dialect in DIALECTS if path in dialect.operations)


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
        body += dialect.stream_error(error, Answered().request_id)
    return Reply(200, "text/event-stream" if call.stream else "application/json", body)


def _error(error: GatewayError, dialect: Dialect) -> Reply:
    headers, body = dialect.error(error, Answered().request_id)
    return Reply(error.status, dict(headers)[b"content-type"].decode(), body)


def question(path: str, asked: dict[str, Any], one: Recorded, provider: str, slug: str) -> Question:
    """The call `asked`, for the model of the recorded one."""
    body = msgspec.json.encode({"model": slug} | {name: value for name, value in asked.items() if name != "model"})
    return Question(path, body, slug, provider, one.request_json["model"], bool(asked.get("stream")))
