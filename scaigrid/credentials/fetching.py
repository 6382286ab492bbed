"""Asks who gives out tokens, over the connections that calls take: bounded in time and size, never redirected.

Only an address is asked that nobody on the way can change (`scaigrid.config.identity.trusted`).
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from scaigrid.adapter import UpstreamRequest
from scaigrid.config.identity import trusted
from scaigrid.credentials.scheme import NoToken
from scaigrid.upstream.port import Upstream, UpstreamFailure, UpstreamTooLarge

SECONDS: Final = 10.0
"""For everything."""
LARGEST: Final = 64 * 1024
"""Bytes of an answer; tokens have a few thousand."""
_CONNECT_SECONDS: Final = 5.0


class Fetching:
    """The port `Fetch` over an upstream."""

    def __init__(self, upstream: Upstream, seconds: float = SECONDS) -> None:
        self._upstream = upstream
        self._seconds = seconds

    async def __call__(self, request: UpstreamRequest) -> tuple[int, bytes]:
        if not trusted(request.url):
            raise NoToken("its address cannot be trusted: it has to be https")
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._upstream.send(request, connect_timeout=_CONNECT_SECONDS, stream=False) as response,
            ):
                return response.status, await response.read(LARGEST)
        except TimeoutError:
            raise NoToken(f"no answer within {self._seconds:g} s") from None
        except UpstreamTooLarge:
            raise NoToken(f"its answer passed {LARGEST} bytes") from None
        except UpstreamFailure as error:
            raise NoToken(str(error)) from error


def form(url: str, fields: Mapping[str, str]) -> UpstreamRequest:
    """A POST of a form, as token endpoints take it (RFC 6749, section 4)."""
    headers = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
    return UpstreamRequest("POST", url, headers, urlencode(fields).encode())
