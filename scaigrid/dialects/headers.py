"""Headers that go with answers in every dialect."""

import math
from typing import Final

from scaigrid.limiter import Kind

_REQUESTS: Final = (b"x-scaigrid-ratelimit-limit", b"x-scaigrid-ratelimit-remaining", b"x-scaigrid-ratelimit-reset")
_TOKENS: Final = tuple(name + b"-tokens" for name in _REQUESTS)

JSON: Final = (b"content-type", b"application/json")


def limit_headers(limit: int, remaining: int, reset: float, kind: Kind) -> list[tuple[bytes, bytes]]:
    """The gateway's own rate-limit headers, of requests or of tokens; the reset in whole seconds."""
    names = _TOKENS if kind == "tokens" else _REQUESTS
    return list(zip(names, (b"%d" % limit, b"%d" % remaining, b"%d" % math.ceil(reset)), strict=True))
