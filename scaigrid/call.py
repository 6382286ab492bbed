"""What `intake` makes of a body: the fields that governance reads, the rest undecoded until somebody needs it."""

from collections.abc import Callable, Mapping

import msgspec

from scaigrid.types import Chat, Embed, Operation


class Call(msgspec.Struct, kw_only=True):
    """One inference call as the caller made it. `body` is never edited: a second attempt starts from it again."""

    dialect: str
    operation: Operation
    model: str
    """The frontend model's slug, as the caller wrote it."""
    body: bytes
    members: Mapping[str, msgspec.Raw]
    """The body's top level, undecoded."""
    canonical: Callable[[], Chat | Embed]
    """Decodes the whole call into canonical types, once. Raises GatewayError where the body does not allow it."""
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
