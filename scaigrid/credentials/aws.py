"""Signs calls to Amazon Bedrock with an access key: no round trip, so each call is signed by itself."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from scaigrid.adapter import UpstreamRequest
from scaigrid.clock import Clock
from scaigrid.credentials.scheme import Credentials, Fault, Fetch, Taken
from scaigrid.credentials.sigv4 import Keys, Scope, signed

_SERVICE = "bedrock"
"""What Bedrock is called in signatures, whichever of its addresses is asked."""
_TEXT = re.compile(r"[!-~]+")


class Aws:
    """Signature Version 4. The region is the provider's option `region`."""

    takes: ClassVar[tuple[Taken, ...]] = (Taken(("access_key_id", "secret_access_key"), ("session_token",)),)
    needs: ClassVar[tuple[str, ...]] = ("region",)

    def __init__(self, credentials: Credentials, options: Any, clock: Clock, fetch: Fetch) -> None:
        self._keys = Keys(
            access_key_id=credentials["access_key_id"].reveal(),
            secret_access_key=credentials["secret_access_key"],
            session_token=credentials.get("session_token"),
        )
        self._scope = Scope(region=str(options.region), service=_SERVICE)
        self._clock = clock

    @classmethod
    def faults(cls, credentials: Credentials) -> Iterator[Fault]:
        for name, value in credentials.items():
            if not _TEXT.fullmatch(value.reveal()):
                yield name, "must be one word of ASCII text"

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        return signed(request, self._keys, self._scope, self._clock.now())
