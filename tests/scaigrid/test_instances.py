"""Of gateways on one database, those serve that count in the same place; a row of one that has died is in nobody's way.

That real gateways keep to it is shown in tests/end_to_end/test_instances.py.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from scaigrid.config.schema import Config, Database, Server, Store
from scaigrid.db.engine import create_engine
from scaigrid.instances import (
    EVERY,
    FILE,
    STALE,
    Instance,
    NotAlone,
    Presence,
    Registry,
    arrive,
    present,
    refusal,
    shared,
    store_of,
)
from scaigrid.secrets import Secret
from tests.harness import databases
from tests.harness.checkout import ROOT
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE

pytestmark = pytest.mark.anyio

VALKEY = Store(type="valkey", url=Secret("valkey://user:hidden@Store:6380/2"), prefix="p")


def gateway(name: str = "one", *, store: str = "memory", life: str = "first") -> Instance:
    return Instance(id=f"instance_{name}", life=life, host=f"host-{name}", pid=7, store=store)


class Site:
    """A database, and the time: on SQLite the clock of the host, on PostgreSQL the server's, past which rows age."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = StillClock()
        self.engine = create_engine(url)
        self.registry = Registry(self.engine, self.clock)

    async def pass_by(self, seconds: float) -> None:
        if databases.kind_of(self.url) == "sqlite":
            self.clock.advance(seconds)
        else:
            await self.execute("UPDATE instances SET seen_at = seen_at - $1, started_at = started_at - $1", seconds)

    async def execute(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        return await asyncio.to_thread(databases.execute, self.url, statement, *arguments)

    async def present(self) -> list[str]:
        return [row["id"] for row in await self.execute("SELECT id FROM instances ORDER BY id")]


@pytest.fixture
def made(database_url: str) -> Site:
    return Site(database_url)


@pytest.fixture
async def site(made: Site) -> AsyncIterator[Site]:
    yield made
    await made.engine.dispose()


# -- where a gateway counts ------------------------------------------------------------------------------------------


def test_a_store_is_called_by_where_it_is_and_what_it_counts_under_without_a_secret() -> None:
    assert store_of(Store()) == "memory"
    assert store_of(VALKEY) == "valkey store:6380/2 as p"
    assert store_of(Store(type="valkey", url=Secret("unix:///run/valkey"))) == "valkey /run/valkey/0 as scaigrid"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("memory", "memory", False),
        ("memory", "valkey a", False),
        ("valkey a", "valkey b", False),
        ("valkey a", "valkey a", True),
    ],
)
async def test_those_serve_together_that_count_in_the_same_valkey(
    site: Site, one: str, other: str, together: bool
) -> None:
    assert await site.registry.claim(gateway("one", store=one)) is None
    found = await site.registry.claim(gateway("two", store=other))
    assert (found is None) is together
    assert await site.present() == ["instance_one", "instance_two"][: 1 + together]
    if found is not None:
        assert (found[0].host, found[0].store) == ("host-one", one)


def test_a_database_in_the_data_directory_is_shared_with_nobody() -> None:
    assert not shared(Config())
    assert shared(Config(database=Database(url=Secret("sqlite:///elsewhere.db"))))


# -- rows ------------------------------------------------------------------------------------------------------------


async def test_of_many_that_claim_at_once_exactly_one_gets_it(site: Site) -> None:
    others = [Site(site.url) for _ in range(6)]
    claims = [other.registry.claim(gateway(str(number))) for number, other in enumerate(others)]
    assert [found is None for found in await asyncio.gather(*claims)].count(True) == 1
    assert len(await site.present()) == 1
    for other in others:
        await other.engine.dispose()


async def test_a_row_that_is_renewed_is_never_stale_and_one_that_is_not_goes_to_the_next(site: Site) -> None:
    one, two = gateway("one"), gateway("two")
    await site.registry.claim(one)
    for _ in range(10):
        await site.pass_by(STALE - 1)
        assert await site.registry.renew(one) is None
        assert await site.registry.claim(two) is not None
    await site.pass_by(STALE)
    assert await site.registry.claim(two) is None
    assert await site.present() == ["instance_two"]


async def test_whose_row_was_taken_away_has_it_back_when_the_other_is_gone(site: Site) -> None:
    one, two = gateway("one"), gateway("two")
    await site.registry.claim(one)
    await site.pass_by(STALE)
    await site.registry.claim(two)
    for _ in range(2):
        found = await site.registry.renew(one)
        assert found is not None
        assert found[0].id == two.id
    await site.registry.leave(two)
    assert await site.registry.renew(one) is None
    assert await site.present() == ["instance_one"]


