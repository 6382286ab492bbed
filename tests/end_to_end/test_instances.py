"""Real gateways on one PostgreSQL: those that would count beside each other do not serve beside each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway, NotServing
from tests.harness.valkey import shared


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    url = databases.fresh("postgres", tmp_path)
    yield url
    databases.drop(url)


def config(database: str, **store: Any) -> dict[str, Any]:
    section = {"database": {"url": database, "encryption_key": "the same one for both, and long enough"}}
    return {**section, "store": {"type": "valkey", "url": shared().url, **store}} if store else section


def ready(gateway: Gateway) -> bool:
    return httpx.get(f"{gateway.url}/health/ready").status_code == 200


def rows(database: str) -> list[dict[str, Any]]:
    return databases.execute(database, "SELECT * FROM instances ORDER BY started_at")


def test_a_second_gateway_that_counts_in_memory_is_told_of_the_first_and_of_the_line_to_change(
    database: str, tmp_path: Path
) -> None:
    with Gateway(config(database), tmp_path / "one") as one:
        (row,) = rows(database)
        assert row["pid"] == one.process.pid
        with pytest.raises(NotServing) as refused, Gateway(config(database), tmp_path / "two"):
            raise AssertionError("it serves")
        assert refused.value.code != 0
        assert f"process {row['pid']} on {row['host']}, started " in refused.value.text
        assert "Set `store.type: valkey`" in refused.value.text
        assert "Traceback" not in refused.value.text
        assert rows(database)[0]["id"] == row["id"]
        assert one.stop() == 0
    assert rows(database) == []


@pytest.mark.parametrize(("prefix", "together"), [("one", True), ("two", False)])
def test_gateways_that_share_a_valkey_serve_together_if_they_share_the_prefix(
    database: str, tmp_path: Path, prefix: str, together: bool
) -> None:
    with Gateway(config(database, prefix="one"), tmp_path / "one"):
        other = Gateway(config(database, prefix=prefix), tmp_path / "two")
        if together:
            with other:
                assert [row["store"].rpartition(" ")[2] for row in rows(database)] == ["one", "one"]
        else:
            with pytest.raises(NotServing, match=f"this one would count in valkey .* as {prefix}"), other:
                raise AssertionError("it serves")


def test_a_gateway_that_was_killed_starts_again_at_once(database: str, tmp_path: Path) -> None:
    with Gateway(config(database), tmp_path / "one") as gateway:
        (before,) = rows(database)
        gateway.kill_group()
        gateway.start()
        (after,) = rows(database)
        assert (after["id"], "waiting" in gateway.stderr) == (before["id"], False)
        assert after["life"] != before["life"]


def test_a_gateway_whose_disk_went_with_it_is_waited_for_until_its_row_is_stale(database: str, tmp_path: Path) -> None:
    gateway = Gateway(config(database), tmp_path / "one")
    with gateway:
        gateway.kill_group()
        follower = Gateway(config(database), tmp_path / "two")
        follower.spawn()
        try:
            eventually(lambda: "waiting, at most 20 s" in follower.stderr, "it says that it waits")
            databases.execute(database, "UPDATE instances SET seen_at = seen_at - 20")
            assert follower.worker
            assert [row["pid"] for row in rows(database)] == [follower.process.pid]
            follower.terminate()
            assert follower.wait() == 0
        finally:
            follower.kill_group()


def test_a_gateway_that_was_overtaken_refuses_calls_and_says_so(database: str, tmp_path: Path) -> None:
    """As after an outage of the database, or a long pause of a machine, during which another one started."""
    with Gateway(config(database), tmp_path / "one") as gateway:
        databases.execute(
            database, "UPDATE instances SET id = 'instance_other', host = 'elsewhere', seen_at = seen_at + 3600"
        )
        eventually(lambda: any(line["event"] == "instance_displaced" for line in gateway.lines()), "it notices")
        assert not ready(gateway)
        databases.execute(database, "DELETE FROM instances")
        eventually(lambda: ready(gateway), "it is alone again")
