"""Asks a provider which models it has, by its own protocol and over the connection that calls take.

What comes back is a stranger's word: bounded in time and size, never redirected. Why it failed is told in our words;
of the provider's own only those that its adapter finds fit for clients, and no credential is among them.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from scaigrid.adapter import Adapter, Offer, Offers, Signer, UpstreamRequest
from scaigrid.config.connection import address_of, options_of
from scaigrid.control import documents as docs
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import MASK, Secret
from scaigrid.upstream.port import Upstream, UpstreamFailure, UpstreamResponse, UpstreamTimeout, UpstreamTooLarge

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SECONDS: Final = 15.0
"""For everything, however many pages there are."""
LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a page. The longest list that is known has some hundred models, each described at length."""
LARGEST_ERROR: Final = 64 * 1024
"""Bytes of an answer that says why there is none."""
MOST_PAGES: Final = 20
_CONNECT_SECONDS: Final = 5.0
_TELLING: Final = 8
"""Characters from which on a credential could be recognised in a sentence."""

_REASONS: Final[Mapping[int, str]] = {
    401: "it refuses the credential",
    403: "it refuses the credential",
    404: "it has no list of models at this address",
    405: "it has no list of models at this address",
    429: "it is limiting requests",
}


async def discovered(
    provider: docs.Provider,
    adapter: Adapter,
    upstream: Upstream,
    request_id: str,
    seconds: float = SECONDS,
    *,
    signer: Signer | None = None,
) -> Sequence[Offer]:
    """Its models, each once, in its own order. Raises PROVIDER_DISCOVERY_ERROR."""
    try:
        async with asyncio.timeout(seconds):
            return await _offers(provider, adapter, _Way(upstream, signer, request_id))
    except TimeoutError:
        raise _failure(provider, f"it did not answer within {seconds:g} s") from None
    except UpstreamTooLarge:
        raise _failure(provider, "its list is longer than the gateway takes") from None
    except UpstreamFailure as error:
        _log.warning("discovery_failed", provider=provider.name, reason=_scrubbed(str(error), provider))
        late = isinstance(error, UpstreamTimeout)
        why = "it could not be reached in time" if late else "it could not be reached, or broke off"
        raise _failure(provider, why) from None


class _Way(NamedTuple):
    """How the questions of one discovery reach the provider."""

    upstream: Upstream
    signer: Signer | None
    request_id: str

    async def signed(self, asked: UpstreamRequest) -> UpstreamRequest:
        if self.signer is not None:
            asked = await self.signer.signed(asked)
        named = (*asked.headers, ("x-request-id", self.request_id))
        return UpstreamRequest(asked.method, asked.url, named, asked.body)


async def _offers(provider: docs.Provider, adapter: Adapter, way: _Way) -> Sequence[Offer]:
    options = options_of(provider, adapter)
    base_url = address_of(provider, adapter) or ""
    headers = adapter.headers(provider.api_key, {name: value.reveal() for name, value in provider.headers.items()})
    found: dict[str, Offer] = {}
    after: str | None = None
    for _ in range(MOST_PAGES):
        try:
            asked = await way.signed(adapter.discovery(base_url, headers, after, options))
        except GatewayError as error:
            raise _failure(provider, _inside(error)) from None
        page = await _page(provider, adapter, way.upstream, asked)
        for offer in page.models:
            found.setdefault(offer.model, offer)
        after = page.after
        if after is None:
            return list(found.values())
    raise _failure(provider, f"its list has more than {MOST_PAGES} pages")


async def _page(provider: docs.Provider, adapter: Adapter, upstream: Upstream, request: UpstreamRequest) -> Offers:
    async with upstream.send(request, connect_timeout=_CONNECT_SECONDS, stream=False) as response:
        if response.status != 200:
            raise _failure(provider, await _refusal(adapter, response))
        body = await response.read(LARGEST)
    try:
        return adapter.offers(body)
    except GatewayError as error:
        raise _failure(provider, _inside(error)) from None


def _inside(error: GatewayError) -> str:
    """Its message as a part of a sentence."""
    return error.message[:1].lower() + error.message[1:].rstrip(".")


async def _refusal(adapter: Adapter, response: UpstreamResponse) -> str:
    """What an answer other than the list says."""
    status = response.status
    if 300 <= status < 400:
        return f"its address redirects ({status}), which is not followed: give the one that it leads to"
    if status in _REASONS:
        return f"{_REASONS[status]} ({status})"
    try:
        body = await response.read(LARGEST_ERROR)
    except UpstreamFailure:
        body = b""
    said = adapter.error(status, response.headers, body)
    return f"it answered {status}: {said.message}" if said.code is Code.VALIDATION_ERROR else f"it answered {status}"


def _failure(provider: docs.Provider, why: str) -> GatewayError:
    text = _scrubbed(f"The provider's models could not be listed: {why}", provider)
    return GatewayError(Code.PROVIDER_DISCOVERY_ERROR, text if text.endswith((".", "…")) else f"{text}.")


def _scrubbed(text: str, provider: docs.Provider) -> str:
    """The last guard, should somebody have quoted what was sent to them."""
    for secret in _credentials(provider):
        if len(secret.reveal()) >= _TELLING:
            text = text.replace(secret.reveal(), MASK)
    return text


def _credentials(provider: docs.Provider) -> Iterator[Secret]:
    if provider.api_key is not None:
        yield provider.api_key
    yield from provider.headers.values()
    yield from provider.credentials.values()
