"""The port of a dialect: what clients speak. It decodes their calls and renders answers and errors for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.limiter import Kind
from scaigrid.types import Event, Operation


class Answered(Protocol):
    """What a renderer may read of the request that it answers, when it writes the end."""

    @property
    def request_id(self) -> str: ...

    @property
    def started_at(self) -> float:
        """When the request came, in seconds since the epoch: `created` where the provider does not say."""
        ...

    @property
    def cost(self) -> int:
        """The price of the call so far, in nano-units."""
        ...


class Renderer(Protocol):
    """Writes one answer, event by event. State lives here, one renderer an attempt."""

    def render(self, events: Sequence[Event]) -> bytes:
        """What goes to the client for these events now; a plain answer is only gathered."""
        ...

    def close(self) -> bytes:
        """The end: a stream's last frames, or the whole plain answer."""
        ...


Resource = Callable[[str, str], Call]
"""The call about the thing of this name, with this query string. Raises VALIDATION_ERROR."""


class Dialect(Protocol):
    """One client protocol. Stateless: one instance serves every call."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """The path prefix that belongs to it; the longest that matches speaks for a request, errors included."""
    operations: ClassVar[Mapping[str, Operation]]
    """Path -> what is asked there. Every one is a POST with a JSON body."""
    resources: ClassVar[Mapping[str, Mapping[str, Resource]]]
    """Path -> method -> what is asked there of something that a provider keeps, named by the one part of the path that
    is in braces. Nobody sends a body for it."""
    key_header: ClassVar[bytes | None]
    """The header in which clients of this dialect may send their key instead of `Authorization`; None for none."""
    id_header: ClassVar[bytes | None]
    """The header in which clients of this dialect look for the id of their request, besides the gateway's own; None
    for none."""
    forwarded: ClassVar[frozenset[bytes]]
    """Headers of the caller, by lower-case name, that a provider of the same dialect is to see."""
    keep_alive: ClassVar[bytes]
    """What a silent stream says so that nobody gives it up: whole frames that clients of this dialect pass over,
    wherever they come."""

    def decode(self, path: str, body: bytes) -> Call:
        """The call in `body`, at one of the paths of `operations`.

        Raises VALIDATION_ERROR with a detail for each fault.
        """
        ...

    def renderer(self, call: Call, answered: Answered) -> Renderer: ...

    def error(self, error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
        """Headers (content type and those that clients of this dialect read) and body of an error answer."""
        ...

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """The frames that end a stream which has already begun."""
        ...

    def limit_headers(self, limit: int, remaining: int, reset: float, kind: Kind = "requests") -> Headers:
        """The tightest limit on requests, or on tokens: its size, what is left, the seconds until it is whole again."""
        ...
