"""The list of models, asked of a scripted provider over real connections."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters import ADAPTERS
from scaigrid.adapter import NO_OPTIONS, Offer, UpstreamRequest
from scaigrid.api.discovery import LARGEST, LARGEST_ERROR, MOST_PAGES, discovered
from scaigrid.control import documents as docs
from scaigrid.credentials.fetching import Fetching
from scaigrid.credentials.google import Google
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.port import Upstream
from scaigrid.upstream.simulator import SimulatorUpstream
from tests.harness.behaviours import answer, cut, raw, redirect, reset, silence, stalled
from tests.harness.clock import StillClock
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.provider import Behaviour, Endpoint, Provider

KEY = "sk-credential-not-to-be-seen"
HEADER = "a-header-not-to-be-seen"


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def endpoint(server: Provider, request: pytest.FixtureRequest) -> Endpoint:
    return server.at(f"/{request.node.name.replace('[', '-').rstrip(']')}/v1")


@pytest.fixture
async def http() -> AsyncGenerator[Upstream]:
    upstream = Http1Upstream()
    yield upstream
    await upstream.aclose()


def provider(type_: str = "openai", base_url: str | None = None) -> docs.Provider:
    return docs.Provider(
        name="acme", type=type_, base_url=base_url, api_key=Secret(KEY), headers={"X-Secret": Secret(HEADER)}
    )


async def failure(asked: docs.Provider, upstream: Upstream, seconds: float = 5) -> str:
    """Why it failed; nobody learns a credential by it, nor where the provider is."""
    with pytest.raises(GatewayError) as caught:
        await discovered(asked, ADAPTERS[asked.type], upstream, "req_1", seconds)
    error = caught.value
    assert error.code is Code.PROVIDER_DISCOVERY_ERROR
    for told in (error.message, repr(error.__cause__), str(error.details)):
        assert not [secret for secret in (KEY, HEADER, LOOPBACK) if secret in told]
    assert error.__suppress_context__ or error.__context__ is None
    assert error.message.startswith("The provider's models could not be listed: ")
    assert error.message.endswith(".")
    return error.message.removeprefix("The provider's models could not be listed: ").rstrip(".")


async def test_the_list_comes_from_where_calls_go_with_the_credential_of_calls(
    endpoint: Endpoint, http: Upstream
) -> None:
    listed: dict[str, Any] = {"object": "list", "data": [{"id": "b", "owned_by": "acme"}, {"id": "a"}, {"id": "b"}]}
    endpoint.then(answer(listed))
    found = await discovered(provider(base_url=f"{endpoint.url}/"), ADAPTERS["openai"], http, "req_1")
    assert list(found) == [Offer(model="b", owned_by="acme"), Offer(model="a")]
    seen = await endpoint.comes()
    assert (seen.method, seen.path, seen.body) == ("GET", f"{urlsplit(endpoint.url).path}/models", b"")
    assert (seen.header("authorization"), seen.header("x-secret")) == (f"Bearer {KEY}", HEADER)
    assert seen.header("x-request-id") == "req_1"


async def test_every_page_is_asked_for(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.then(
        answer({"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"}),
        answer({"data": [{"id": "c"}], "has_more": False, "last_id": "c"}),
    )
    found = await discovered(provider("anthropic", endpoint.url), ADAPTERS["anthropic"], http, "req_1")
    assert [one.model for one in found] == ["a", "b", "c"]
    first, second = await endpoint.comes(), await endpoint.comes()
    assert first.path.endswith("/models?limit=1000")
    assert second.path.endswith("/models?limit=1000&after_id=b")
    assert second.header("x-api-key") == KEY


async def test_pages_without_an_end_have_one(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.always(answer({"data": [{"id": "a"}], "has_more": True, "last_id": "a"}))
    assert await failure(provider("anthropic", endpoint.url), http) == f"its list has more than {MOST_PAGES} pages"
    assert len(endpoint.requests) == MOST_PAGES


async def test_the_simulator_lists_its_own() -> None:
    found = await discovered(provider("simulator"), ADAPTERS["simulator"], SimulatorUpstream(), "req_1")
    assert "simulated-chat-1" in [one.model for one in found]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (
            answer({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401),
            "it refuses the credential (401)",
        ),
        (answer(b"", status=403), "it refuses the credential (403)"),
        (answer(b"<html>", status=404), "it has no list of models at this address (404)"),
        (answer(b"", status=429), "it is limiting requests (429)"),
        (answer(b"", status=500), "it answered 500"),
        (
            answer({"error": {"message": f"Bad header {HEADER} for {KEY}"}}, status=400),
            "it answered 400: Bad header *** for ***",
        ),
        (answer({"error": {"message": "No."}}, status=400), "it answered 400: No"),
        (stalled(b"", declared=9), "it did not answer within 0.25 s"),
        (silence, "it did not answer within 0.25 s"),
        (reset, "it could not be reached, or broke off"),
        (cut(b'{"data":', declared=100), "it could not be reached, or broke off"),
        (raw(b"rubbish\r\n\r\n"), "it could not be reached, or broke off"),
        (answer({"object": "list"}), "the provider's answer broke its own format: no list of models"),
        (answer(b"<html>"), "the provider's answer broke its own format: no JSON where JSON is due"),
        (answer(b"[" * 100_000), "the provider's answer broke its own format: JSON nested too deep"),
        (answer(b"", status=204), "it answered 204"),
    ],
    ids=range(16),
)
async def test_a_failure_is_told_in_words_without_a_secret(
    endpoint: Endpoint, http: Upstream, behaviour: Behaviour, why: str
) -> None:
    endpoint.then(behaviour)
    assert await failure(provider(base_url=endpoint.url), http, 0.25) == why


async def test_a_redirect_is_not_followed(endpoint: Endpoint, server: Provider, http: Upstream) -> None:
    elsewhere = server.at("/elsewhere/v1")
    endpoint.then(redirect(f"{elsewhere.url}/models"))
    assert "redirects (307)" in await failure(provider(base_url=endpoint.url), http)
    assert elsewhere.requests == []


async def test_a_list_larger_than_the_bound_is_not_taken(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.then(stalled(b"[", declared=LARGEST + 1))
    assert await failure(provider(base_url=endpoint.url), http) == "its list is longer than the gateway takes"


async def test_an_error_larger_than_the_bound_is_still_that_error(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.then(answer(b"x" * (LARGEST_ERROR + 1), status=500))
    assert await failure(provider(base_url=endpoint.url), http) == "it answered 500"


async def test_nobody_at_the_address_is_no_mystery(http: Upstream) -> None:
    asked = provider(base_url=f"http://{LOOPBACK}:{free_port()}/v1")
    assert await failure(asked, http) == "it could not be reached, or broke off"


class Refusing:
    """A signer that has got nothing to sign with."""

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        raise GatewayError(Code.BACKEND_ERROR, "The gateway got no credential for the provider.")


async def test_without_a_credential_to_sign_with_nobody_is_asked(endpoint: Endpoint, http: Upstream) -> None:
    with pytest.raises(GatewayError) as caught:
        await discovered(provider(base_url=endpoint.url), ADAPTERS["openai"], http, "req_1", signer=Refusing())
    assert caught.value.code is Code.PROVIDER_DISCOVERY_ERROR
    assert caught.value.message.endswith("listed: the gateway got no credential for the provider.")
    assert endpoint.requests == []


async def test_every_page_is_signed(endpoint: Endpoint, http: Upstream) -> None:
    endpoint.then(
        answer({"data": [{"id": "a"}], "has_more": True, "last_id": "a"}),
        answer({"data": [{"id": "b"}], "has_more": False, "last_id": "b"}),
    )
    google = Google({"access_token": Secret("ya29.given")}, NO_OPTIONS, StillClock(), Fetching(http))
    asked = provider("anthropic", endpoint.url)
    found = await discovered(asked, ADAPTERS["anthropic"], http, "req_1", signer=google)
    assert [one.model for one in found] == ["a", "b"]
    for _ in found:
        assert (await endpoint.comes()).header("authorization") == "Bearer ya29.given"
