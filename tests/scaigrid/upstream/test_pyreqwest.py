"""Every failure that pyreqwest knows is one that the forwarder knows. What it does is in test_port.py."""

import inspect
from typing import Any

import pytest
from pyreqwest import exceptions

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout
from scaigrid.upstream.pyreqwest import PyreqwestResponse, PyreqwestUpstream

EXPORTED = [
    found
    for _, found in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(found, Exception) and found.__module__.startswith("pyreqwest")
]
TIMEOUTS = {exceptions.ConnectTimeoutError}
REQUEST = UpstreamRequest("POST", "http://127.0.0.1:1/", (), b"")


def made(kind: type[Exception]) -> Exception:
    """An instance, whatever its constructor asks for."""
    details = {"causes": None, "status": 500, "doc": "", "pos": 0}
    given: list[Any] = ["why", details] if issubclass(kind, exceptions.DetailedPyreqwestError) else ["why"]
    return kind(*given)


class Raises:
    """Stands in for a request, a response and a body reader that fail."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> "Raises":
        return self

    def __call__(self, *_: object) -> "Raises":
        return self

    async def __aenter__(self) -> None:
        raise self._error

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read_chunk(self) -> None:
        raise self._error


def test_there_are_exceptions_to_map() -> None:
    assert {exceptions.PyreqwestError, exceptions.ConnectError, exceptions.ReadError, *TIMEOUTS} <= set(EXPORTED)


@pytest.mark.parametrize("kind", EXPORTED, ids=lambda kind: kind.__name__)
async def test_a_failure_to_send_is_of_the_port(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = PyreqwestUpstream()
    monkeypatch.setattr(upstream, "_client", Raises(made(kind)))
    with pytest.raises(UpstreamFailure, match=f"{kind.__name__}: .*why") as caught:
        async with upstream.send(REQUEST, connect_timeout=1, stream=True):
            pass
    assert type(caught.value) is (UpstreamTimeout if kind in TIMEOUTS else UpstreamFailure)


@pytest.mark.parametrize("kind", EXPORTED, ids=lambda kind: kind.__name__)
async def test_a_failure_to_read_is_of_the_port(kind: type[Exception]) -> None:
    response: Any = Raises(made(kind))
    with pytest.raises(UpstreamFailure):
        await PyreqwestResponse(response).chunk()


async def test_the_reason_is_for_the_log_and_names_its_class() -> None:
    response: Any = Raises(exceptions.ReadError("cut off", {"causes": None}))
    with pytest.raises(UpstreamFailure, match=r"^ReadError: cut off$"):
        await PyreqwestResponse(response).chunk()
