"""A call in a provider's words; where its model allows it, without the fields that the provider has no word for.

Nothing is ever dropped in silence: what is left out is noted on the call's `Outgoing`, and the answer names it in a
header. And nothing is dropped that is part of the question: only fields that shape an answer, and top-level fields of
the caller's dialect that nobody but a provider of that dialect understands. A hint, which changes no answer at all, is
left out for every model: agents send one with each call, and cannot be told not to.
"""

import re
from typing import Final

from scaigrid.adapter import DROPPABLE, Adapter, Outgoing, Target, UpstreamRequest
from scaigrid.call import Call
from scaigrid.config.snapshot import Backend, Model
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange

HEADER: Final = b"x-scaigrid-dropped"
"""Names what was left out, separated by commas."""
_MOST: Final = 32
"""Fields that one header names."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Of a field that a header can name."""
_QUESTION: Final = frozenset({"background", "conversation", "input", "previous_response_id", "prompt", "tool_choice"})
"""Top-level fields that nobody but a provider of their dialect understands, and that are part of the question."""
_INNER: Final = frozenset({"output_config.effort", "text.verbosity"})
"""Fields below the top level that nobody but a provider of their dialect understands, and that only shape an answer."""
_HINTS: Final = frozenset({"output_config.effort", "user"})
"""Fields without which the answer is what was asked for: who asks is for the provider's search for abuse, and an effort
beside a budget for thinking says again, to Anthropic alone, how much is wanted."""


def asked_of(exchange: Exchange, call: Call, model: Model, backend: Backend) -> tuple[UpstreamRequest, frozenset[str]]:
    """What a backend of a model is asked, and what is left out of it. Raises as `encoded` does."""
    adapter, bound = backend.adapter, exchange.output_bound
    if bound is None and call.max_output is None and adapter.needs_max_output:
        bound = model.max_output_tokens
    outgoing = Outgoing(
        max_output=bound,
        defaults=model.defaults,
        system_prompt=model.system_prompt,
        held=None if exchange.held is None else exchange.held.own,
    )
    return encoded(adapter, call, backend.target, outgoing, drops=model.drops_unsupported), outgoing.dropped


def encoded(adapter: Adapter, call: Call, target: Target, outgoing: Outgoing, *, drops: bool) -> UpstreamRequest:
    """What `adapter` makes of `call`.

    Hints that it has no word for go into `outgoing.dropped`; with `drops`, all that only shapes the answer does.
    Raises what the adapter raises: UNSUPPORTED_BY_MODEL where a field may not be left out.
    """
    while True:
        try:
            return adapter.encode(call, target, outgoing)
        except GatewayError as error:
            if error.code is not Code.UNSUPPORTED_BY_MODEL:
                raise
            named = frozenset([_droppable(detail, call) for detail in error.details])
            if hints := named & _HINTS - outgoing.dropped:
                outgoing.dropped |= hints
                continue
            if not drops:
                raise
            if not named or "" in named or named <= outgoing.dropped or len(named | outgoing.dropped) > _MOST:
                raise
            outgoing.dropped |= named


def _droppable(detail: Detail, call: Call) -> str:
    """The field to leave out; empty where it has to stay."""
    field = detail.field
    if field.partition(".")[0] in DROPPABLE:
        return field.partition(".")[0]
    if field in _QUESTION or not (field in _INNER or _NAME.fullmatch(field)):
        return ""
    return field if field in call.canonical().unknown else ""
