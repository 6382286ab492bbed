"""Who gives out tokens is asked as a stranger is: in bounds of time and size, and at an address to be trusted."""

from collections.abc import AsyncGenerator, Iterator

import pytest

from scaigrid.adapter import UpstreamRequest
from scaigrid.credentials.fetching import LARGEST, Fetching, form
from scaigrid.credentials.scheme import NoToken
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.port import Upstream
from tests.harness.behaviours import answer, redirect, reset, silence, stalled
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.provider import Behaviour, Endpoint, Provider


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def endpoint(server: Provider, request: pytest.FixtureRequest) -> Endpoint:
    return server.at(f"/{request.node.name.replace('[', '-').rstrip(']')}/token")


@pytest.fixture
async def http() -> AsyncGenerator[Upstream]:
    upstream = Http1Upstream()
    yield upstream
    await upstream.aclose()


async def test_a_form_is_posted_and_the_answer_comes_whole(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.then(answer({"access_token": "t"}))
    status, body = await Fetching(http)(form(endpoint.url, {"grant_type": "a b", "x": "&"}))
    seen = await endpoint.comes()
    assert (status, body) == (200, b'{"access_token":"t"}')
    assert (seen.method, seen.body) == ("POST", b"grant_type=a+b&x=%26")
    assert seen.header("content-type") == "application/x-www-form-urlencoded"


async def test_a_refusal_and_a_redirect_are_answers_like_others(
    endpoint: Endpoint, server: Provider, http: Upstream
) -> None:
    elsewhere = server.at("/elsewhere/token")
    endpoint.then(answer({"error": "invalid_client"}, status=401), redirect(elsewhere.url))
    assert (await Fetching(http)(form(endpoint.url, {})))[0] == 401
    assert (await Fetching(http)(form(endpoint.url, {})))[0] == 307
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (silence, "no answer within 0.2 s"),
        (reset, "the connection"),
        (stalled(b"[", declared=LARGEST + 1), f"its answer passed {LARGEST} bytes"),
    ],
    ids=["silence", "reset", "large"],
)
async def test_a_rude_answer_is_no_token(endpoint: Endpoint, http: Upstream, behaviour: Behaviour, told: str) -> None:
    endpoint.then(behaviour)
    with pytest.raises(NoToken, match=told):
        await Fetching(http, 0.2)(form(endpoint.url, {}))


async def test_nobody_there_is_no_token(http: Upstream) -> None:
    with pytest.raises(NoToken, match="no connection"):
        await Fetching(http)(form(f"http://{LOOPBACK}:{free_port()}/token", {}))


@pytest.mark.parametrize("url", ["http://tokens.example/", "http://10.0.0.1/", "ftp://x/", "nonsense"])
async def test_an_address_that_somebody_on_the_way_can_change_is_not_asked(url: str, http: Upstream) -> None:
    with pytest.raises(NoToken, match="cannot be trusted"):
        await Fetching(http)(UpstreamRequest("POST", url, (), b""))
