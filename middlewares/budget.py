"""Keeps hard budgets: reserves the worst case of a call before it is sent, settles it to the real cost after.

The worst case is what the provider can bill while it keeps to the bounds that it is sent. Input: a token is at least
one byte of the body, and a chat has never more than the context window. Output: the caller's bound or the model's,
which is therefore sent along. Images, sound and files have no bound in their bytes, so they count as a full context
window; so does what a provider adds by itself, such as a conversation that it keeps.
"""

import re

from scaigrid.admission import admit, conclude
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.call import Call
from scaigrid.config.snapshot import Fund, Model
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.limiter import Take
from scaigrid.middleware import Services, begin
from scaigrid.types import FREE, Rerank

_MEDIA = re.compile(rb'"(?:image|image_url|input_image|audio|input_audio|file|input_file|document)"')
_ADDED_BY_PROVIDERS = 1024
"""Tokens that providers add for tools and formats (Anthropic documents up to 804 for its tool prompt)."""


class BudgetConfig(Strict):
    """Whether budgets are kept; the budgets themselves stand in the section `budgets`."""

    enabled: bool = True
    """Keep the declared budgets."""


class Budget:
    """The innermost of the two links that take: what both want is taken here, in one step (see `admission`)."""

    admits = True

    def __init__(self, app: ASGIApp, config: BudgetConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._enabled = config.enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services)
        if self._enabled:
            _reserve(exchange, self._services.clock.now())
        await admit(exchange, self._services)
        try:
            await self.app(scope, receive, send)
        finally:
            await conclude(exchange, self._services)


def _reserve(exchange: Exchange, now: float) -> None:
    call, model = exchange.call, exchange.model
    funds: tuple[Fund, ...] = exchange.principal.funds
    if call is None or model is None:
        exchange.takes.extend(Take(fund.at(now), 1) for fund in funds if fund.kind == "requests")
        return
    if model.funds:
        funds = (*funds, *model.funds)
    exchange.output_bound = _output_bound(call, model, bounded=any(fund.kind != "requests" for fund in funds))
    if not funds or call.operation in FREE:
        return
    tokens_in = _input_bound(call, model)
    tokens_out = (exchange.output_bound or 0) * call.n if call.operation == "chat" else 0
    amounts = {
        "requests": 1,
        "tokens": tokens_in + tokens_out,
        "cost": model.price.worst(tokens_in, tokens_out) if model.price is not None else 0,
    }
    exchange.takes.extend(Take(fund.at(now), amounts[fund.kind]) for fund in funds)


def _output_bound(call: Call, model: Model, *, bounded: bool) -> int | None:
    """The caller's bound cut down to the model's; the model's own where a budget needs one; else none is sent."""
    if call.operation != "chat":
        return None
    most, asked = model.max_output_tokens, call.max_output
    if asked is not None:
        return asked if most is None else min(asked, most)
    return most if bounded else None


def _input_bound(call: Call, model: Model) -> int:
    window = model.context_window
    if call.grows or _MEDIA.search(call.body):
        if window is None:
            what = "What the provider adds to a call" if call.grows else "Images, audio and files"
            raise GatewayError(
                Code.UNSUPPORTED_BY_MODEL,
                f"{what} cannot be held to a budget here: the model declares no context window.",
            )
        return window
    bound = len(call.body) + len((model.system_prompt or "").encode()) + _ADDED_BY_PROVIDERS
    # What the operator has put into every request is read by the provider too: tools, for example.
    bound += sum(len(name) + len(memoryview(value)) for name, value in model.defaults.items())
    if call.operation != "chat":
        # Here the window holds one text, or one document beside the query, of any number.
        return bound + _said_again(call)
    return bound if window is None else min(bound, window)


def _said_again(call: Call) -> int:
    """Bytes of a query beside each document but the first: that is how a reranker reads it."""
    asked = call.canonical() if call.operation == "rerank" else None
    return len(asked.query.encode()) * (len(asked.documents) - 1) if isinstance(asked, Rerank) else 0
