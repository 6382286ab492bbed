"""Everything that was appended is in the database once: through restarts, kill -9, damage and an absent database."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from scaigrid.db.engine import create_engine
from scaigrid.db.models import audit, usage
from scaigrid.errors import GatewayError
from scaigrid.ledger import frames
from scaigrid.ledger.chain import verify
from scaigrid.ledger.frames import frame
from scaigrid.ledger.journal import Journal
from scaigrid.ledger.records import Begun, Record, Settling, UsageRow
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.writer import LedgerWriter
from tests.harness import databases
from tests.harness.checkout import ROOT
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE, becomes
from tests.scaigrid.ledger.rows import audit_row, usage_row

pytestmark = pytest.mark.anyio

SERVES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from scaigrid.clock import SystemClock
from scaigrid.db.engine import create_engine
from scaigrid.ledger.journal import Journal
from scaigrid.ledger.writer import LedgerWriter
from tests.scaigrid.ledger.rows import audit_row, usage_row

async def main(home, engine):
    journal = Journal(home / "journal", "killed", segment_bytes=20_000)
    await LedgerWriter(journal, engine, SystemClock(), batch=7, interval=0.001).start()
    number = 0
    while True:
        for row in (usage_row(number), audit_row(number)):
            journal.append(row)
            sys.stdout.write(row.id + "\\n")
        sys.stdout.flush()
        await asyncio.sleep(0)
        number += 1

asyncio.run(main(Path(sys.argv[1]), create_engine(sys.argv[2])))
"""


