"""Prices against what backends charge, class by class."""

from decimal import Decimal
from typing import Any

import pytest

from scaigrid.api.margin import too_cheap, too_dear
from scaigrid.config import entities, terms
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from tests.scaigrid.api.control_plane import config

FIELDS = ("input", "output", "cached_input", "cache_write", "cache_write_1h")


def cost(**amounts: str) -> dict[str, Any]:
    return {name: Decimal(amount) for name, amount in amounts.items()}


STATE = State.of(
    resources_of(
        config(
            backends={
                "one": entities.Backend(provider="sim", model="m", cost=terms.Cost(**cost(input="1", output="2"))),
                "two": entities.Backend(
                    provider="sim", model="m", cost=terms.Cost(**cost(input="0.5", output="3", cache_write_1h="4"))
                ),
            },
        )
    )
)


def target(name: str) -> docs.Target:
    return docs.Target(backend_id=next(one.id for one in STATE.all("backend").values() if one.name == name))


def route(*names: str) -> docs.Route:
    return docs.Route(name="r", model_id="m", targets=tuple(target(name) for name in names))


def priced(**amounts: str) -> docs.Model:
    return docs.Model(name="m", prices=terms.Prices(**cost(**amounts)))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (priced(input="1", output="3", cache_write_1h="4"), set[str]()),
        (priced(input="1", output="3"), {"cache_write_1h"}),
        (priced(input="1", output="2.999999999", cache_write_1h="4"), {"output"}),
        (priced(input="0.999999999", output="3", cache_write_1h="4"), {"input", "cached_input", "cache_write"}),
        (docs.Model(name="m", unpriced="free"), set(FIELDS)),
        (docs.Model(name="m", unpriced="refuse"), set[str]()),
    ],
    ids=range(6),
)
def test_a_price_is_held_against_the_dearest_backend(model: docs.Model, fields: set[str]) -> None:
    assert {fault.field for fault in too_cheap(model, route("one", "two"), STATE)} == {f"prices.{f}" for f in fields}


def test_a_backend_is_held_against_the_prices_and_named_by_its_place() -> None:
    model = priced(input="1", output="2")
    targets = list(enumerate(route("one", "two").targets))
    assert [fault.field for fault in too_dear(model, targets, STATE)] == ["targets[1].backend_id"]
    assert [fault.field for fault in too_dear(model, targets[1:], STATE)] == ["targets[1].backend_id"]
    assert list(too_dear(model, targets[:1], STATE)) == []
    assert list(too_dear(docs.Model(name="m", unpriced="refuse"), targets, STATE)) == []


def test_what_charges_nothing_may_be_free() -> None:
    free = docs.Backend(name="f", provider_id="p", model="m")
    state = State.of(resources_of(config(backends={"one": entities.Backend(provider="sim", model="m")})))
    assert free.cost == terms.Cost()
    (id_,) = state.all("backend")
    model = docs.Model(name="m", unpriced="free")
    assert list(too_dear(model, [(0, docs.Target(backend_id=id_))], state)) == []
