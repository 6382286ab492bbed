"""Headers that go with answers in every dialect."""

import math
from typing import Final

JSON: Final = (b"content-type", b"application/json")


def limit_headers(limit: int, remaining: int, reset: float) -> list[tuple[bytes, bytes]]:
    """The gateway's own rate-limit headers; the reset in whole seconds."""
    return [
        (b"x-scaigrid-ratelimit-limit", b"%d" % limit),
        (b"x-scaigrid-ratelimit-remaining", b"%d" % remaining),
        (b"x-scaigrid-ratelimit-reset", b"%d" % math.ceil(reset)),
    ]
