"""Other models for what a model cannot answer: which one, and what limits and budgets are asked before it is.

Money stays exact, since a call that goes on with another model is a new call to whoever counts: what it took for its
own model is settled to what it used, which is nothing; then, in one step, everything is taken that the other one can
use at the most, at its price, of the caller's limits and budgets and of the model's own. Only the request itself is not
counted again. Where there is no room, the call ends with what its own model said. So at no moment is more reserved than
the dearer of the two may cost, a budget that has room for one answer has room for this one, and calls that need no
other model pay for none of it.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from scaigrid.admission import admit_again, conclude
from scaigrid.call import Call
from scaigrid.config.routing import Fallbacks
from scaigrid.config.snapshot import Model
from scaigrid.errors import Code
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services
from scaigrid.taking import take_budgets, take_limits
from scaigrid.types import FREE

MOST: Final = 3
"""So many other models one call is put to, each named by the one before it."""

_NAMED: Final[Mapping[Code, Callable[[Fallbacks], str | None]]] = {
    Code.CONTEXT_TOO_LONG: lambda fallbacks: fallbacks.context_too_long,
    Code.CONTENT_REFUSED: lambda fallbacks: fallbacks.content_refused,
}
REFUSALS: Final = frozenset(_NAMED)
"""What another model may answer."""


def stand_in(exchange: Exchange, call: Call, model: Model, refusal: Code, tried: Collection[str]) -> Model | None:
    """The model that `model` names for this refusal; None where there is none, or none that the call may be put to.

    `tried` are the slugs of those that it was put to already.
    """
    fallbacks = model.route.fallbacks
    slug = None if fallbacks is None else _NAMED[refusal](fallbacks)
    if slug is None or slug in tried or len(tried) > MOST:
        return None
    # What refers to something that a provider keeps can be answered there alone; the rest of FREE asks about a model.
    if call.held is not None or call.operation in FREE or not exchange.principal.may_use(slug):
        return None
    other = exchange.snapshot.models.get(slug)
    if other is None or other.modality is not model.modality:
        return None
    serves = other.status != "disabled" and other.price is not None and bool(other.route.tiers)
    return other if serves else None


async def change(exchange: Exchange, other: Model, services: Services) -> None:
    """Settles what the call took for one model, and takes what it can use of `other`.

    Raises RATE_LIMITED, BUDGET_EXCEEDED or STORE_UNAVAILABLE where that cannot be had, and UNSUPPORTED_BY_MODEL where
    nothing bounds it; nothing is taken then.
    """
    exchange.reserved = exchange.output_bound = None
    if exchange.lease is None:
        # Nobody counts here.
        return
    await conclude(exchange, services)
    exchange.takes = []
    if exchange.limited:
        take_limits(exchange, other)
    if exchange.budgeted:
        take_budgets(exchange, services.clock.now(), other)
    await admit_again(exchange, other, services)
