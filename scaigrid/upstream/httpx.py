"""The upstream port by httpx: the plain reference, for tests and for telling a fault of the client from one of ours."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable

_KINDS: tuple[tuple[type[Exception], type[UpstreamFailure]], ...] = (
    (httpx.ConnectTimeout, UpstreamTimeout),
    (httpx.ConnectError, UpstreamUnreachable),
)


class HttpxResponse:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces: AsyncIterator[bytes] = response.aiter_raw()

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self._response.headers.items())

    async def read(self, limit: int) -> bytes:
        declared = self._response.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise UpstreamTooLarge(f"the answer declares {declared} bytes")
        pieces: list[bytes] = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > limit:
                raise UpstreamTooLarge(f"the answer passed {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def chunk(self) -> bytes:
        try:
            async for piece in self._pieces:
                if piece:
                    return piece
        except httpx.HTTPError as error:
            raise _failure(error) from error
        return b""


class HttpxUpstream:
    """One pool for all routes; deadlines but the one for connecting are the forwarder's."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": "scaigrid", "accept-encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    @asynccontextmanager
    async def send(
        self, request: UpstreamRequest, *, connect_timeout: float, stream: bool
    ) -> AsyncGenerator[HttpxResponse]:
        try:
            built = self._client.build_request(
                request.method,
                request.url,
                headers=list(request.headers),
                content=request.body,
                timeout=httpx.Timeout(None, connect=connect_timeout),
            )
            response = await self._client.send(built, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(error) from error
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise UpstreamFailure("the provider encoded its answer, which it was not asked to do")
            yield HttpxResponse(response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()


def _failure(error: Exception) -> UpstreamFailure:
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), UpstreamFailure)
    return kind(f"{type(error).__name__}: {error}")
