"""An issuer's answers are a stranger's: bounded, never redirected, and its keys come from an address to be trusted."""

import asyncio
import gzip
import inspect
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trustme

from scaigrid.oidc import fetch
from scaigrid.oidc.fetch import LARGEST, IssuerDocuments, IssuerUnavailable
from tests.harness import behaviours
from tests.harness.behaviours import JSON, answer, cut, redirect, reset, silence, stream
from tests.harness.issuer import ScriptedIssuer, key_set, signer
from tests.harness.ports import LOOPBACK, refusing_port
from tests.harness.provider import Behaviour, Conversation, Provider

_NUMBERS = count()
SOON = 0.2
"""Seconds that a test which has to see a timeout waits for it."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def issuer(provider: Provider) -> ScriptedIssuer:
    # One of its own for each test, on a server that they share.
    made = ScriptedIssuer(provider, f"issuer-{next(_NUMBERS)}")
    made.publish(signer())
    return made


@asynccontextmanager
async def documents(issuer: ScriptedIssuer, **rules: Any) -> AsyncGenerator[IssuerDocuments]:
    made = IssuerDocuments(issuer.rules(**rules))
    try:
        yield made
    finally:
        await made.aclose()


async def failure(issuer: ScriptedIssuer, **rules: Any) -> str:
    async with documents(issuer, **rules) as asked:
        with pytest.raises(IssuerUnavailable) as caught:
            await asked.key_set()
    return str(caught.value)


async def test_the_keys_are_where_the_issuer_says(issuer: ScriptedIssuer) -> None:
    async with documents(issuer) as asked:
        assert await asked.key_set() == key_set(signer())
        assert await asked.key_set() == key_set(signer())
    assert (len(issuer.discovery.requests), issuer.asked) == (2, 2)


async def test_a_configured_address_spares_the_question(issuer: ScriptedIssuer) -> None:
    async with documents(issuer, jwks_url=issuer.jwks_url + "/v1?p=policy") as asked:
        issuer.keys.always(answer(key_set(signer())))
        issuer.discovery.always(reset)
        assert await asked.key_set() == key_set(signer())
    assert not issuer.discovery.requests


async def test_the_url_of_an_issuer_may_end_in_a_slash(issuer: ScriptedIssuer) -> None:
    issuer.url += "/"
    async with documents(issuer) as asked:
        assert await asked.key_set() == key_set(signer())


async def test_the_request_says_little(issuer: ScriptedIssuer) -> None:
    issuer.discovery.then(
        answer({"issuer": issuer.url, "jwks_uri": issuer.jwks_url}, headers=[*JSON, ("set-cookie", "a=b; path=/")])
    )
    async with documents(issuer) as asked:
        await asked.key_set()
    said = dict(issuer.keys.requests[0].headers)
    assert issuer.keys.requests[0].method == "GET"
    assert said.pop("host") in issuer.url
    assert said.pop("connection") == "keep-alive"
    assert said == {"user-agent": "scaigrid", "accept": "application/json", "accept-encoding": "identity"}


async def dribble(conversation: Conversation) -> None:
    """A body that declares no length, and has not ended where it has passed the largest one."""
    await conversation.head(200, [*JSON, ("connection", "close")])
    await conversation.write(b" " * (LARGEST + 1))
    await conversation.silence()


RUDE: dict[str, tuple[Behaviour, str]] = {
    "reset": (reset, "RemoteProtocolError|ReadError"),
    "500": (answer(b"oops", status=500), "it answered 500"),
    "404": (answer(b"{}", status=404), "it answered 404"),
    "204": (answer(b"", status=204), "it answered 204"),
    "a redirect": (redirect("http://127.0.0.1:1/"), "it answered 307"),
    "gzip": (answer(gzip.compress(b"{}"), headers=[*JSON, ("content-encoding", "gzip")]), "encoded"),
    "too large": (answer(b" " * (LARGEST + 1)), f"passed {LARGEST} bytes"),
    "too large in pieces": (stream(*[b" " * 65_536] * 5), f"passed {LARGEST} bytes"),
    "without an end": (dribble, f"passed {LARGEST} bytes"),
    "cut": (cut(b'{"keys":[', declared=5000), "RemoteProtocolError"),
    "cut in the middle of a stream": (stream(b'{"keys":[', behaviours.Then.RESET), "ReadError|RemoteProtocolError"),
}


@pytest.mark.parametrize("name", RUDE)
@pytest.mark.parametrize("place", ["discovery", "keys"])
async def test_a_rude_answer_is_none(issuer: ScriptedIssuer, name: str, place: str) -> None:
    behaviour, reason = RUDE[name]
    getattr(issuer, place).always(behaviour)
    found = await failure(issuer)
    assert any(one in found for one in reason.split("|")), found


@pytest.mark.parametrize("place", ["discovery", "keys"])
@pytest.mark.parametrize("slow", [silence, stream(b"{", behaviours.Then.STALL)], ids=["silence", "stall"])
async def test_a_slow_answer_is_waited_for_no_longer_than_agreed(
    issuer: ScriptedIssuer, place: str, slow: Behaviour
) -> None:
    getattr(issuer, place).always(slow)
    assert await failure(issuer, timeout_seconds=SOON) == "no answer within 0.2 s"


async def test_nobody_there_is_no_answer(issuer: ScriptedIssuer) -> None:
    with refusing_port() as port:
        assert "ConnectError" in await failure(issuer, jwks_url=f"http://{LOOPBACK}:{port}/keys")


async def test_the_largest_answer_is_taken(issuer: ScriptedIssuer) -> None:
    issuer.keys.always(answer(b" " * LARGEST))
    async with documents(issuer) as asked:
        assert len(await asked.key_set()) == LARGEST


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"issuer":5,"jwks_uri":5}', b'{"issuer":"x"}', b"[" * 100_000]
)
async def test_what_is_no_discovery_document_is_none(issuer: ScriptedIssuer, body: bytes) -> None:
    issuer.discovery.always(answer(body))
    assert await failure(issuer) == "its discovery document is none"
    assert issuer.asked == 0


@pytest.mark.parametrize("other", ["{url}/", "{url}X", "https://issuer.test", ""])
async def test_a_document_of_another_issuer_is_not_followed(issuer: ScriptedIssuer, other: str) -> None:
    """OpenID Connect Discovery 1.0, section 4.3."""
    issuer.discovery.always(answer({"issuer": other.format(url=issuer.url), "jwks_uri": issuer.jwks_url}))
    assert "another issuer" in await failure(issuer)
    assert issuer.asked == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://a..b/keys",
        f"https://{'x' * 64}.test/keys",
        "https://xn--/keys",
        "https://%00/keys",
        "https://a%b/keys",
        "https://a b/keys",
        "https://\u2603/keys",
        "https://127.0.0.1:0/keys",
        "https://127.0.0.1:1/\u0000",
        "https://127.0.0.1:1/\r\nx: y",
        "https://[fe80::1%25nowhere]/keys",
    ],
)
async def test_an_address_that_leads_nowhere_is_no_answer(issuer: ScriptedIssuer, address: str) -> None:
    issuer.discovery.always(answer({"issuer": issuer.url, "jwks_uri": address}))
    await failure(issuer)


@pytest.mark.parametrize(
    "address",
    [
        "http://issuer.test/keys",
        "http://192.0.2.1/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "//127.0.0.1/keys",
        "/keys",
        "http://[::1/keys",
        "http://127.0.0.1:99999/keys",
        "http://127.0.0.1@issuer.test/keys",
        "",
    ],
)
async def test_keys_are_not_taken_from_an_address_that_cannot_be_trusted(issuer: ScriptedIssuer, address: str) -> None:
    issuer.discovery.always(answer({"issuer": issuer.url, "jwks_uri": address}))
    assert "cannot be trusted" in await failure(issuer)


async def test_an_issuer_elsewhere_does_not_send_us_into_this_machine(
    issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its document may be wrong or worse; what listens here on loopback is none of its business."""
    async with documents(issuer) as asked:
        far = issuer.rules(issuer="https://issuer.test")
        monkeypatch.setattr(asked, "_issuer", far)

        async def get(_: str) -> bytes:
            return b'{"issuer":"https://issuer.test","jwks_uri":"http://127.0.0.1:9/keys"}'

        monkeypatch.setattr(asked, "_get", get)
        with pytest.raises(IssuerUnavailable, match="cannot be trusted"):
            await asked.key_set()