async def test_after_an_outage_a_gateway_that_nobody_has_followed_goes_on(site: Site) -> None:
    one = gateway("one")
    await site.registry.claim(one)
    await site.pass_by(10 * STALE)
    assert await site.registry.renew(one) is None
    assert await site.registry.claim(gateway("two")) is not None


async def test_a_gateway_that_starts_again_takes_the_row_of_its_earlier_life_at_once(site: Site) -> None:
    await site.registry.claim(gateway(life="first"))
    assert await site.registry.claim(gateway(life="second")) is None
    # Should the first one live all the same, on a copy of the directory, it is not the one that serves
    found = await site.registry.renew(gateway(life="first"))
    assert found is not None
    assert found[0].life == "second"
    await site.registry.leave(gateway(life="first"))
    assert await site.present() == ["instance_one"]
    await site.registry.leave(gateway(life="second"))
    assert await site.present() == []


# -- who starts ------------------------------------------------------------------------------------------------------


def configured(url: str, directory: Path, store: Store | None = None) -> Config:
    directory.mkdir(exist_ok=True)
    return Config(server=Server(data_dir=str(directory)), database=Database(url=Secret(url)), store=store or Store())


class Waiting:
    """A wait in which a test does what happens meanwhile."""

    def __init__(self, *does: Callable[[], object]) -> None:
        self._does = list(does)
        self.times = 0

    async def __call__(self, seconds: float) -> None:
        self.times += 1
        assert self._does, "it waits for nothing"
        await asyncio.to_thread(self._does.pop(0))


def aged(url: str, seconds: float) -> Callable[[], object]:
    return lambda: databases.execute(url, "UPDATE instances SET seen_at = seen_at - $1", seconds)


def rows(url: str) -> list[dict[str, Any]]:
    return databases.execute(url, "SELECT * FROM instances ORDER BY started_at")


def unsaid(line: str) -> None:
    raise AssertionError(line)


async def nobody_waits(seconds: float) -> None:
    raise AssertionError("it waits")


def renewed(url: str) -> Callable[[], object]:
    return lambda: databases.execute(url, "UPDATE instances SET seen_at = seen_at + 1")


def test_a_gateway_is_there_while_it_serves_and_gone_afterwards(database_url: str, tmp_path: Path) -> None:
    config = configured(database_url, tmp_path / "one", VALKEY)
    with present(config, StillClock(), unsaid, sleep=nobody_waits):
        (row,) = rows(database_url)
        assert (row["store"], row["pid"] > 0, row["seen_at"]) == ("valkey store:6380/2 as p", True, row["started_at"])
        again = configured(database_url, tmp_path / "two", VALKEY)
        with present(again, StillClock(), unsaid, sleep=nobody_waits):
            assert len(rows(database_url)) == 2
    assert rows(database_url) == []


def test_a_second_gateway_sees_that_the_first_one_lives_and_does_not_start(database_url: str, tmp_path: Path) -> None:
    said: list[str] = []
    second = configured(database_url, tmp_path / "two")
    waiting = Waiting(lambda: None, renewed(database_url))
    with present(configured(database_url, tmp_path / "one"), StillClock(), unsaid):
        (row,) = rows(database_url)
        with pytest.raises(NotAlone) as refused, present(second, StillClock(), said.append, sleep=waiting):
            raise AssertionError("it serves")
        assert [each["id"] for each in rows(database_url)] == [row["id"]]
    assert waiting.times == 2
    assert len(said) == 1
    told = refusal(second, refused.value)
    assert f"process {row['pid']} on {row['host']}, started 20" in told
    assert "Set `store.type: valkey`" in told
    assert "hidden" not in told


def test_a_row_whose_gateway_was_killed_is_waited_for_and_no_longer(database_url: str, tmp_path: Path) -> None:
    """A container whose disk was lost with it: nobody comes back to the row."""
    said: list[str] = []
    arrive(configured(database_url, tmp_path / "one"), StillClock(), unsaid)
    waiting = Waiting(lambda: None, aged(database_url, STALE))
    with present(configured(database_url, tmp_path / "two"), StillClock(), said.append, sleep=waiting):
        assert len(rows(database_url)) == 1
    assert waiting.times == 2
    assert [line.startswith("scaigrid: waiting, at most 20 s") for line in said] == [True]


