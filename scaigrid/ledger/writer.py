"""Takes what the journal holds into the database: batched, in order, each record once, however long that takes.

The journal is the queue. A batch is read from it, written in one transaction, and only then counts as taken; a segment
that is closed and wholly taken is removed. So there is nothing to lose between the two, and memory holds one batch
whatever the database does. What an earlier process left behind is taken first.

A process that was killed may have left more than rows: attempts that had begun and have none, which get one that says
`interrupted`, and leases that it may not have settled any more, which are settled again (docs/adr/0020).
"""

import asyncio
import math
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.db import faults
from scaigrid.errors import GatewayError
from scaigrid.ledger import frames
from scaigrid.ledger.journal import Journal, Orphan, Segment, adopt
from scaigrid.ledger.left import Left
from scaigrid.ledger.records import Begun, Record, Row, Settling
from scaigrid.ledger.store import LedgerStore, storable

_SLICE = 64
"""Records decoded between two turns of the event loop: no stream waits longer than that for its next event."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class LedgerWriter:
    """The one writer of a worker: `start`, then `drain` and `close` at the end. It closes the journal too.

    `interval` is the time in seconds that records are gathered for, so that a busy gateway makes few transactions and
    an idle one none. While the database is away it is tried again after `retry_first` seconds, then twice that, and so
    on to `retry_most`. `settle` is asked to settle, once more, each lease of a process that has died.
    """

    def __init__(
        self,
        journal: Journal,
        engine: AsyncEngine,
        clock: Clock,
        *,
        batch: int = 2000,
        interval: float = 0.2,
        retry_first: float = 0.1,
        retry_most: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        settle: Callable[[str, Mapping[str, int]], Awaitable[None]] | None = None,
    ) -> None:
        self._journal = journal
        self._store = LedgerStore(engine)
        self._clock = clock
        self._batch = batch
        self._interval = interval
        self._retry_first = retry_first
        self._retry_most = retry_most
        self._sleep = sleep
        self._settle_again = settle
        self._left = Left()
        """Of the orphan at work."""
        self._orphans: deque[Orphan] = deque()
        self._offset = 0
        """In bytes, within the oldest segment of the writer at work; so is `_taken`, in records."""
        self._taken = 0
        self._settled = 0
        self._fence = math.inf
        """So many records may be settled, and none behind them: see `drained`."""
        self._stalled_at: float | None = None
        self._closing = False
        self._hurry = asyncio.Event()
        self._appended = asyncio.Event()
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """Records that are not yet in the database, those of earlier processes included."""
        waiting = sum(segment.records for segment in self._journal.segments)
        return waiting + sum(segment.records for orphan in self._orphans for segment in orphan.segments) - self._taken

    @property
    def healthy(self) -> bool:
        """False from a failed transaction until one that succeeds."""
        return self._stalled_at is None

    async def start(self) -> None:
        """Finds what earlier processes left and begins to write; does not wait for the database."""
        self._orphans.extend(await asyncio.to_thread(adopt, self._journal.directory))
        if self._orphans:
            writers = [orphan.writer_id for orphan in self._orphans]
            _log.info("ledger_orphans_found", writers=writers, records=self.backlog)
        self._task = asyncio.create_task(self._run(), name="ledger-writer")

    async def drain(self, within: float) -> bool:
        """Waits until everything that has been appended so far is in the database; False after `within` seconds."""
        due = self._settled + self.backlog
        self._hurry.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._settled < due:
                    self._progress.clear()
                    await self._progress.wait()
        return self._settled >= due

    @asynccontextmanager
    async def drained(self, within: float) -> AsyncGenerator[bool]:
        """As `drain`; and nothing that is appended from now on comes into the database while the block lasts.

        So who asks the ledger inside the block knows to the row what has been counted of this worker's calls.
        """
        self._fence = self._settled + self.backlog
        try:
            yield await self.drain(within)
        finally:
            self._fence = math.inf

    async def close(self, within: float = 10.0) -> None:
        """Refuses further records, tries once more to write what is left, and stops within so many seconds.

        What could not be written stays in its segments for the next start.
        """
        self._journal.seal()
        self._closing = True
        self._hurry.set()
        self._appended.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, within)
        for orphan in self._orphans:
            await asyncio.to_thread(orphan.close)
        await asyncio.to_thread(self._journal.close)

    async def _run(self) -> None:
        while not self._closing:
            if not await self._attempt():
                await self._pause(self._retry_most)
                continue
            if not self.backlog and not self._closing:
                self._appended.clear()
                self._journal.on_append(self._appended.set)
                await self._appended.wait()
            await self._pause(self._interval)
        await self._attempt()

    async def _attempt(self) -> bool:
        try:
            await self._catch_up()
        except Exception as error:  # noqa: BLE001  # a segment that cannot be read today may be readable later
            self._stalled(error)
            return False
        if not self._closing:
            self._resumed()
        return True

    async def _catch_up(self) -> None:
        """Takes what there is; less where the gateway is closing and the database away."""
        while self._orphans:
            orphan = self._orphans[0]
            if not await self._take(orphan.writer_id, orphan.segments) or not await self._interrupt(orphan.writer_id):
                return
            self._orphans.popleft()
            self._store.forget(orphan.writer_id)
            await asyncio.to_thread(orphan.close)
        await self._take(self._journal.writer_id, self._journal.segments)

    async def _take(self, writer_id: str, segments: deque[Segment]) -> bool:
        """Takes a writer's segments; of one that is still being written, what it holds now. False: could not."""
        while segments:
            if self._settled >= self._fence:
                return False
            segment = segments[0]
            closed = segment.closed
            records, offset, end = await self._read(segment.path)
            if records:
                if not await self._write_rows(writer_id, segment.path, records):
                    return False
                self._offset = offset
                self._settle(len(records))
            if end == "more":
                continue
            if closed:
                if not await self._done_with(segments, segment, end):
                    return True
            elif end != "corrupt" or not self._journal.roll():
                return True
        return True

    def _room(self) -> int:
        return int(min(self._batch, self._fence - self._settled))

    async def _write_rows(self, writer_id: str, path: Path, records: Sequence[Record]) -> bool:
        rows = [row for record in records if (row := _row(record)) is not None]
        if rows and not await self._write(writer_id, path, rows):
            return False
        if writer_id != self._journal.writer_id:
            await self._inherit(records)
        return True

    async def _done_with(self, segments: deque[Segment], segment: Segment, end: frames.End) -> bool:
        """Removes a segment that was taken; False where it has to stay for now, because of what it alone tells."""
        if segments is self._journal.segments:
            try:
                self._journal.carry_over(segment)
            except GatewayError:
                return False
        if end != "end":
            await self._give_up(segment, end)
        self._settle(segment.records - self._taken)
        segments.popleft()
        self._offset = self._taken = 0
        if self._left.open:
            # Until what is open has a row.
            self._left.segments.append(segment.path)
        else:
            await asyncio.to_thread(segment.path.unlink, missing_ok=True)
        return True

    async def _inherit(self, records: Sequence[Record]) -> None:
        """Notes which attempts of a dead process have begun and have no row; settles once more what it has settled."""
        for place, record in enumerate(records):
            self._left.note(record)
            if type(record) is Settling and self._settle_again is not None:
                await self._settle_again(record.lease, record.used)
            if place % _SLICE == 0:
                await asyncio.sleep(0)

    async def _interrupt(self, writer_id: str) -> bool:
        """Writes a row for each attempt that a dead process has left open, now that all that it wrote is taken."""
        left = self._left
        rows = tuple(left.open.values())
        if rows:
            if not await self._write(writer_id, left.segments[-1], rows):
                return False
            _log.warning("calls_interrupted", writer=writer_id, calls=len(rows))
        for path in left.segments:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        self._left = Left()
        return True

    async def _read(self, path: Path) -> tuple[list[Record], int, frames.End]:
        records: list[Record] = []
        offset = self._offset
        end: frames.End = "more"
        while end == "more" and (room := self._room() - len(records)) > 0:
            chunk = frames.read(path, offset, min(_SLICE, room))
            records += chunk.records
            offset, end = chunk.next_offset, chunk.end
            await asyncio.sleep(0)
        return records, offset, end

    async def _write(self, writer_id: str, path: Path, records: Sequence[Row]) -> bool:
        """True once the records are in the database, or beside it where they do not fit; False where closing."""
        wait = self._retry_first
        while True:
            try:
                await self._store.insert(writer_id, records)
            except Exception as error:  # noqa: BLE001  # whatever it is, the records stay and are tried again
                if faults.of_values(error):
                    return await self._narrow(writer_id, path, records, error)
                self._stalled(error)
                if self._closing:
                    return False
                await self._pause(wait)
                wait = min(2 * wait, self._retry_most)
            else:
                self._resumed()
                return True

    async def _narrow(self, writer_id: str, path: Path, records: Sequence[Row], error: Exception) -> bool:
        """Not the database's fault but a record's. Which one is found by halves; that one is kept as well as it can."""
        if len(records) > 1:
            middle = len(records) // 2
            return await self._write(writer_id, path, records[:middle]) and await self._write(
                writer_id, path, records[middle:]
            )
        (record,) = records
        plain = storable(record)
        if plain is not record:
            _log.warning("ledger_record_altered", id=record.id)
            return await self._write(writer_id, path, [plain])
        await self._set_aside(path, record, error)
        return True

    def _settle(self, records: int) -> None:
        self._taken += records
        self._settled += records
        self._progress.set()

    async def _pause(self, seconds: float) -> None:
        """Sleeps, unless somebody is in a hurry."""
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._hurry.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._hurry.clear()

    def _stalled(self, error: Exception) -> None:
        if self._stalled_at is None:
            self._stalled_at = self._clock.monotonic()
            _log.warning("ledger_stalled", error=faults.told(error), backlog=self.backlog)

    def _resumed(self) -> None:
        if self._stalled_at is not None:
            away = self._clock.monotonic() - self._stalled_at
            self._stalled_at = None
            _log.info("ledger_resumed", seconds=round(away, 3), backlog=self.backlog)

    async def _give_up(self, segment: Segment, end: frames.End) -> None:
        """The rest of a segment cannot be read. A torn tail was never acknowledged; anything else is kept."""
        unread = segment.records - self._taken
        if end == "torn":
            _log.warning("journal_torn", segment=str(segment.path), offset=self._offset, records=unread)
            return
        kept = segment.path.with_name(segment.path.name + ".corrupt")
        await asyncio.to_thread(segment.path.rename, kept)
        _log.error("journal_corrupt", kept=str(kept), offset=self._offset, records=unread)

    async def _set_aside(self, path: Path, record: Row, error: Exception) -> None:
        kept = path.with_name(path.name + ".rejected")
        await asyncio.to_thread(_append, kept, frames.frame(record))
        _log.error("ledger_record_rejected", kept=str(kept), id=record.id, error=faults.told(error))


def _row(record: Record) -> Row | None:
    """What of a record the ledger has a table for."""
    if isinstance(record, Settling):
        return record.row
    return None if isinstance(record, Begun) else record


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
