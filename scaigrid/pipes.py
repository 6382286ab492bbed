"""The pipe that a provider's answer goes through on its way to the client, and what is read of an answer beside it."""

import asyncio
from typing import Final

from scaigrid.adapter import Pipe, Relaying
from scaigrid.call import Call
from scaigrid.config.snapshot import Backend, Model
from scaigrid.counting import vocabulary
from scaigrid.exchange import Exchange
from scaigrid.held import Held, Names
from scaigrid.translation import Translation
from scaigrid.types import Usage
from scaigrid.upstream.port import UpstreamFailure, UpstreamResponse

LINGER: Final = 0.5
"""Seconds to wait, once a stream is complete, for the provider to end it: that keeps its connection usable."""
_LARGEST_ERROR_BODY: Final = 64 * 1024
_ERROR_SECONDS: Final = 2.0
"""For the words of a failure whose status has come: what it is does not wait for them."""


class _Attempted:
    """The request as a renderer sees it: the cost is that of the attempt which it renders, and of no other."""

    __slots__ = ("_price", "cost", "request_id", "started_at")

    def __init__(self, exchange: Exchange, model: Model) -> None:
        self.request_id = exchange.request_id
        self.started_at = exchange.started_at
        self.cost = 0
        self._price = model.price

    def used(self, usage: Usage) -> None:
        """The renderer writes the cost into the end of the answer, so it is needed before the answer is over."""
        self.cost = self._price.cost(usage) if self._price is not None else 0


def opened(exchange: Exchange, call: Call, model: Model, backend: Backend, names: Names) -> Pipe:
    """The pipe of one attempt: the bytes pass where the provider speaks the caller's protocol, else are translated."""
    adapter, target = backend.adapter, backend.target
    if call.surface in target.speaks:
        tenant = exchange.principal.tenant.id

        def named(own: str) -> str:
            return names.name(Held(backend.id, tenant, model.slug, own))

        return adapter.relay(call, target, Relaying(name=named, held=call.held, system_prompt=model.system_prompt))
    attempted = _Attempted(exchange, model)
    renderer = exchange.dialect.renderer(call, attempted)
    keeps = vocabulary(target.model) is not None
    return Translation(adapter.decoder(call, target), renderer, attempted.used, keeps=keeps)


async def error_body(response: UpstreamResponse) -> bytes:
    """What a provider says of its failure, as far as it does."""
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            return await response.read(_LARGEST_ERROR_BODY)
    except (TimeoutError, UpstreamFailure):
        return b""


async def linger(response: UpstreamResponse, pipe: Pipe | None) -> None:
    """Waits a moment for the end of an answer that is complete."""
    if pipe is None or not pipe.ended:
        return
    try:
        async with asyncio.timeout(LINGER):
            while await response.chunk():
                pass
    except (TimeoutError, UpstreamFailure):
        return
