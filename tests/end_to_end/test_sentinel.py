"""A real gateway on a Valkey that sentinels watch: it follows a failover, and no budget gives more than it has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.purse import AT_ONCE, REQUESTS, Callers, accounted, ask, config, spent
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.provider import Provider
from tests.harness.sentinels import Watched


@pytest.fixture
def watched() -> Iterator[Watched]:
    with Watched(password="of-the-servers", sentinel_password="of-the-sentinels") as running:
        yield running


@pytest.fixture
def gateway(provider: Provider, watched: Watched, tmp_path: Path) -> Iterator[Gateway]:
    url = f"{watched.url_with('of-the-servers')}?sentinel_password=of-the-sentinels"
    with Gateway(config(provider.at("/sentinel/v1"), url), tmp_path / "gateway") as running:
        yield running


def test_a_failover_that_loses_the_last_writes_gives_nothing_out_twice(watched: Watched, gateway: Gateway) -> None:
    """The replica is paused and cut off for a while before the primary is killed: it lacks what was counted last."""
    with Callers(gateway) as callers:
        callers.come_to(REQUESTS // 4)
        watched.replica.pause()
        watched.primary.command("CLIENT", "KILL", "TYPE", "replica")
        callers.come_to(REQUESTS // 2)
    known = len(callers.admitted)
    assert set(callers.codes) == {200}
    watched.primary.kill()
    refused = eventually(lambda: _refused(gateway), "the store is away")
    assert refused["code"] == "STORE_UNAVAILABLE"
    watched.replica.go_on()
    assert spent(watched.replica)[0] < known, "it really lacks some"
    watched.promoted()
    with Callers(gateway) as callers:
        eventually(lambda: 200 in callers.codes, "calls are admitted again")
        callers.until_used_up()
    admitted = known + len(callers.admitted)
    assert len(gateway.usage(admitted, serving=1)) == admitted, "what callers got is what the ledger has"
    eventually(lambda: accounted(watched.replica, admitted, changes=1), "the counters have it too")
    assert REQUESTS - AT_ONCE <= admitted <= REQUESTS
    eventually(lambda: ask(gateway).status_code == 429, "both workers are back, and nothing is left")
    watched.primary.start()
    eventually(lambda: b"role:slave" in watched.primary.command("INFO", "replication"), "the old one follows")
    log = gateway.stdout
    assert "of-the-se" not in log
    found = [line for line in gateway.lines() if line["event"] == "store_found"]
    assert {line["server"] for line in found} == {f"127.0.0.1:{watched.replica.port}"}


def _refused(gateway: Gateway) -> dict[str, Any] | None:
    answer = ask(gateway)
    return answer.json()["error"] if answer.status_code == 503 else None
