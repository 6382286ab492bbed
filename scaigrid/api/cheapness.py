"""What partners and tenants may not do with prices of their own: answer for less than the backends charge.

Hard budgets are kept in prices. Were a tenant free to call its own model free, the budget that it is held to would
bound nothing of what the operator pays.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scaigrid.control import documents as docs
from scaigrid.control.prices import WORDS, price_list
from scaigrid.control.state import State
from scaigrid.errors import Detail
from scaigrid.pricing import FREE, PriceList


class _Gap(NamedTuple):
    """A price that is below a cost."""

    field: str
    """Of the prices: `input`, or `tiers[0].input`."""
    above: int
    """Tokens of input from which on it is."""


def too_cheap(model: docs.Model, route: docs.Route, state: State) -> Iterator[Detail]:
    """The prices of a model that are below what a backend of its route charges, each once."""
    price = _price(model)
    if price is None:
        return
    told: set[str] = set()
    for target in route.targets:
        for gap in _gaps(price, price_list(state.document(docs.Backend, target.backend_id).cost)):
            if gap.field not in told:
                told.add(gap.field)
                size = f" for more than {gap.above} tokens of input" if gap.above else ""
                yield Detail(f"prices.{gap.field}", f"is below what a backend of the model's route charges{size}")


def too_dear(model: docs.Model, targets: Iterable[tuple[int, docs.Target]], state: State) -> Iterator[Detail]:
    """Targets, each with its place in the route, that charge more than the model's prices."""
    price = _price(model)
    if price is None:
        return
    for place, target in targets:
        cost = price_list(state.document(docs.Backend, target.backend_id).cost)
        if any(True for _ in _gaps(price, cost)):
            yield Detail(f"targets[{place}].backend_id", "charges more than the model's prices")


def _gaps(price: PriceList, cost: PriceList) -> Iterator[_Gap]:
    """Where the price is below the cost, class by class: then some call would be charged less than it costs."""
    # Between two thresholds of either list nothing changes, so one size of a request stands for all between them.
    for above in sorted({0, *(tier.above for tier in (*price.tiers, *cost.tiers))}):
        charged, spent = price.at(above + 1), cost.at(above + 1)
        tiers = [place for place, tier in enumerate(price.tiers) if tier.prices is charged]
        within = f"tiers[{tiers[0]}]." if tiers else ""
        for name, word in WORDS.items():
            if getattr(charged, name) < getattr(spent, name):
                yield _Gap(within + word, above)


def _price(model: docs.Model) -> PriceList | None:
    """None where no call is answered."""
    if model.unpriced == "refuse":
        return None
    return price_list(model.prices) if model.prices else FREE
