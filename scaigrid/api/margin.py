"""What partners and tenants may not do with prices of their own: answer for less than the backends charge.

Hard budgets are kept in prices. Were a tenant free to call its own model free, the budget that it is held to would
bound nothing of what the operator pays.
"""

from collections.abc import Iterable, Iterator

from scaigrid.control import documents as docs
from scaigrid.control.compile import price_list
from scaigrid.control.state import State
from scaigrid.errors import Detail
from scaigrid.pricing import FREE, PriceList

_WORDS = {
    "input": "input",
    "cache_read": "cached_input",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "output": "output",
}


def too_cheap(model: docs.Model, route: docs.Route, state: State) -> Iterator[Detail]:
    """The prices of a model that are below what a backend of its route charges."""
    price = _price(model)
    if price is None:
        return
    costs = [price_list(state.document(docs.Backend, target.backend_id).cost) for target in route.targets]
    for field, word in _WORDS.items():
        if any(getattr(price, field) < getattr(cost, field) for cost in costs):
            yield Detail(f"prices.{word}", "is below what a backend of the model's route charges")


def too_dear(model: docs.Model, targets: Iterable[tuple[int, docs.Target]], state: State) -> Iterator[Detail]:
    """Targets, each with its place in the route, that charge more than the model's prices."""
    price = _price(model)
    if price is None:
        return
    for place, target in targets:
        cost = price_list(state.document(docs.Backend, target.backend_id).cost)
        if any(getattr(price, field) < getattr(cost, field) for field in _WORDS):
            yield Detail(f"targets[{place}].backend_id", "charges more than the model's prices")


def _price(model: docs.Model) -> PriceList | None:
    """None where no call is answered."""
    if model.unpriced == "refuse":
        return None
    return price_list(model.prices) if model.prices else FREE
