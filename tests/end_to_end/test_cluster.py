"""A real gateway on a cluster: it finds the node that has its keys, and follows them, and no budget gives twice."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.purse import AT_ONCE, REQUESTS, Callers, accounted, ask, config
from tests.harness.clusters import ClusterOfFour
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.provider import Provider

PREFIX = "of-a-cluster"


@pytest.fixture
def cluster() -> Iterator[ClusterOfFour]:
    with ClusterOfFour(PREFIX) as running:
        yield running


@pytest.fixture
def gateway(provider: Provider, cluster: ClusterOfFour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    told = config(provider.at("/cluster/v1"), cluster.url)
    told["store"]["prefix"] = PREFIX
    with Gateway(told, tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_a_failover_and_a_slot_that_moves_are_followed_and_nothing_is_given_out_twice(
    cluster: ClusterOfFour, gateway: Gateway
) -> None:
    """The node that has the slot is killed under load; its replica takes over, and then gives the slot to a third."""
    heir = cluster.others[0]
    with Callers(gateway) as callers:
        callers.come_to(REQUESTS // 4)
        cluster.owner.kill()
        eventually(lambda: callers.codes[503] > 0, "the store is away")
        eventually(lambda: cluster.has(cluster.replica), "the replica takes over")
        callers.come_to(REQUESTS // 2)
        cluster.give(cluster.replica, heir)
        callers.until_used_up()
    assert {got.json()["error"]["code"] for got in callers.answers if got.status_code != 200} == {
        "STORE_UNAVAILABLE",
        "BUDGET_EXCEEDED",
    }
    admitted = len(callers.admitted)
    assert len(gateway.usage(admitted, serving=1)) == admitted, "what callers got is what the ledger has"
    eventually(lambda: accounted(heir, admitted, changes=2), "the counters have it too")
    assert REQUESTS - 2 * AT_ONCE <= admitted <= REQUESTS
    eventually(lambda: ask(gateway).status_code == 429, "both workers are back, and nothing is left")
    found = [line["server"] for line in gateway.lines() if line["event"] == "store_found"]
    assert found[-1] == f"127.0.0.1:{heir.port}"
