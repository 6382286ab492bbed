"""The way to the one node of a cluster that has our keys, which have one hash tag and so are in one slot.

Slots and redirections: https://valkey.io/topics/cluster-spec/. A node that has given the slot away answers MOVED, one
that is about to answers ASK or TRYAGAIN: each ends the connection (`wire.py`), and the next one is found as the first
was. ASK is not followed: while a slot moves key by key, its counters are in two places, and nothing may be given out.
"""

import asyncio
import ssl
from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from scaigrid.stores.address import Address, Cluster
from scaigrid.stores.wire import Away, Refused, Wire, connect

SLOTS: Final = 16_384


def slot_of(tag: str) -> int:
    """In which slot the keys with a hash tag are: CRC16 (XMODEM) of it, modulo the number of slots."""
    return crc_hqx(tag.encode(), 0) % SLOTS


class _View(NamedTuple):
    """What one node says."""

    owner: Address | None
    """Who has the slot; None for that node itself."""
    nodes: Sequence[Address]
    """All that it knows, the owner's replicas first: one of them is the next owner."""


class ByCluster:
    """Asks one node after the other, beginning with those that had the slot last, until one says that it has it."""

    def __init__(self, place: Cluster, patience: float, tls: ssl.SSLContext | None, tag: str) -> None:
        self._seeds = place.nodes
        self._patience = patience
        self._tls = tls
        self._slot = slot_of(tag)
        self._known: Sequence[Address] = ()

    async def connect(self) -> Wire:
        """A wire to the node that has the slot. Raises Away, with what is the matter with each."""
        reasons: dict[tuple[str, int], str] = {}
        ask = [*self._known, *self._seeds]
        while ask:
            node = ask.pop(0)
            if (node.host, node.port) in reasons:
                continue
            try:
                wire = await connect(node, self._patience, self._tls)
            except (Away, Refused) as error:
                reasons[node.host, node.port] = str(error)
                continue
            view = _View(None, ())
            try:
                view = await self._view(wire, node)
                self._known = view.nodes
                if view.owner is None:
                    return wire
                reasons[node.host, node.port] = f"it says that {view.owner} has slot {self._slot}"
                ask.insert(0, view.owner)
            except (Away, Refused) as error:
                reasons[node.host, node.port] = str(error)
            except BaseException:
                wire.close("it was not to be used")
                raise
            wire.close("another one has our keys")
        raise Away("; ".join(f"{host}:{port}: {reason}" for (host, port), reason in reasons.items()))

    async def _view(self, wire: Wire, node: Address) -> _View:
        me, ranges = cast(
            "tuple[bytes, list[list[Any]]]",
            await asyncio.gather(wire.call("CLUSTER", "MYID"), wire.call("CLUSTER", "SLOTS")),
        )
        ours = [nodes for first, last, *nodes in ranges if first <= self._slot <= last]
        if not ours:
            raise Away(f"it knows no node that has slot {self._slot}")
        others = [each for _, _, *nodes in ranges for each in nodes if nodes is not ours[0]]
        (host, port, owner, *_), *replicas = ours[0]
        return _View(
            None if owner == me else node.at(_host(host, node), port),
            [node.at(_host(host, node), port) for host, port, *_ in (ours[0][0], *replicas, *others)],
        )


def _host(said: bytes | None, node: Address) -> str:
    """A node that does not know how it is called is where we have reached it."""
    return said.decode() if said and said != b"?" else node.host
