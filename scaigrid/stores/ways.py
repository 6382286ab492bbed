"""How a connection to the right server is found: one line for each kind of place that a URL can name."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

from scaigrid.stores.address import Address, Cluster, Place, Sentinels
from scaigrid.stores.cluster import ByCluster
from scaigrid.stores.sentinel import BySentinel
from scaigrid.stores.wire import Wire, connect


class Way(Protocol):
    """Remembers from one connection to the next whom it does well to ask first."""

    async def connect(self) -> Wire:
        """A wire to the server that counts now. Raises Away or Refused."""
        ...


class Straight:
    """To the one server that there is."""

    def __init__(self, address: Address, patience: float, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._patience = patience
        self._tls = tls

    async def connect(self) -> Wire:
        return await connect(self._address, self._patience, self._tls)


_WAYS: Final[Mapping[type, Callable[[Any, float, ssl.SSLContext | None, str], Way]]] = {
    Address: lambda place, patience, tls, _: Straight(place, patience, tls),
    Sentinels: lambda place, patience, tls, _: BySentinel(place, patience, tls),
    Cluster: ByCluster,
}


def way_to(place: Place, patience: float, tag: str) -> Way:
    """`patience` is the timeout of the wire; `tag` the hash tag of all keys, by which a cluster knows its node.

    Reads the system's certificates from the disk where TLS needs them: to be called where no loop waits for that.
    """
    return _WAYS[type(place)](cast("Any", place), patience, ssl.create_default_context() if place.secure else None, tag)