def test_a_gateway_that_was_killed_starts_again_without_waiting(database_url: str, tmp_path: Path) -> None:
    config = configured(database_url, tmp_path / "one")
    arrive(config, StillClock(), unsaid)
    with present(config, StillClock(), unsaid, sleep=nobody_waits):
        assert len(rows(database_url)) == 1


def test_a_file_that_says_nothing_is_written_anew(database_url: str, tmp_path: Path) -> None:
    config = configured(database_url, tmp_path / "one")
    (tmp_path / "one" / FILE).write_text("{")
    with present(config, StillClock(), unsaid, sleep=nobody_waits):
        (row,) = rows(database_url)
        assert msgspec.json.decode((tmp_path / "one" / FILE).read_bytes(), type=Instance).id == row["id"]


def test_a_gateway_that_stops_without_its_database_stops(database_url: str, tmp_path: Path) -> None:
    with present(configured(database_url, tmp_path / "one"), StillClock(), unsaid):
        databases.execute(database_url, "ALTER TABLE instances RENAME TO away")


STARTS = """
import sys
from pathlib import Path
from scaigrid.clock import SystemClock
from scaigrid.instances import NotAlone, present
from tests.scaigrid.test_instances import configured

async def no_longer(seconds):
    raise SystemExit("refused")

sys.stdin.readline()
with present(configured(sys.argv[1], Path(sys.argv[2])), SystemClock(), lambda line: None, sleep=no_longer):
    print("serves", flush=True)
    sys.stdin.readline()
"""


def test_of_processes_that_start_at_once_exactly_one_serves(database_url: str, tmp_path: Path) -> None:
    with ExitStack() as running:
        started = [running.enter_context(starting(database_url, tmp_path / str(number))) for number in range(4)]
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        # Whoever is refused ends by itself, and whoever serves does so until it is told to end.
        told = [process.stdout.readline() for process in started if process.stdout is not None]
        assert sorted(told) == ["", "", "", "serves\n"]
        assert len(rows(database_url)) == 1
    assert rows(database_url) == []


@contextmanager
def starting(url: str, directory: Path) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", STARTS, url, str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            # Told to end, by the end of what it reads
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()


# -- who serves ------------------------------------------------------------------------------------------------------


async def test_a_gateway_that_has_lost_its_row_lets_no_call_in_until_it_has_it_back(site: Site, tmp_path: Path) -> None:
    config = configured(site.url, tmp_path / "one")
    other = gateway("two")
    barred: list[str] = []
    slept: list[float] = []

    async def displace() -> None:
        await site.pass_by(STALE)
        assert await site.registry.claim(other) is None

    async def nothing() -> None:
        assert len(barred) == 1

    async def gone() -> None:
        await site.registry.leave(other)

    async def over() -> None:
        raise asyncio.CancelledError

    happens = [displace, nothing, gone, over]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await happens[len(slept) - 1]()

    await asyncio.to_thread(arrive, config, site.clock, unsaid)
    presence = Presence(config, site.engine, site.clock, barred.append, sleep=sleep)
    with capture_logs() as logged, suppress(asyncio.CancelledError):
        await presence.tend()
    assert slept == [EVERY] * 4
    assert [bool(reason) for reason in barred] == [True, False]
    assert "host-two" in barred[0]
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("instance_displaced", "error"),
        ("instance_alone_again", "info"),
    ]


async def test_a_gateway_without_its_database_goes_on(site: Site, tmp_path: Path) -> None:
    config = configured(site.url, tmp_path / "one")
    barred: list[str] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError
        if len(slept) == 1:
            await site.execute("ALTER TABLE instances RENAME TO away")
        else:
            await site.execute("ALTER TABLE away RENAME TO instances")

    await asyncio.to_thread(arrive, config, site.clock, unsaid)
    with suppress(asyncio.CancelledError):
        await Presence(config, site.engine, site.clock, barred.append, sleep=sleep).tend()
    assert (barred, len(await site.present())) == ([], 1)


async def test_who_shares_its_database_with_nobody_renews_nothing(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")
    alone = Config(server=Server(data_dir=str(tmp_path)))
    await Presence(alone, engine, StillClock(), unsaid).tend()
    by_itself = configured("sqlite:///elsewhere.db", tmp_path)
    await Presence(by_itself, engine, StillClock(), unsaid).tend()
    await engine.dispose()
