"""The upstream port by pyreqwest: reqwest's pool and TLS in Rust, at a few microseconds of Python a call."""

from collections.abc import Mapping
from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectTimeoutError, PyreqwestError
from pyreqwest.request import RequestBuilder, StreamRequest
from pyreqwest.response import Response

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge

_IDLE = timedelta(seconds=55)
"""Idle connections are dropped before the 60 s at which common load balancers drop them."""


class PyreqwestResponse:
    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self._response.headers.items()}

    async def read(self, limit: int) -> bytes:
        declared = self._response.get_header("content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise UpstreamTooLarge(f"the answer declares {declared} bytes")
        pieces: list[bytes] = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > limit:
                raise UpstreamTooLarge(f"the answer passed {limit} bytes")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunk(self) -> bytes:
        try:
            piece = await self._response.body_reader.read_chunk()
        except PyreqwestError as error:
            raise _failure(error) from error
        return b"" if piece is None else bytes(piece)


class _Call:
    """One call as a context: a class, because a generator-made one costs more than the rest of this file."""

    __slots__ = ("_builder", "_request")
    _request: StreamRequest

    def __init__(self, builder: RequestBuilder) -> None:
        self._builder = builder

    async def __aenter__(self) -> PyreqwestResponse:
        try:
            self._request = self._builder.build_streamed()
            return PyreqwestResponse(await self._request.__aenter__())
        except PyreqwestError as error:
            raise _failure(error) from error

    async def __aexit__(self, *_: object) -> None:
        await self._request.__aexit__(None, None, None)


class PyreqwestUpstream:
    """One client for each connect deadline: reqwest sets that on the client, and routes differ in it."""

    def __init__(self) -> None:
        self._clients: dict[float, Client] = {}

    def send(self, request: UpstreamRequest, *, connect_timeout: float, stream: bool) -> "_Call":
        try:
            builder = (
                self._client(connect_timeout)
                .request(request.method, request.url)
                .headers(request.headers)
                .body_bytes(request.body)
            )
        except ValueError as error:
            # An address or a header that cannot be one; only configuration can hold such.
            raise UpstreamFailure(f"{type(error).__name__}: {error}") from error
        if stream:
            # Otherwise pyreqwest holds a streamed body back until 64 KiB have come.
            builder = builder.streamed_read_buffer_limit(0)
        return _Call(builder)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, connect_timeout: float) -> Client:
        client = self._clients.get(connect_timeout)
        if client is None:
            client = self._clients[connect_timeout] = (
                ClientBuilder()
                .connect_timeout(timedelta(seconds=connect_timeout))
                .pool_idle_timeout(_IDLE)
                .follow_redirects(False)
                .default_cookie_store(False)
                .no_proxy()
                .gzip(True)
                .brotli(False)
                .zstd(False)
                .deflate(False)
                .user_agent("scaigrid")
                .build()
            )
        return client


def _failure(error: PyreqwestError) -> UpstreamFailure:
    kind = UpstreamTimeout if isinstance(error, ConnectTimeoutError) else UpstreamFailure
    return kind(f"{type(error).__name__}: {error.message}")
