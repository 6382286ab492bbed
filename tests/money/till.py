"""A provider that bills what the caller's order says, and knows at every moment what the gateway has let through.

What is at the provider has been reserved, and what the provider has billed is reserved still or spent. So the sum of
both never exceeds what the gateway's counters say, and is one more way to see them above a limit: from outside.
"""

import asyncio
from collections import defaultdict
from threading import Lock
from typing import Any, Final

import msgspec

from tests.harness import behaviours
from tests.harness.behaviours import EVENTS, JSON, compact
from tests.harness.provider import Conversation
from tests.money.orders import Order, least_reserved

_WORD: Final = "word "


class Purse(msgspec.Struct):
    """What one caller has at the provider: cost in nano-units, tokens, and calls."""

    open_cost: int = 0
    open_tokens: int = 0
    billed_cost: int = 0
    billed_tokens: int = 0
    calls: int = 0
    peak_cost: int = 0
    peak_tokens: int = 0


class Till:
    """The behaviour. `seen` are the ids of the requests that came, in their order."""

    def __init__(self) -> None:
        self.purses: defaultdict[str, Purse] = defaultdict(Purse)
        self.seen: list[str] = []
        self.lock = Lock()

    async def __call__(self, conversation: Conversation) -> None:
        asked = conversation.request.json
        order = order_in(asked)
        bound: int = asked.get("max_completion_tokens", asked.get("max_tokens", order.bound))
        cost, tokens = least_reserved(bound)
        purse = self.purses[order.purse]
        with self.lock:
            self.seen.append(conversation.request.header("x-request-id") or "")
            purse.calls += 1
            purse.open_cost += cost
            purse.open_tokens += tokens
            purse.peak_cost = max(purse.peak_cost, purse.billed_cost + purse.open_cost)
            purse.peak_tokens = max(purse.peak_tokens, purse.billed_tokens + purse.open_tokens)
        billed = False
        try:
            if order.seconds:
                await asyncio.sleep(order.seconds)
            billed = True
        finally:
            with self.lock:
                purse.open_cost -= cost
                purse.open_tokens -= tokens
                # Billed ahead of the first byte: from then on the gateway may have settled the call.
                purse.billed_cost += order.cost if billed else 0
                purse.billed_tokens += order.tokens if billed else 0
        await _answer(conversation, order)


def order_in(asked: Any) -> Order:
    """The order in the last message of a call."""
    content = asked["messages"][-1]["content"]
    text: str = content if isinstance(content, str) else content[0]["text"]
    return msgspec.json.decode(text, type=Order)


def usage_of(order: Order) -> dict[str, Any]:
    return behaviours.openai_usage(order.tokens_in + order.cached, order.tokens_out, cached=order.cached)


def frames_of(order: Order) -> list[bytes]:
    """The events of a streamed answer."""
    first, *rest = behaviours.openai_frames(*[_WORD] * order.pieces, tokens=None)
    usage = behaviours.openai_chunk(None, usage=usage_of(order))
    return [first, *rest[:-1], usage, rest[-1]]


async def _answer(conversation: Conversation, order: Order) -> None:
    if order.stream:
        await conversation.head(200, [*EVENTS, ("transfer-encoding", "chunked")])
        for frame in frames_of(order):
            await conversation.chunk(frame)
        await conversation.end()
        return
    await conversation.answer(200, JSON, compact({**behaviours.completion(_WORD), "usage": usage_of(order)}))