# -- TLS -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def over_tls(context: ssl.SSLContext) -> AsyncGenerator[str]:
    """A server that answers everybody with one key set; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = key_set(signer())
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    async with server:
        yield f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/keys"


class Certified(NamedTuple):
    """Both ends of TLS, where an authority of the test's own vouches for the server."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    authority = trustme.CA()
    authority.issue_cert(LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server.pem")
    return Certified(server, ssl.create_default_context(cafile=tmp_path / "ca.pem"))


async def test_the_keys_come_from_whom_the_machine_s_certificates_vouch_for(
    issuer: ScriptedIssuer, certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with over_tls(certified.server) as url:
        assert "CERTIFICATE_VERIFY_FAILED" in await failure(issuer, jwks_url=url)
        monkeypatch.setattr(fetch, "machine_trust", lambda: certified.client)
        async with documents(issuer, jwks_url=url) as asked:
            assert await asked.key_set() == key_set(signer())


# -- every failure of the client -------------------------------------------------------------------------------------

OURS: dict[type[Exception], str] = {
    httpx.CookieConflict: "raised where a cookie is read by name; we read none",
    httpx.StreamError: "raised where a body is read in an order that cannot be; our own mistake",
    httpx.StreamConsumed: "the same",
    httpx.StreamClosed: "the same",
    httpx.ResponseNotRead: "the same",
    httpx.RequestNotRead: "the same",
}
"""What no issuer can cause, each with its reason. It may only get shorter."""


@pytest.mark.parametrize(
    "kind",
    [
        found
        for _, found in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(found, Exception) and not issubclass(found, Warning) and found not in OURS
    ],
    ids=lambda kind: kind.__name__,
)
async def test_every_failure_of_the_client_is_an_issuer_that_is_away(
    issuer: ScriptedIssuer, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(*_: object, **__: object) -> None:
        if kind is httpx.HTTPStatusError:
            raise httpx.HTTPStatusError("why", request=httpx.Request("GET", "http://x"), response=httpx.Response(500))
        raise kind("why")

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    assert await failure(issuer) == f"{kind.__name__}: why"
