"""What `intake` makes of a body: the fields that governance reads, the rest undecoded until somebody needs it."""

from collections.abc import Callable, Mapping

import msgspec

from scaigrid.errors import GatewayError
from scaigrid.types import Chat, Embed, Operation, Rerank

Header = tuple[str, str]


class Call(msgspec.Struct, kw_only=True):
    """One inference call as the caller made it. `body` is never edited: a second attempt starts from it again."""

    dialect: str
    operation: Operation
    surface: str
    """Which of the dialect's own shapes the body has: `openai/chat`, `openai/responses`, `anthropic/messages` ... A
    provider that speaks it is passed the bytes."""
    model: str
    """The frontend model's slug, as the caller wrote it."""
    body: bytes
    members: Mapping[str, msgspec.Raw]
    """The body's top level, undecoded."""
    canonical: Callable[[], Chat | Embed | Rerank]
    """Decodes the whole call into canonical types, once. Raises GatewayError where the body does not allow it."""
    headers: tuple[Header, ...] = ()
    """Those of the caller's headers that its dialect gives a meaning (`anthropic-beta`), by lower-case name: for a
    provider of the same dialect."""
    query: str = ""
    """The caller's query string, as it came: for a provider of the same dialect."""
    held: str | None = None
    """A name, made by this gateway, of something that one backend keeps (a stored response): the call has to go
    there."""
    held_field: str | None = None
    """The member that has that name; None where the path has it."""
    grows: bool = False
    """A provider may add to the input what is not in the body: a stored conversation, what its own tools find."""
    stream_error: Callable[[GatewayError, str, int], bytes] | None = None
    """How a stream of this surface tells a failure (the error, the request id, how many frames went before), where
    that is not how the rest of its dialect does."""
    stream: bool = False
    n: int = 1
    max_output: int | None = None
    """The caller's own bound on output tokens for each choice."""
    output_field: str | None = None
    """The member in which the caller gave that bound, where the dialect has more than one for it."""
    wants_usage: bool = False
    """The caller asked for usage at the end of a stream; where not, it is stripped from a passed-through one."""
    tags: Mapping[str, str] = {}
    """The caller's `metadata`, bounded: kept on the usage row."""
