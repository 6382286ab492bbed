"""What an older key has encrypted is encrypted anew; what the first one has is left as it is."""

import pytest
from sqlalchemy import select

from scaigrid.control import documents as docs
from scaigrid.control.codec import Codec
from scaigrid.control.resealing import reseal
from scaigrid.control.vault import CannotOpen, Vault
from scaigrid.db.models import applied, resources
from scaigrid.secrets import Secret
from tests.harness.deployment import Deployment, deployment, made

OLD, NEW = Secret("o" * 32), Secret("n" * 32)


async def filled(plane: Deployment) -> None:
    await plane.apply(users={"ann": {}}, providers={"up": {"type": "openai", "api_key": "pk-one"}})
    await plane.put(made(docs.Backend(name="b", provider_id="prov_1", model="m", api_key=Secret("pk-two")), "backend"))


async def texts(plane: Deployment) -> dict[str, str]:
    async with plane.engine.connect() as connection:
        rows = (await connection.execute(select(resources.c.id, resources.c.document))).all()
        kept = (await connection.execute(select(applied.c.seq, applied.c.resources))).all()
    return {str(key): text for key, text in [*rows, *kept]}


async def test_only_what_needs_it_is_written(database_url: str) -> None:
    async with deployment(database_url, Vault([OLD])) as plane:
        await filled(plane)
        before = await texts(plane)
        both = Vault([NEW, OLD])
        async with plane.engine.begin() as connection:
            assert await reseal(connection, both, Codec(both)) == 3
        after = await texts(plane)
        assert {key for key in before if before[key] != after[key]} == {
            key for key, text in before.items() if "api_key" in text
        }
        async with plane.engine.begin() as connection:
            assert await reseal(connection, both, Codec(both)) == 0
        assert await texts(plane) == after


async def test_with_one_key_nothing_is_looked_at(database_url: str) -> None:
    async with deployment(database_url, Vault([OLD])) as plane:
        await filled(plane)
        one = Vault([NEW])
        async with plane.engine.begin() as connection:
            assert await reseal(connection, one, Codec(one)) == 0


async def test_what_no_key_opens_stops_it(database_url: str) -> None:
    async with deployment(database_url, Vault([Secret("x" * 32)])) as plane:
        await filled(plane)
        both = Vault([NEW, OLD])
        async with plane.engine.connect() as connection:
            with pytest.raises(CannotOpen):
                await reseal(connection, both, Codec(both))
