"""Every price that was in force is known by its version, from when on it was."""

from typing import Any

import msgspec
from sqlalchemy import delete

from scaigrid.control.price_history import Priced, prices_of, versions
from scaigrid.db.models import price_history
from scaigrid.pricing import FREE
from tests.harness.deployment import Deployment, deployment

PROVIDERS = {"p": {"type": "simulator"}}


def sections(price: object, cost: object = 1, **model: Any) -> dict[str, Any]:
    return {
        "providers": PROVIDERS,
        "backends": {"b": {"provider": "p", "model": "m", "cost": {"input": cost}}},
        "models": {"m": {"route": None, **(model or {"prices": {"input": price}})}},
    }


async def known(plane: Deployment) -> list[Priced]:
    async with plane.engine.connect() as connection:
        return list(await versions(connection))


async def test_a_price_is_noted_with_the_change_that_puts_it_in_force(database_url: str) -> None:
    async with deployment(database_url) as plane:
        began = plane.clock.now()
        await plane.apply(**sections(2))
        plane.clock.advance(60)
        await plane.apply(**sections(3))
        found = await known(plane)
    assert [(one.kind, one.name, one.prices.input, one.since - began) for one in found if one.kind == "model"] == [
        ("model", "m", 3_000_000_000, 60.0),
        ("model", "m", 2_000_000_000, 0.0),
    ]
    assert [(one.name, one.prices.input) for one in found if one.kind == "backend"] == [("b", 1_000_000_000)]


async def test_a_change_of_something_else_notes_nothing(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        await plane.apply(**sections(2, prices={"input": 2}, description="another word"))
        assert len(await known(plane)) == 2


async def test_a_price_that_returns_is_noted_again(database_url: str) -> None:
    async with deployment(database_url) as plane:
        for price in (2, 3, 2):
            plane.clock.advance(1)
            await plane.apply(**sections(price))
        async with plane.engine.connect() as connection:
            found = await versions(connection, kind="model")
    assert [one.prices.input // 10**9 for one in found] == [2, 3, 2]
    assert found[0].prices.version == found[2].prices.version


async def test_what_was_in_force_before_anybody_noted_it_is_noted_at_its_change(database_url: str) -> None:
    async with deployment(database_url) as plane:
        began = plane.clock.now()
        await plane.apply(**sections(2))
        async with plane.engine.begin() as connection:
            await connection.execute(delete(price_history))
        plane.clock.advance(60)
        await plane.apply(**sections(3))
        found = [one for one in await known(plane) if one.kind == "model"]
    assert [(one.prices.input // 10**9, one.since - began) for one in found] == [(3, 60.0), (2, 0.0)]


async def test_a_change_that_is_undone_notes_nothing(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        (model,) = (await plane.load()).all("model").values()
        try:
            async with plane.store.change(None) as change:
                change.put(msgspec.structs.replace(model, document=msgspec.structs.replace(model.document, name="n")))
                raise ValueError
        except ValueError:
            pass
        assert len(await known(plane)) == 2


async def test_a_free_model_has_a_price_and_a_refused_one_has_none(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(0, unpriced="refuse"))
        assert [one.kind for one in await known(plane)] == ["backend"]
        await plane.apply(**sections(0, unpriced="free"))
        (found,) = [one for one in await known(plane) if one.kind == "model"]
        state = await plane.load()
    assert found.prices == FREE
    assert [prices_of(one) for one in state.all("provider").values()] == [None]
