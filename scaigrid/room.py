"""How many calls a worker has room for."""

from typing import Annotated

import msgspec

from scaigrid.config.schema import Config
from scaigrid.config.strict import Strict


class Room(Strict):
    """How much one worker takes on at once."""

    max_calls: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Calls under way, streams and queued ones included. Whoever is not let in by a key or token takes no place."""
    max_body_bytes_at_once: Annotated[int, msgspec.Meta(ge=1024, le=2**40)] = 256 * 1024 * 1024
    """Bytes of their request bodies together; bodies under 100 kB are not counted. A body is kept until its call is
    over, and takes several times its size in memory while it is worked on. A call that is alone may have a body as
    large as `intake` takes."""


def most_calls(config: Config) -> int:
    """What a worker takes on under a configuration."""
    section = config.links().get("overload")
    return (section if isinstance(section, Room) else Room()).max_calls
