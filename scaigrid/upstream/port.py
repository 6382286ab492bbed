"""The upstream port: one request to a provider, its answer piece by piece, and every way in which that can fail."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from scaigrid.adapter import UpstreamRequest


class UpstreamFailure(Exception):
    """The provider could not be reached, or broke off. The text is for the log; it never reaches a client."""


class UpstreamUnreachable(UpstreamFailure):
    """There was no connection, so that nothing was sent."""


class UpstreamTimeout(UpstreamUnreachable):
    """No connection in time."""


class UpstreamTooLarge(UpstreamFailure):
    """The answer is larger than the bound that was given."""


class UpstreamResponse(Protocol):
    """An answer whose head has come. Its methods raise UpstreamFailure."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises UpstreamTooLarge over `limit` bytes."""
        ...

    async def chunk(self) -> bytes:
        """The next piece as it came, empty at the end."""
        ...


class Upstream(Protocol):
    """A way to providers. One per process; it owns its connections."""

    def send(
        self, request: UpstreamRequest, *, connect_timeout: float, stream: bool
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Sends and waits for the head of the answer. Leaving the block, or cancelling the task, ends the call.

        `stream` says whether the body is read by `chunk`, as it comes, or by `read`, whole. Redirects are not
        followed: a provider that redirects an API call is misconfigured, and credentials would follow. No content
        coding is asked for, and one that comes all the same is a failure.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection."""
        ...
