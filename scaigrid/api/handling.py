"""What every control-plane handler starts from: its methods, the request's exchange, its services."""

from typing import Any, TypeVar, cast

from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import SkipValidation

from scaigrid.asgi import Scope
from scaigrid.exchange import Exchange, exchange_of

T = TypeVar("T")

Connection = ASGIConnection[Any, Any, Any, Any]
Provided = NamedDependency[SkipValidation[T]]
"""A service that `scaigrid.api.routes` was given, by the name of the parameter."""

READ = (HttpMethod.GET, HttpMethod.HEAD)
"""What can be read answers HEAD too (RFC 9110, section 9.1); the server leaves the body out."""


def exchange_in(connection: Connection) -> Exchange:
    """The exchange of a request, which the edge links have opened around the application."""
    exchange = exchange_of(cast(Scope, connection.scope))
    if exchange is None:
        raise RuntimeError("the control plane stands inside the edge links, which open the exchange")
    return exchange
