"""Every failure that httpx knows is one that the forwarder knows. What it does is in test_port.py."""

import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.httpx import HttpxResponse, HttpxUpstream
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamUnreachable

OURS: dict[type[Exception], str] = {
    httpx.CookieConflict: "raised where a cookie is read by name; we read none",
    httpx.StreamError: "raised where a body is read in an order that cannot be; our own mistake",
    httpx.StreamConsumed: "the same",
    httpx.StreamClosed: "the same",
    httpx.ResponseNotRead: "the same",
    httpx.RequestNotRead: "the same",
}
"""What no provider can cause, each with its reason. It may only get shorter."""

EXPORTED = [
    found
    for _, found in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(found, Exception) and not issubclass(found, Warning)
]
FAILURES = [kind for kind in EXPORTED if kind not in OURS]
UNREACHABLE: dict[type[Exception], type[UpstreamFailure]] = {
    httpx.ConnectTimeout: UpstreamTimeout,
    httpx.ConnectError: UpstreamUnreachable,
}
REQUEST = UpstreamRequest("POST", "http://127.0.0.1:1/", (), b"")


def made(kind: type[Exception]) -> Exception:
    """An instance, whatever its constructor asks for."""
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("why", request=httpx.Request("POST", "http://x"), response=httpx.Response(500))
    return kind("why")


def test_only_what_httpx_exports_is_left_out() -> None:
    assert set(OURS) <= set(EXPORTED)
    assert {httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, *UNREACHABLE} <= set(FAILURES)


@pytest.mark.parametrize("kind", FAILURES, ids=lambda kind: kind.__name__)
async def test_a_failure_to_send_is_of_the_port(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(*_: object, **__: object) -> None:
        raise made(kind)

    upstream = HttpxUpstream()
    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    with pytest.raises(UpstreamFailure, match=f"{kind.__name__}: why") as caught:
        async with upstream.send(REQUEST, connect_timeout=1, stream=True):
            pass
    assert type(caught.value) is UNREACHABLE.get(kind, UpstreamFailure)
    await upstream.aclose()


@pytest.mark.parametrize(
    "kind", [kind for kind in FAILURES if kind is not httpx.InvalidURL], ids=lambda kind: kind.__name__
)
async def test_a_failure_to_read_is_of_the_port(kind: type[Exception]) -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for error in (made(kind),):
                raise error
            yield b""

    with pytest.raises(UpstreamFailure):
        await HttpxResponse(httpx.Response(200, stream=Broken())).chunk()
