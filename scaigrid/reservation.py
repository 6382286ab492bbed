"""The most that a call can use, and cost: what limits on tokens and budgets take ahead of it.

It is what the provider can bill while it keeps to the bounds that it is sent. Input: a token is at least one byte of
the body, and a chat has never more than the context window. Output: the caller's bound or the model's, which is
therefore sent along. Images, sound and files have no bound in their bytes, so they count as a full context window; so
does what a provider adds by itself, such as a conversation that it keeps.
"""

import re

from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, Reserved
from scaigrid.types import FREE, Rerank

_MEDIA = re.compile(rb'"(?:image|image_url|input_image|audio|input_audio|file|input_file|document)"')
_ADDED_BY_PROVIDERS = 1024
"""Tokens that providers add for tools and formats (Anthropic documents up to 804 for its tool prompt)."""
_NOTHING = Reserved(0, 0)


def reserve(exchange: Exchange, call: Call, model: Model) -> Reserved:
    """What the call can use at the most; worked out once, whoever asks.

    From then on the exchange has an output bound, which the provider is sent. Raises UNSUPPORTED_BY_MODEL where
    nothing bounds the call.
    """
    known = exchange.reserved
    if known is not None:
        return known
    exchange.output_bound = bound = output_bound(call, model, bounded=True)
    if call.operation in FREE:
        reserved = _NOTHING
    else:
        tokens_in = _input_bound(call, model)
        tokens_out = (bound or 0) * call.n if call.operation == "chat" else 0
        cost = model.price.worst(tokens_in, tokens_out) if model.price is not None else 0
        reserved = Reserved(tokens_in + tokens_out, cost)
    exchange.reserved = reserved
    return reserved


def output_bound(call: Call, model: Model, *, bounded: bool) -> int | None:
    """The caller's bound cut down to the model's; the model's own where the call must have one; else none is sent."""
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
