"""A real cluster on loopback: three primaries that share the slots, and a replica of the one that has ours."""

from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import libvalkey

from scaigrid.stores.cluster import SLOTS, slot_of
from tests.harness.eventually import eventually
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.valkey import Valkey

_NODE_TIMEOUT: Final = 1000
"""Milliseconds of silence after which a node is held for gone; a deployment has 15,000."""


def _node() -> Valkey:
    return Valkey(
        cluster_enabled="yes",
        cluster_port=str(free_port()),
        cluster_node_timeout=str(_NODE_TIMEOUT),
        cluster_require_full_coverage="no",
        repl_diskless_sync_delay="0",
    )


class ClusterOfFour:
    """As a context it is started; `owner` has the slot of `tag`, `replica` follows it, `others` have the rest."""

    def __init__(self, tag: str) -> None:
        self.slot = slot_of(tag)
        primaries = [_node() for _ in range(3)]
        third = SLOTS // 3 + 1
        self._ranges = [(first, min(first + third, SLOTS) - 1) for first in range(0, SLOTS, third)]
        self._primaries = primaries
        self.owner = primaries[self.slot // third]
        self.others = [node for node in primaries if node is not self.owner]
        self.replica = _node()
        self._running = ExitStack()

    @property
    def nodes(self) -> list[Valkey]:
        return [*self._primaries, self.replica]

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for node in self.nodes:
                running.enter_context(node)
            for epoch, (node, (first, last)) in enumerate(zip(self._primaries, self._ranges, strict=True), 1):
                node.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
                node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for node in self.nodes[1:]:
                bus = node.command("CONFIG", "GET", "cluster-port")[1].decode()
                self.nodes[0].command("CLUSTER", "MEET", LOOPBACK, node.port, bus)
            eventually(lambda: all(_knows(node, 4) for node in self.nodes), "the nodes know each other")
            eventually(lambda: _follows(self.replica, node_id(self.owner)), "the replica follows")
            eventually(lambda: b"master_link_status:up" in self.replica.command("INFO", "replication"), "it is there")
            eventually(lambda: all(_knows_replica(node, self.slot) for node in self.nodes), "and all know of it")
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """It names the nodes that do not have the slot: the one that has it is to be found."""
        return "valkey+cluster://" + ",".join(f"{LOOPBACK}:{node.port}" for node in self.others)

    def has(self, node: Valkey) -> bool:
        """Whether that node holds itself for the owner of the slot."""
        return _owner(node, self.slot)[2].decode() == node_id(node)

    def give(self, giver: Valkey, node: Valkey) -> None:
        """The present owner gives the slot to another primary, in one step (Valkey 9)."""
        giver.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", self.slot, self.slot, "NODE", node_id(node))
        eventually(lambda: self.has(node), "the slot has moved")


def node_id(node: Valkey) -> str:
    found: bytes = node.command("CLUSTER", "MYID")
    return found.decode()


def _knows(node: Valkey, nodes: int) -> bool:
    told = node.command("CLUSTER", "INFO")
    handshakes = b"handshake" in node.command("CLUSTER", "NODES")
    return b"cluster_state:ok" in told and f"cluster_known_nodes:{nodes}".encode() in told and not handshakes


def _follows(node: Valkey, primary: str) -> bool:
    try:
        node.command("CLUSTER", "REPLICATE", primary)
    except libvalkey.ReplyError:
        return False
    return True


def _owner(node: Valkey, slot: int) -> list[bytes]:
    (owner,) = [nodes[0] for first, last, *nodes in node.command("CLUSTER", "SLOTS") if first <= slot <= last]
    found: list[bytes] = owner
    return found


def _knows_replica(node: Valkey, slot: int) -> bool:
    return any(len(nodes) == 2 for first, last, *nodes in node.command("CLUSTER", "SLOTS") if first <= slot <= last)
