"""Finding the node of a cluster that has our slot: by what nodes say, right or wrong. The real thing: end_to_end."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from scaigrid.stores.address import Cluster, read_address
from scaigrid.stores.cluster import SLOTS, ByCluster, slot_of
from scaigrid.stores.wire import Away
from tests.harness.ports import LOOPBACK, refusing_port
from tests.harness.valkey import shared
from tests.scaigrid.stores.spoken import Scripted, array, bulk, number, scripted

pytestmark = pytest.mark.anyio

TAG = "scaigrid"


def way(*hosts: str) -> ByCluster:
    place = read_address(f"valkey+cluster://{','.join(hosts)}")
    assert isinstance(place, Cluster)
    return ByCluster(place, 5.0, None, TAG)


def says(me: Scripted, owners: Sequence[tuple[int, int, Sequence[Scripted | int]]], host: bytes | None = None) -> None:
    """Of slots, who has them, and its replicas behind it; `host` is how nodes are called."""
    named = bulk(LOOPBACK) if host is None else host
    ranges = [
        array(number(first), number(last), *(array(named, number(port(one)), bulk(f"id-{port(one)}")) for one in nodes))
        for first, last, nodes in owners
    ]
    me.script.update({"CLUSTER MYID": bulk(f"id-{me.port}"), "CLUSTER SLOTS": array(*ranges), "PING": b"+PONG\r\n"})


def port(node: Scripted | int) -> int:
    return node if isinstance(node, int) else node.port


def test_slots_are_counted_as_the_specification_does() -> None:
    """Its example; a real cluster says the same of our tag in `end_to_end/test_cluster.py`."""
    assert slot_of("123456789") == 0x31C3


async def test_the_node_that_has_the_slot_is_found_and_asked_first_from_then_on() -> None:
    async with AsyncExitStack() as running:
        seed, owner, replica = [await running.enter_async_context(scripted()) for _ in range(3)]
        owners = [(0, 7165, [seed]), (7166, SLOTS - 1, [owner, replica])]
        for node in (seed, owner, replica):
            says(node, owners)
        found = way(seed.host)
        wire = await found.connect()
        assert wire.server == owner.host
        assert await wire.call("PING") == b"PONG"
        wire.close("enough")
        wire = await found.connect()
        wire.close("enough")
        assert len(seed.asked) == 2, "once: who it is, and who has which slots"
        # The replica takes over, and the only node that was named is gone with the owner
        seed.script.clear()
        owner.script.clear()
        says(replica, [(0, SLOTS - 1, [replica])])
        wire = await found.connect()
        assert wire.server == replica.host
        wire.close("enough")


async def test_a_node_whose_view_is_old_does_not_keep_us_from_the_right_one() -> None:
    """One names another, which names it in turn: each is asked once, and then whoever else there is."""
    async with AsyncExitStack() as running:
        first, second, right = [await running.enter_async_context(scripted()) for _ in range(3)]
        says(first, [(0, SLOTS - 1, [second])])
        says(second, [(0, SLOTS - 1, [first])])
        says(right, [(0, SLOTS - 1, [right])])
        wire = await way(first.host, right.host).connect()
        assert wire.server == right.host
        wire.close("enough")
        assert (len(first.asked), len(second.asked)) == (2, 2)


@pytest.mark.parametrize("host", [b"$-1\r\n", bulk(""), bulk("?")], ids=["null", "empty", "unknown"])
async def test_a_node_that_does_not_know_its_own_name_is_where_it_was_reached(host: bytes) -> None:
    async with scripted() as seed, scripted() as owner:
        for node in (seed, owner):
            says(node, [(0, SLOTS - 1, [owner])], host)
        wire = await way(seed.host).connect()
        assert wire.server == owner.host
        wire.close("enough")


async def test_where_no_node_helps_it_is_said_of_each_why() -> None:
    async with scripted() as empty, scripted() as lost:
        says(empty, [(0, 1, [empty])])
        with refusing_port() as gone:
            says(lost, [(0, SLOTS - 1, [gone])])
            with pytest.raises(Away) as caught:
                await way(empty.host, lost.host).connect()
        said = str(caught.value).split("; ")
        assert said[0] == f"{empty.host}: it knows no node that has slot 7166"
        assert said[1] == f"{lost.host}: it says that {LOOPBACK}:{gone} has slot 7166"
        assert said[2].startswith(f"{LOOPBACK}:{gone}: Connect")


async def test_a_server_that_is_in_no_cluster_says_so() -> None:
    with pytest.raises(Away, match="cluster support disabled"):
        await way(f"{LOOPBACK}:{shared().port}").connect()
