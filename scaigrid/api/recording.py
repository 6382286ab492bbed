"""What the audit log is told of a request of the control plane: what is tried, and on whose resource.

A change is recorded before it is committed, so that what cannot be recorded does not happen. Where the commit then
fails, a second row of the same request says so.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from litestar.handlers import BaseRouteHandler

from scaigrid.api.handling import Connection, exchange_in
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.store import Change
from scaigrid.exchange import Audited, Exchange, Owners

_json = msgspec.json.Encoder().encode


class Trying:
    """A Litestar guard that refuses nobody. Ahead of a Requirement, it has a refusal recorded by what was tried."""

    def __init__(self, resource_type: str, verb: str, parameter: str = "id_") -> None:
        """`parameter`: the one of the path that has the resource's id."""
        self.resource_type = resource_type
        self.action = f"{resource_type}.{verb}"
        self._parameter = parameter

    def __call__(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        given: Any = connection.path_params.get(self._parameter)
        exchange_in(connection).audited = Audited(
            action=self.action,
            resource_type=self.resource_type,
            # What stands for the rest of a path begins with its slash.
            resource_id=None if given is None else str(given).removeprefix("/"),
        )


@asynccontextmanager
async def changing(exchange: Exchange, control: Control, status: int = 200) -> AsyncGenerator[Change]:
    """`control.change()`, recorded before it is committed; `status` is what will be answered.

    Raises GatewayError(STORE_UNAVAILABLE), with nothing changed, where it cannot be recorded.
    """
    async with control.change() as change:
        if exchange.keep is not None:
            change.before_commit(partial(exchange.keep, status))
        yield change


def noted(
    exchange: Exchange, resource_type: str, verb: str, resource_id: str | None, *, before: Any = None, after: Any = None
) -> None:
    """Notes what was done to which resource. No credential is in `before` and `after`, which are kept as JSON."""
    exchange.audited = Audited(
        action=f"{resource_type}.{verb}",
        resource_type=resource_type,
        resource_id=resource_id,
        before=None if before is None else msgspec.Raw(_json(before)),
        after=None if after is None else msgspec.Raw(_json(after)),
    )


def concerns(exchange: Exchange, state: State, resource: Resource) -> None:
    """Notes whose resource it is that the request is about: they see its row, whoever made the request."""
    exchange.owners = Owners(state.tenant_of(resource), state.partner_of(resource))
