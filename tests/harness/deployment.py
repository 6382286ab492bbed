"""A control plane in a database of the test's own: files applied to it, and what the API would put into it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from adapters import ADAPTERS
from scaigrid.config import schema
from scaigrid.control import documents as docs
from scaigrid.control.apply import Applied, apply
from scaigrid.control.codec import Codec
from scaigrid.control.declared import resources_of
from scaigrid.control.kinds import KINDS
from scaigrid.control.plan import Plan, planned
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.store import ControlStore
from scaigrid.control.vault import Vault
from scaigrid.db.engine import create_engine
from scaigrid.ids import new_id
from scaigrid.secrets import Secret, decode_secret
from tests.harness.clock import StillClock

VAULT: Final = Vault([Secret("the key of a test, long enough for it")])


def configured(**sections: Any) -> schema.Config:
    """A configuration as the loader would make it of these sections, unjudged."""
    return msgspec.convert(sections, schema.Config, dec_hook=decode_secret)


def declared(**sections: Any) -> list[Resource]:
    """What a file with these sections declares."""
    return resources_of(configured(**sections))


def made(document: docs.Document, kind: str, clock: StillClock | None = None) -> Resource:
    """A resource as the API makes it."""
    return Resource(kind=kind, id=new_id(KINDS[kind].prefix, clock or StillClock()), origin="api", document=document)


def plan(state: State, **sections: Any) -> Plan:
    """What applying a file with these sections would do."""
    return planned(state, declared(**sections), VAULT, ADAPTERS).plan


class Deployment:
    """One database, asked through one store."""

    def __init__(self, url: str, vault: Vault = VAULT) -> None:
        self.clock = StillClock()
        self.vault = vault
        self.engine = create_engine(url)
        self.store = ControlStore(self.engine, Codec(vault), self.clock)

    async def apply(self, *, actor: str = "ann", source: str = "file.yaml", **sections: Any) -> Applied:
        return await self.apply_resources(declared(**sections), actor=actor, source=source)

    async def apply_resources(
        self, resources: Sequence[Resource], *, actor: str = "ann", source: str = "file.yaml"
    ) -> Applied:
        async with self.store.change(None) as change:
            return await apply(
                change, resources, self.vault, self.store.codec, adapters=ADAPTERS, source=source, actor=actor
            )

    async def put(self, *resources: Resource) -> None:
        """As the API does it."""
        async with self.store.change(None) as change:
            change.replace(resources, ())

    async def delete(self, *resources: Resource) -> None:
        async with self.store.change(None) as change:
            change.replace((), resources)

    async def load(self) -> State:
        return await self.store.load()


@asynccontextmanager
async def deployment(url: str, vault: Vault = VAULT) -> AsyncGenerator[Deployment]:
    """A deployment whose connections are closed in the end."""
    opened = Deployment(url, vault)
    try:
        yield opened
    finally:
        await opened.engine.dispose()
