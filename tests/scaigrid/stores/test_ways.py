"""Each kind of place has its way, with the certificates of the system where there is TLS."""

import ssl
from typing import Any

import pytest

from scaigrid.stores.address import read_address
from scaigrid.stores.cluster import ByCluster
from scaigrid.stores.sentinel import BySentinel
from scaigrid.stores.ways import Straight, way_to

KINDS = {
    "valkey://host": Straight,
    "unix:///path": Straight,
    "valkey+sentinel://host/name": BySentinel,
    "valkey+cluster://host": ByCluster,
    "valkeys://host": Straight,
    "valkeys+sentinel://host/name": BySentinel,
    "valkeys+cluster://host": ByCluster,
}


@pytest.mark.parametrize("url", KINDS)
def test_the_way_is_that_of_the_place(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    made: list[str] = []

    def context() -> Any:
        made.append(url)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr("scaigrid.stores.ways.ssl.create_default_context", context)
    way = way_to(read_address(url), 1.0, "scaigrid")
    assert type(way) is KINDS[url]
    assert made == ([url] if url.startswith("valkeys") else [])