class Naps:
    """A sleep that takes no time, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


class Home:
    """The data directory of a test: one ledger, and any number of gateways one after the other."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.journal = path / "journal"
        self.url = url
        self.engine = create_engine(url)
        self.clock = StillClock()
        self.naps = Naps()

    async def gateway(
        self,
        writer_id: str = "w",
        *,
        segment_bytes: int = 16_000,
        batch: int = 50,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> tuple[Journal, LedgerWriter]:
        # Beside the loop, as the gateway makes it before there is one.
        journal = await asyncio.to_thread(Journal, self.journal, writer_id, segment_bytes=segment_bytes)
        return journal, LedgerWriter(journal, self.engine, self.clock, batch=batch, sleep=sleep or self.naps)

    @asynccontextmanager
    async def running(
        self, writer_id: str = "w", *, batch: int = 50
    ) -> AsyncGenerator[tuple[Journal, LedgerWriter], None]:
        journal, writer = await self.gateway(writer_id, batch=batch)
        await writer.start()
        try:
            yield journal, writer
        finally:
            await writer.close()

    async def leave(self, writer_id: str, *records: Record, segment_bytes: int = 16_000) -> list[Path]:
        """Segments of a process that has died."""
        journal, _ = await self.gateway(writer_id, segment_bytes=segment_bytes)
        for record in records:
            journal.append(record)
        await asyncio.to_thread(journal.close)
        return self.segments(writer_id)

    def segments(self, writer_id: str = "*") -> list[Path]:
        return sorted(self.journal.glob(f"{writer_id}-*.jnl"))

    async def away(self) -> None:
        await self._execute("ALTER TABLE usage RENAME TO away")

    async def back(self) -> None:
        await self._execute("ALTER TABLE away RENAME TO usage")

    async def _execute(self, statement: str) -> None:
        # Beside the loop: the writer may be in a transaction, which it ends on the loop.
        await asyncio.to_thread(databases.execute, self.url, statement)

    async def usage(self) -> list[str]:
        async with self.engine.connect() as connection:
            return list(await connection.scalars(select(usage.c.id).order_by(usage.c.id)))

    async def chain(self, writer_id: str = "w") -> list[str]:
        """The ids of a writer's audit rows in their order. Asserts that the chain holds and has no gap."""
        async with self.engine.connect() as connection:
            assert await verify(connection, writer_id) is None
            query = select(audit.c.id).where(audit.c.writer == writer_id).order_by(audit.c.seq)
            return list(await connection.scalars(query))


@pytest.fixture
def made(tmp_path: Path, database_url: str) -> Home:
    return Home(tmp_path, database_url)


@pytest.fixture
async def home(made: Home) -> AsyncIterator[Home]:
    yield made
    await made.engine.dispose()


def usages(*numbers: int) -> list[str]:
    return [usage_row(number).id for number in numbers]


def audits(*numbers: int) -> list[str]:
    return [audit_row(number).id for number in numbers]


async def test_what_is_appended_is_written_and_its_segments_go(home: Home) -> None:
    async with home.running() as (journal, writer):
        for number in range(200):
            journal.append(usage_row(number))
            journal.append(audit_row(number))
        assert writer.backlog == 400
        assert await writer.drain(PATIENCE)
        assert (writer.backlog, writer.healthy) == (0, True)
        assert await home.usage() == usages(*range(200))
        assert await home.chain() == audits(*range(200))
        # Only the one that is being written is left.
        await becomes(lambda: len(home.segments()) == 1, "written segments are removed")
    assert list(home.journal.iterdir()) == []


async def test_it_is_written_without_being_asked_for(home: Home) -> None:
    async with home.running() as (journal, writer):
        for number in range(3):
            journal.append(usage_row(number))
            await becomes(lambda: writer.backlog == 0, "the row is written")
    assert await home.usage() == usages(0, 1, 2)


async def turn(times: int = 50) -> None:
    """Lets everything run that can run without waiting for anything but the loop."""
    for _ in range(times):
        await asyncio.sleep(0)


async def test_records_are_gathered_before_they_are_written(home: Home) -> None:
    """One pause of the interval between the first append and the transaction that takes it and all that follow."""
    released = asyncio.Event()
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await released.wait()

    journal, writer = await home.gateway(sleep=sleep)
    await writer.start()
    await turn()
    for number in range(20):
        journal.append(usage_row(number))
        await asyncio.sleep(0)
    assert (writer.backlog, asked) == (20, [0.2])
    released.set()
    await becomes(lambda: writer.backlog == 0, "the rows are written")
    await writer.close()


async def test_a_gateway_without_work_does_nothing(home: Home) -> None:
    async with home.running() as (journal, writer):
        journal.append(usage_row(0))
        assert await writer.drain(PATIENCE)
        await turn()
        before = list(home.naps.taken)
        await turn(500)
        assert home.naps.taken == before


async def test_a_drain_does_not_wait_for_the_interval(home: Home) -> None:
    journal, writer = await home.gateway(sleep=lambda _: asyncio.Event().wait())  # type: ignore[arg-type, return-value]  # never ends
    await writer.start()
    journal.append(usage_row(0))
    assert await writer.drain(PATIENCE)
    assert await home.usage() == usages(0)
    await writer.close()


async def test_while_the_ledger_is_asked_it_holds_what_was_appended_before_and_nothing_else(home: Home) -> None:
    async with home.running(batch=7) as (journal, writer):
        number = 0

        def append(count: int) -> list[str]:
            nonlocal number
            rows = [usage_row(each) for each in range(number, number + count)]
            for row in rows:
                journal.append(row)
            number += count
            return [row.id for row in rows]

        for _ in range(20):
            append(30)
            # Somewhere in the reading or the writing of a batch
            await turn(number % 11)
            before = number
            async with writer.drained(PATIENCE) as written:
                assert written
                append(30)
                await turn(200)
                assert await home.usage() == usages(*range(before))
        assert await writer.drain(PATIENCE)
        assert await home.usage() == usages(*range(number))


async def test_a_ledger_that_cannot_be_written_is_not_drained(home: Home) -> None:
    async with home.running() as (journal, writer):
        await home.away()
        journal.append(usage_row(0))
        async with writer.drained(0.05) as written:
            assert not written
        await home.back()
        assert await writer.drain(PATIENCE)
    assert await home.usage() == usages(0)


async def test_replaying_a_segment_inserts_nothing_twice(home: Home, tmp_path: Path) -> None:
    records = [row for number in range(30) for row in (usage_row(number), audit_row(number))]
    (segment, *_) = await home.leave("old", *records, segment_bytes=10**6)
    copy = shutil.copy(segment, tmp_path)
    for start in ("a", "b"):
        async with home.running(start) as (_, writer):
            assert await writer.drain(PATIENCE)
        shutil.copy(copy, segment)
    assert await home.usage() == usages(*range(30))
    assert await home.chain("old") == audits(*range(30))


async def test_a_replay_goes_on_where_the_database_ends(home: Home) -> None:
    """A process that died in the middle of its segment: what was committed is passed over, the chain continues."""
    records = [row for number in range(40) for row in (usage_row(number), audit_row(number))]
    await home.leave("old", *records)
    await LedgerStore(home.engine).insert("old", records[:33])
    async with home.running("new") as (_, writer):
        assert await writer.drain(PATIENCE)
    assert await home.usage() == usages(*range(40))
    assert await home.chain("old") == audits(*range(40))


async def test_orphans_come_first_and_continue_their_own_chains(home: Home) -> None:
    await home.leave("old1", audit_row(0), usage_row(0), audit_row(1))
    await home.leave("old2", audit_row(2))
    with structlog.testing.capture_logs() as logs:
        async with home.running("new") as (journal, writer):
            journal.append(audit_row(3))
            assert writer.backlog == 5
            assert await writer.drain(PATIENCE)
    assert [await home.chain(name) for name in ("old1", "old2", "new")] == [audits(0, 1), audits(2), audits(3)]
    assert [(line["event"], line["writers"], line["records"]) for line in logs] == [
        ("ledger_orphans_found", ["old1", "old2"], 4)
    ]
    assert list(home.journal.iterdir()) == []


async def test_a_second_worker_leaves_the_journal_of_the_first_alone(home: Home) -> None:
    async with home.running("first") as (journal, first):
        journal.append(audit_row(0))
        async with home.running("second") as (_, second):
            assert second.backlog == 0
            assert await second.drain(PATIENCE)
        journal.append(audit_row(1))
        assert await first.drain(PATIENCE)
    assert await home.chain("first") == audits(0, 1)


def serve_and_kill(home: Home, after: int) -> list[str]:
    """Another gateway, killed when it has said `after` ids of records that it appended; all that it said."""
    command = [sys.executable, "-c", SERVES_UNTIL_KILLED, str(home.path), home.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        return said + process.stdout.read().split()


@pytest.mark.parametrize(
    ("database_url", "after"),
    [("sqlite", 2), ("sqlite", 100), ("sqlite", 600), ("postgres", 100)],
    indirect=["database_url"],
)
async def test_kill_9_loses_nothing_and_doubles_nothing(home: Home, after: int) -> None:
    said = await asyncio.to_thread(serve_and_kill, home, after)
    whole = {name for name in said if len(name) == len(usage_row().id)}
    async with home.running("next") as (_, writer):
        assert await writer.drain(PATIENCE)
    kept = [*await home.usage(), *await home.chain("killed")]
    assert len(kept) == len(set(kept))
    assert whole <= set(kept)
    # Two appends to a line of output: at most these had been done and not been said.
    assert len(set(kept) - whole) <= 2
    assert await home.chain("killed") == audits(*range(len(await home.chain("killed"))))


async def test_a_database_that_is_away_is_waited_for(home: Home) -> None:
    await home.away()
    with structlog.testing.capture_logs() as logs:
        async with home.running() as (journal, writer):
            for number in range(120):
                journal.append(usage_row(number))
                journal.append(audit_row(number))
            await becomes(lambda: len(home.naps.taken) > 12, "it is tried again and again")
            assert (writer.healthy, writer.backlog) == (False, 240)
            assert not await writer.drain(0.01)
            home.clock.advance(60)
            await home.back()
            assert await writer.drain(PATIENCE)
            assert (writer.healthy, writer.backlog) == (True, 0)
    assert await home.usage() == usages(*range(120))
    assert await home.chain() == audits(*range(120))
    assert [line["event"] for line in logs] == ["ledger_stalled", "ledger_resumed"], "one line a change of state"
    assert "usage" in logs[0]["error"], "it says what is wrong"
    assert logs[1]["seconds"] == 60


async def test_it_is_tried_again_ever_more_slowly_up_to_a_bound(home: Home) -> None:
    await home.away()
    async with home.running() as (journal, _):
        await turn()
        journal.append(usage_row(0))
        await becomes(lambda: len(home.naps.taken) > 9, "it is tried again and again")
        assert home.naps.taken[:10] == [0.2, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
        await home.back()


async def test_while_the_database_is_away_memory_holds_one_batch(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    insert = LedgerStore.insert

    async def watched(self: LedgerStore, writer_id: str, records: Sequence[Record]) -> None:
        held.append(len(records))
        await insert(self, writer_id, records)

    monkeypatch.setattr(LedgerStore, "insert", watched)
    await home.away()
    async with home.running(batch=50) as (journal, writer):
        for number in range(1000):
            journal.append(usage_row(number))
        await becomes(lambda: len(held) > 5, "it is tried again and again")
        await home.back()
        assert await writer.drain(PATIENCE)
    assert max(held) == 50
    assert await home.usage() == usages(*range(1000))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_database_that_another_program_has_locked_is_waited_for(home: Home) -> None:
    with closing(sqlite3.connect(home.url.partition("///")[2], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with home.running() as (journal, writer):
            journal.append(usage_row(0))
            assert not await writer.drain(0.05)
            other.execute("COMMIT")
            assert await writer.drain(PATIENCE)
    assert await home.usage() == usages(0)


async def test_what_cannot_be_written_at_the_end_is_written_at_the_next_start(home: Home) -> None:
    await home.away()
    async with home.running("first") as (journal, writer):
        for number in range(100):
            journal.append(usage_row(number))
            journal.append(audit_row(number))
        assert not await writer.drain(0.01)
    with pytest.raises(GatewayError, match="shutting down"):
        journal.append(usage_row(100))
    assert sum([await asyncio.to_thread(frames.count, path) for path in home.segments("first")]) == 200
    await home.back()
    async with home.running("second") as (_, second):
        assert second.backlog == 200
        assert await second.drain(PATIENCE)
    assert await home.usage() == usages(*range(100))
    assert await home.chain("first") == audits(*range(100))


async def test_closing_writes_what_is_left_without_a_drain(home: Home) -> None:
    async with home.running() as (journal, _):
        for number in range(120):
            journal.append(usage_row(number))
    assert await home.usage() == usages(*range(120))
    assert list(home.journal.iterdir()) == []


async def test_a_commit_whose_answer_was_lost_is_not_repeated(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = LedgerStore.insert
    lost = [True, True]

    async def unlucky(self: LedgerStore, writer_id: str, records: Sequence[Record]) -> None:
        await insert(self, writer_id, records)
        if lost:
            lost.pop()
            raise OperationalError("COMMIT", None, Exception("connection lost"))

    monkeypatch.setattr(LedgerStore, "insert", unlucky)
    async with home.running() as (journal, writer):
        for number in range(30):
            journal.append(audit_row(number))
            journal.append(usage_row(number))
        assert await writer.drain(PATIENCE)
    assert lost == []
    assert await home.chain() == audits(*range(30))
    assert await home.usage() == usages(*range(30))


class TestDamage:
    """What a reader finds that is not as it was written."""

    async def test_a_torn_tail_costs_only_what_was_never_acknowledged(self, home: Home) -> None:
        (path,) = await home.leave("old", usage_row(0), usage_row(1))
        with path.open("ab") as file:
            file.write(frame(usage_row(2))[:-1])
        with structlog.testing.capture_logs() as logs:
            async with home.running("new") as (_, writer):
                assert await writer.drain(PATIENCE)
        assert await home.usage() == usages(0, 1)
        assert [line["event"] for line in logs] == ["ledger_orphans_found", "journal_torn"]
        assert list(home.journal.iterdir()) == []

    async def test_a_damaged_segment_is_kept_aside_and_the_next_ones_are_written(self, home: Home) -> None:
        size = len(frame(usage_row(0)))
        first, second, _ = await home.leave("old", *map(usage_row, range(6)), segment_bytes=3 * size)
        data = bytearray(first.read_bytes())
        data[size + size // 2] ^= 1
        first.write_bytes(data)
        with structlog.testing.capture_logs() as logs:
            async with home.running("new") as (_, writer):
                assert await writer.drain(PATIENCE)
                assert writer.backlog == 0
        assert await home.usage() == usages(0, 3, 4, 5)
        (told,) = [line for line in logs if line["event"] == "journal_corrupt"]
        assert (told["log_level"], told["offset"], told["records"]) == ("error", size, 2)
        kept = first.with_name(first.name + ".corrupt")
        assert told["kept"] == str(kept)
        assert kept.read_bytes() == bytes(data)
        assert list(home.journal.iterdir()) == [kept]
        assert not second.exists()

    async def test_damage_to_the_segment_in_use_moves_the_journal_on(self, home: Home) -> None:
        await home.away()
        async with home.running() as (journal, writer):
            for number in range(3):
                journal.append(usage_row(number))
            (path,) = home.segments()
            data = bytearray(path.read_bytes())
            data[len(frame(usage_row(0))) + 20] ^= 1
            path.write_bytes(data)
            await home.back()
            await becomes(lambda: not path.exists(), "the segment is put aside")
            journal.append(usage_row(3))
            assert await writer.drain(PATIENCE)
        assert await home.usage() == usages(0, 3)
        assert [kept.name for kept in home.journal.iterdir()] == [path.name + ".corrupt"]

    async def test_a_record_that_the_database_cannot_hold_stops_no_other(self, home: Home) -> None:
        with structlog.testing.capture_logs() as logs:
            async with home.running() as (journal, writer):
                for number in range(40):
                    journal.append(usage_row(number, cost=2**63 if number == 17 else number))
                    journal.append(audit_row(number))
                assert await writer.drain(PATIENCE)
                assert writer.healthy
        assert await home.usage() == usages(*(number for number in range(40) if number != 17))
        assert await home.chain() == audits(*range(40))
        (told,) = logs
        assert (told["event"], told["id"]) == ("ledger_record_rejected", usage_row(17).id)
        (kept,) = home.journal.iterdir()
        assert str(kept) == told["kept"]
        (record,) = frames.read(kept, 0, 10).records
        assert isinstance(record, UsageRow)
        assert (record.id, record.cost) == (usage_row(17).id, 2**63)

    async def test_a_record_with_a_nul_sign_stops_no_other_and_is_kept(self, home: Home) -> None:
        """PostgreSQL has no place for one: whoever could send it could otherwise keep himself out of the audit log."""
        with structlog.testing.capture_logs() as logs:
            async with home.running() as (journal, writer):
                for number in range(20):
                    journal.append(audit_row(number, user_agent="pro\0be" if number == 7 else "probe"))
                assert await writer.drain(PATIENCE)
                assert writer.healthy
        assert await home.chain() == audits(*range(20))
        kept = await asyncio.to_thread(databases.execute, home.url, "SELECT user_agent FROM audit WHERE seq = 8")
        told = [(line["event"], line["id"]) for line in logs]
        if databases.kind_of(home.url) == "postgres":
            assert (kept, told) == ([{"user_agent": "pro\ufffdbe"}], [("ledger_record_altered", audit_row(7).id)])
        else:
            assert (kept, told) == ([{"user_agent": "pro\0be"}], [])
        assert list(home.journal.iterdir()) == []

    async def test_a_segment_that_cannot_be_opened_today_is_read_tomorrow(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = frames.read
        failures = [OSError(24, os.strerror(24))] * 3

        def stubborn(path: Path, offset: int, max_records: int) -> frames.Chunk:
            if failures:
                raise failures.pop()
            return read(path, offset, max_records)

        monkeypatch.setattr(frames, "read", stubborn)
        with structlog.testing.capture_logs() as logs:
            async with home.running() as (journal, writer):
                journal.append(usage_row(0))
                assert await writer.drain(PATIENCE)
                assert writer.healthy
        assert await home.usage() == usages(0)
        assert [line["event"] for line in logs] == ["ledger_stalled", "ledger_resumed"]


async def test_a_writer_whose_trouble_is_over_is_healthy_without_a_further_record(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink
    failures = [OSError(5, os.strerror(5))]

    def stubborn(path: Path, missing_ok: bool = False) -> None:
        if failures:
            raise failures.pop()
        unlink(path, missing_ok=missing_ok)

    await home.leave("old", usage_row(0))
    monkeypatch.setattr(Path, "unlink", stubborn)
    with structlog.testing.capture_logs() as logs:
        async with home.running() as (_, writer):
            await becomes(lambda: len(logs) == 3, "the trouble came and went")
            assert writer.healthy
    assert [line["event"] for line in logs] == ["ledger_orphans_found", "ledger_stalled", "ledger_resumed"]
    assert await home.usage() == usages(0)


class Fate:
    """What becomes of each transaction: it fails before it begins, or after it, as when the answer is lost."""

    def __init__(self) -> None:
        self.plan: list[str] = []
        self.gone = False
        self._insert = LedgerStore.insert

    async def insert(self, store: LedgerStore, writer_id: str, records: Sequence[Record]) -> None:
        fate = "before" if self.gone else self.plan.pop(0) if self.plan else "well"
        if fate == "before":
            raise OperationalError("BEGIN", None, Exception("away"))
        await self._insert(store, writer_id, records)
        if fate == "after":
            raise OperationalError("COMMIT", None, Exception("lost"))


_LIFE = st.tuples(
    st.lists(st.integers(0, 12), max_size=5),
    st.lists(st.sampled_from(["well", "before", "after"]), max_size=6),
    st.booleans(),
)
Life = tuple[list[int], list[str], bool]
"""Of a gateway: bursts of appends, what becomes of each transaction, and whether the database fails at the end."""


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lives=st.lists(_LIFE, min_size=1, max_size=4))
def test_any_history_ends_with_each_record_once(
    tmp_path_factory: pytest.TempPathFactory, lives: Sequence[Life]
) -> None:
    directory = tmp_path_factory.mktemp("home")
    each_once(Home(directory, databases.fresh("sqlite", directory)), lives)


def test_a_history_on_postgres_ends_with_each_record_once(tmp_path: Path) -> None:
    """One with everything in it; the writer does the same on either database."""
    lives: list[Life] = [
        ([5, 0, 12], ["after", "before", "well", "after"], False),
        ([7], ["before", "after"], True),
        ([], ["after", "before"], False),
        ([3, 9], ["well", "after", "after"], True),
    ]
    each_once(Home(tmp_path, databases.fresh("postgres", tmp_path)), lives)


def each_once(home: Home, lives: Sequence[Life]) -> None:
    appended: dict[str, list[int]] = {}
    fate = Fate()

    async def live(name: str, bursts: list[int], plan: list[str], *, fails: bool) -> None:
        journal, writer = await home.gateway(name, segment_bytes=2_000, batch=4)
        fate.plan, fate.gone = plan, False
        await writer.start()
        for burst in bursts:
            for _ in range(burst):
                number = sum(map(len, appended.values()))
                appended.setdefault(name, []).append(number)
                journal.append(usage_row(number))
                journal.append(audit_row(number))
            await asyncio.sleep(0)
        fate.gone = fails
        await writer.close()

    async def story() -> None:
        for number, (bursts, plan, fails) in enumerate(lives):
            await live(f"w{number}", bursts, plan, fails=fails)
        await live("last", [], [], fails=False)
        await home.engine.dispose()

    async def insert(self: LedgerStore, writer_id: str, records: Sequence[Record]) -> None:
        await fate.insert(self, writer_id, records)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LedgerStore, "insert", insert)
        asyncio.run(story())
    home.engine = create_engine(home.url)

    async def told() -> None:
        assert await home.usage() == usages(*range(sum(map(len, appended.values()))))
        for name, numbers in appended.items():
            assert await home.chain(name) == audits(*numbers)
        await home.engine.dispose()

    asyncio.run(told())
    databases.drop(home.url)
    assert list(home.journal.iterdir()) == []


# -- what a process that was killed leaves open ----------------------------------------------------------------------


def begun(number: int) -> Begun:
    return Begun(usage_row(number, outcome="interrupted", serving=False, cost=0))


async def outcomes(home: Home) -> dict[str, str]:
    async with home.engine.connect() as connection:
        found = await connection.execute(select(usage.c.id, usage.c.outcome).order_by(usage.c.id))
        return {row.id: row.outcome for row in found}


async def test_what_had_begun_when_its_worker_died_is_interrupted(home: Home) -> None:
    await home.leave("old", begun(0), usage_row(1), begun(2), begun(3), usage_row(2))
    with structlog.testing.capture_logs() as logs:
        async with home.running("new") as (_, writer):
            assert await writer.drain(PATIENCE)
    assert list((await outcomes(home)).values()) == ["interrupted", "ok", "ok", "interrupted"]
    assert [(line["writer"], line["calls"]) for line in logs if line["event"] == "calls_interrupted"] == [("old", 2)]
    assert list(home.journal.iterdir()) == []


async def test_what_has_begun_in_one_segment_and_ended_in_another_is_not_interrupted(home: Home) -> None:
    segments = await home.leave("old", *map(begun, range(5)), *map(usage_row, range(60)), segment_bytes=3_000)
    assert len(segments) > 3
    async with home.running("new", batch=7) as (_, writer):
        assert await writer.drain(PATIENCE)
    assert set((await outcomes(home)).values()) == {"ok"}
    assert await home.usage() == usages(*range(60))


async def test_a_worker_that_lives_marks_nothing(home: Home) -> None:
    async with home.running() as (journal, writer):
        journal.append(begun(0))
        assert await writer.drain(PATIENCE)
        assert await home.usage() == []
        journal.append(usage_row(0))
        assert await writer.drain(PATIENCE)
    assert await outcomes(home) == {usage_row(0).id: "ok"}
    assert list(home.journal.iterdir()) == []


async def test_a_call_that_outlives_its_segment_is_still_known(home: Home) -> None:
    """Its worker removes segment after segment; when it is killed at last, the call is marked, and only that one."""
    journal, writer = await home.gateway("old", segment_bytes=3_000)
    await writer.start()
    journal.append(begun(0))
    journal.append(begun(1))
    for number in range(1, 100):
        journal.append(usage_row(number))
    assert await writer.drain(PATIENCE)
    await becomes(lambda: len(home.segments("old")) == 1, "written segments are removed")
    # As a kill leaves it: what is closed and not taken stays, and so does what is open.
    await writer.close()
    assert len(home.segments("old")) == 1
    async with home.running("new") as (_, next_writer):
        assert await next_writer.drain(PATIENCE)
    found = await outcomes(home)
    assert [key for key, outcome in found.items() if outcome == "interrupted"] == usages(0)
    assert len(found) == 100
    assert list(home.journal.iterdir()) == []


async def test_a_worker_killed_while_it_inherits_marks_nothing_wrongly(home: Home) -> None:
    """Whoever comes next finds all segments that it needs, however far the one before had come."""
    await home.leave("old", begun(0), *map(usage_row, range(1, 40)), usage_row(0), begun(40), segment_bytes=3_000)
    await home.away()
    async with home.running("killed"):
        await becomes(lambda: len(home.naps.taken) > 3, "it is tried again and again")
    await home.back()
    async with home.running("new") as (_, writer):
        assert await writer.drain(PATIENCE)
    found = await outcomes(home)
    assert [key for key, outcome in found.items() if outcome == "interrupted"] == usages(40)
    assert len(found) == 41


async def test_what_a_dead_worker_settled_is_settled_again_once_its_row_is_written(home: Home) -> None:
    told: list[tuple[str, dict[str, int], list[str]]] = []

    async def settle(lease: str, used: Mapping[str, int]) -> None:
        told.append((lease, dict(used), await home.usage()))

    await home.leave("old", usage_row(0), Settling(usage_row(1), "lease-1", {"budget:a": 7}))
    journal = await asyncio.to_thread(Journal, home.journal, "new")
    writer = LedgerWriter(journal, home.engine, home.clock, sleep=home.naps, settle=settle)
    await writer.start()
    journal.append(Settling(usage_row(2), "lease-2", {"budget:a": 8}))
    assert await writer.drain(PATIENCE)
    await writer.close()
    assert told == [("lease-1", {"budget:a": 7}, usages(0, 1))], "its own a worker settles by itself"
    assert await home.usage() == usages(0, 1, 2)
