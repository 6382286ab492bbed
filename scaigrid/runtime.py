"""What one worker owns: counters, connections, journal and ledger, opened and closed with the application."""

import asyncio
import gc
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Current, Snapshot
from scaigrid.db.engine import create_engine
from scaigrid.db.url import database_url
from scaigrid.dialects import DIALECTS
from scaigrid.health import Health
from scaigrid.ids import new_id
from scaigrid.ledger.journal import Journal
from scaigrid.ledger.queries import spent
from scaigrid.ledger.writer import LedgerWriter
from scaigrid.log import LineSink, Scrubber, configure
from scaigrid.middleware import Services
from scaigrid.periods import bounds
from scaigrid.stores import LIMITERS
from scaigrid.telemetry import Sample, Telemetry
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.port import Upstream
from scaigrid.upstream.simulator import SimulatorUpstream

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_STDOUT = 1
_DRAIN_SECONDS = 10.0


class Runtime:
    """One per worker process. `lifespan` does the I/O; making one does none but opening the journal's directory."""

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        self._config = config
        self._snapshot = snapshot
        clock = SystemClock()
        telemetry = Telemetry()
        self._lines = LineSink(_STDOUT)
        configure(self._lines, config.log.level, Scrubber(snapshot.secrets))
        self._limiter = LIMITERS[config.store.type](config.store, clock)
        self._journal = Journal(Path(config.server.data_dir) / "journal", new_id("worker", clock))
        self.engine = create_engine(database_url(config))
        self._writer = LedgerWriter(self._journal, self.engine, clock)
        self._upstreams: dict[str, Upstream] = {"http": Http1Upstream(), "simulator": SimulatorUpstream()}
        self.services = Services(
            clock=clock,
            current=Current(snapshot),
            dialects=sorted(DIALECTS, key=lambda dialect: len(dialect.prefix), reverse=True),
            limiter=self._limiter,
            health=Health(telemetry),
            recorder=self._journal,
            telemetry=telemetry,
            lines=self._lines,
        )
        self._budgets: list[Sample] = []
        self._expose(telemetry)

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """By transport: what an adapter names in `transport`."""
        return self._upstreams

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncGenerator[None]:
        """Opens the ledger and rebuilds the budgets from it; at the end writes what is still in the journal."""
        await self._writer.start()
        while not await self._writer.drain(_DRAIN_SECONDS):
            # Budgets rebuilt from a ledger that lacks rows would give away what those rows have spent.
            _log.warning("waiting_for_the_ledger", backlog=self._writer.backlog)
        await self._rebuild()
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A request makes hundreds of objects and next to no cycles: looking for them every 700 objects is wasted.
        gc.set_threshold(50_000, 20, 50)
        _log.info("worker_started", pid=os.getpid(), models=len(self._snapshot.models), keys=len(self._snapshot.keys))
        try:
            yield
        finally:
            await self._writer.drain(_DRAIN_SECONDS)
            await self._writer.close()
            await asyncio.gather(*(upstream.aclose() for upstream in self._upstreams.values()))
            await self.engine.dispose()
            _log.info("worker_stopped", pid=os.getpid())
            self._lines.flush()

    async def checks(self) -> Mapping[str, str]:
        """What readiness rests on: `ok`, or what is wrong."""
        writer = self._writer
        waiting = f"the database cannot be written; {writer.backlog} records wait in the journal"
        return {
            "journal": "ok" if self._journal.writable else "the journal cannot be written",
            "ledger": "ok" if writer.healthy else waiting,
            "store": "ok",
        }

    async def _rebuild(self) -> None:
        """A budget is as hard after a restart as before it: what the ledger says was spent is spent."""
        now = self.services.clock.now()
        totals: dict[str, int] = {}
        for fund in self._snapshot.funds:
            start, end = bounds(fund.period, fund.zone, now)
            cost, tokens, requests = await spent(self.engine, fund.level, fund.subject, start, end)
            totals[fund.at(now).key] = {"cost": cost, "tokens": tokens, "requests": requests}[fund.kind]
        await self._limiter.preset(totals)

    def _expose(self, telemetry: Telemetry) -> None:
        telemetry.on_scrape(
            "scaigrid_ledger_backlog",
            "Records in the journal that are not in the database yet.",
            (),
            lambda: [((), self._writer.backlog)],
        )
        telemetry.before_scrape(self._read_budgets)
        telemetry.on_scrape(
            "scaigrid_budget_spent",
            "Spent in the current period: cost in nano-units, tokens, requests.",
            ("budget", "kind"),
            lambda: self._budgets,
        )

    async def _read_budgets(self) -> None:
        now = self.services.clock.now()
        buckets = {fund.at(now).key: fund for fund in self._snapshot.funds}
        standing = await self._limiter.spent([fund.at(now) for fund in self._snapshot.funds])
        self._budgets = [((buckets[key].name, buckets[key].kind), spent) for key, (spent, _) in standing.items()]
