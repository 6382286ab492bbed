"""The port of a dialect: what clients speak. It decodes their calls and renders answers and errors for them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.errors import GatewayError
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


class Dialect(Protocol):
    """One client protocol. Stateless: one instance serves every call."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """The path prefix that belongs to it; the longest that matches speaks for a request, errors included."""
    operations: ClassVar[Mapping[str, Operation]]
    """Path -> what is asked there. Every one is a POST with a JSON body."""

    def decode(self, operation: Operation, body: bytes) -> Call:
        """Raises VALIDATION_ERROR with a detail for each fault."""
        ...

    def renderer(self, call: Call, answered: Answered) -> Renderer: ...

    def error(self, error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
        """Headers (content type and those that clients of this dialect read) and body of an error answer."""
        ...

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """The frames that end a stream which has already begun."""
        ...

    def limit_headers(self, limit: int, remaining: int, reset: float) -> Headers:
        """The tightest request limit: its size, what is left, and the seconds until it is whole again."""
        ...
