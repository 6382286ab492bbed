"""Prices against what backends charge, class by class."""

from decimal import Decimal
from typing import Any

import pytest

from scaigrid.api.cheapness import too_cheap, too_dear
from scaigrid.config import entities, terms
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from tests.scaigrid.api.control_plane import config

INPUT = {"input", "cached_input", "cache_write", "input_audio", "input_image"}
OUTPUT = {"output", "output_audio", "output_image"}


def cost(**amounts: str) -> dict[str, Any]:
    return {name: Decimal(amount) for name, amount in amounts.items()}


def tier(above: int, **amounts: str) -> terms.PriceTier:
    return terms.PriceTier(above=above, **cost(**amounts))


STATE = State.of(
    resources_of(
        config(
            backends={
                "one": entities.Backend(provider="sim", model="m", cost=terms.Cost(**cost(input="1", output="2"))),
                "two": entities.Backend(
                    provider="sim", model="m", cost=terms.Cost(**cost(input="0.5", output="3", cache_write_1h="4"))
                ),
                "long": entities.Backend(
                    provider="sim",
                    model="m",
                    cost=terms.Cost(
                        **cost(input="1", output="2"), tiers=(tier(100, input="2"), tier(200, input="2", output="3"))
                    ),
                ),
                "pieces": entities.Backend(
                    provider="sim", model="m", cost=terms.Cost(**cost(image="0.04", second="0.0001", request="0.002"))
                ),
            },
        )
    )
)


def target(name: str) -> docs.Target:
    return docs.Target(backend_id=next(one.id for one in STATE.all("backend").values() if one.name == name))


def route(*names: str) -> docs.Route:
    return docs.Route(name="r", model_id="m", targets=tuple(target(name) for name in names))


def priced(*tiers: terms.PriceTier, **amounts: str) -> docs.Model:
    return docs.Model(name="m", prices=terms.Prices(**cost(**amounts), tiers=tiers))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (priced(input="1", output="3", cache_write_1h="4"), set[str]()),
        (priced(input="1", output="3"), {"cache_write_1h"}),
        (priced(input="1", output="2.999999999", cache_write_1h="4"), OUTPUT),
        (priced(input="1", output="3", cache_write_1h="4", output_audio="2.999999999"), {"output_audio"}),
        (priced(input="0.999999999", output="3", cache_write_1h="4"), INPUT),
        (docs.Model(name="m", unpriced="free"), {*INPUT, *OUTPUT, "cache_write_1h"}),
        (docs.Model(name="m", unpriced="refuse"), set[str]()),
    ],
    ids=range(7),
)
def test_a_price_is_held_against_the_dearest_backend(model: docs.Model, fields: set[str]) -> None:
    assert {fault.field for fault in too_cheap(model, route("one", "two"), STATE)} == {f"prices.{f}" for f in fields}


@pytest.mark.parametrize(
    ("model", "faults"),
    [
        (priced(tier(100, input="2"), tier(200, input="2", output="3"), input="1", output="2"), {}),
        # Dear enough from the start, and cheaper only where the backend has not become dearer yet
        (priced(tier(100, output="2"), tier(150, output="3"), input="2", output="3"), {}),
        # The backend's tiers are not the model's
        (
            priced(input="1", output="2"),
            {
                **dict.fromkeys((*INPUT, "cache_write_1h"), " for more than 100 tokens of input"),
                **dict.fromkeys(OUTPUT, " for more than 200 tokens of input"),
            },
        ),
        # Its own tier is where it is too cheap
        (
            priced(tier(150, output="1.5", output_audio="3", output_image="3"), input="2", output="3"),
            {"tiers[0].output": " for more than 150 tokens of input"},
        ),
        (
            priced(tier(50, output="3"), tier(300, cached_input="1.9"), input="2", output="3"),
            {"tiers[1].cached_input": " for more than 300 tokens of input"},
        ),
    ],
    ids=range(5),
)
def test_prices_are_held_against_the_cost_of_every_size_of_a_request(model: docs.Model, faults: dict[str, str]) -> None:
    found = {fault.field: fault.message for fault in too_cheap(model, route("long"), STATE)}
    reason = "is below what a backend of the model's route charges"
    assert found == {f"prices.{field}": reason + size for field, size in faults.items()}


def test_what_is_charged_by_the_piece_is_held_against_its_price_too() -> None:
    found = {fault.field for fault in too_cheap(priced(image="0.04", request="0.001"), route("pieces"), STATE)}
    assert found == {"prices.second", "prices.request"}
    assert list(too_cheap(priced(image="1", second="1", request="1"), route("pieces"), STATE)) == []


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
