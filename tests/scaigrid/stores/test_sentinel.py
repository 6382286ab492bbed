"""Asking sentinels which server is the primary: real ones, and scripted ones that are wrong."""

from contextlib import AsyncExitStack

import pytest

from scaigrid.stores.address import Sentinels, read_address
from scaigrid.stores.sentinel import BySentinel
from scaigrid.stores.wire import Away
from tests.harness.ports import LOOPBACK, free_port, refusing_port
from tests.harness.sentinels import Watched
from tests.scaigrid.stores.spoken import Scripted, array, bulk, number, scripted

pytestmark = pytest.mark.anyio

PRIMARY = {"ROLE": array(bulk("master"), number(0), array())}
REPLICA = {"ROLE": array(bulk("slave"), bulk(LOOPBACK), number(1), bulk("connected"), number(0))}


def knows(server: Scripted) -> dict[str, bytes]:
    """What a sentinel says that holds that server for the primary."""
    return {"SENTINEL GET-MASTER-ADDR-BY-NAME COUNTERS": array(bulk(LOOPBACK), bulk(str(server.port)))}


def way(*hosts: str, who: str = "", query: str = "") -> BySentinel:
    place = read_address(f"valkey+sentinel://{who}{','.join(hosts)}/counters{query}")
    assert isinstance(place, Sentinels)
    return BySentinel(place, 5.0, None)


async def test_real_sentinels_name_the_primary_to_who_knows_both_passwords() -> None:
    """Of those that are asked, one is not there."""
    with refusing_port() as port, Watched(password="store", sentinel_password="watch") as watched:
        hosts = (f"{LOOPBACK}:{port}", watched.hosts)
        found = way(*hosts, who=":store@", query="?sentinel_password=watch")
        wire = await found.connect()
        assert wire.server == f"{LOOPBACK}:{watched.primary.port}"
        assert await wire.call("SET", "key", "value") == b"OK"
        wire.close("enough")
        with pytest.raises(Away, match="NOAUTH"):
            await way(*hosts, who=":store@").connect()
        with pytest.raises(Away, match="NOAUTH"):
            await way(*hosts, query="?sentinel_password=watch").connect()


async def test_a_sentinel_that_has_not_heard_of_the_change_is_not_believed() -> None:
    async with AsyncExitStack() as running:
        old, new = [await running.enter_async_context(scripted(script)) for script in (REPLICA, PRIMARY)]
        late, right = [await running.enter_async_context(scripted(knows(server))) for server in (old, new)]
        found = way(late.host, right.host)
        wire = await found.connect()
        assert wire.server == new.host
        wire.close("enough")
        wire = await found.connect()
        wire.close("enough")
        assert (len(late.asked), len(right.asked)) == (1, 2), "who was right is asked first"


async def test_where_none_helps_it_is_said_of_each_why() -> None:
    async with scripted(REPLICA) as server, scripted(knows(server)) as late, scripted(knows(server)) as as_late:
        nothing = {"SENTINEL": b"*-1\r\n"}
        with refusing_port() as port:
            async with scripted(nothing) as stranger:
                with pytest.raises(Away) as caught:
                    await way(late.host, as_late.host, stranger.host, f"{LOOPBACK}:{port}").connect()
        said = str(caught.value).split("; ")
        assert said[0] == f"{late.host}: {server.host} should be the primary and says that it is not"
        assert said[1] == f"{stranger.host}: it knows no primary called counters"
        assert said[2].startswith(f"{LOOPBACK}:{port}: Connect")
        assert server.asked == ["ROLE"], "nobody is tried twice"


async def test_a_primary_that_is_gone_is_told_with_its_address() -> None:
    gone = Scripted(free_port(), {})
    async with scripted(knows(gone)) as sentinel:
        with pytest.raises(Away, match=rf"^{sentinel.host}: the primary {gone.host} cannot be reached: Connect"):
            await way(sentinel.host).connect()
