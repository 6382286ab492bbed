"""Who calls a control-plane route, and whether they may."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, exchange_of

Connection = ASGIConnection[Any, Any, Any, Any]


def exchange_in(connection: Connection) -> Exchange:
    """The exchange of a request, which the edge links have opened around the application."""
    exchange = exchange_of(connection.scope)
    if exchange is None:
        raise RuntimeError("the control plane stands inside the edge links, which open the exchange")
    return exchange


def requires(permission: str) -> Guard:
    """A guard that raises AUTHZ_PERMISSION_DENIED for callers without `permission`."""

    def permitted(connection: Connection, _handler: BaseRouteHandler) -> None:
        if permission not in exchange_in(connection).principal.permissions:
            raise GatewayError(
                Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not include the permission {permission}."
            )

    return permitted
