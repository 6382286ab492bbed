"""What one worker owns: counters, connections, journal and ledger, opened and closed with the application."""

import asyncio
import gc
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Current, Fund, Snapshot
from scaigrid.control.follower import Control
from scaigrid.control.opening import open_store, vault_of
from scaigrid.control.state import State
from scaigrid.credentials.fetching import Fetching
from scaigrid.credentials.signers import Signers
from scaigrid.db.engine import create_engine
from scaigrid.db.url import database_url, passwords
from scaigrid.dialects import DIALECTS
from scaigrid.draining import Drains
from scaigrid.errors import Code, GatewayError, Level
from scaigrid.events import LoggedEvents
from scaigrid.gates import Gates
from scaigrid.health import Health
from scaigrid.held import PURPOSE, Names
from scaigrid.idempotency import Repeats, Terms
from scaigrid.ids import new_id
from scaigrid.instances import Presence
from scaigrid.ledger.journal import Journal
from scaigrid.ledger.queries import Spent, spent_by
from scaigrid.ledger.retention import Retention
from scaigrid.ledger.writer import LedgerWriter
from scaigrid.log import LineSink, Scrubber, configure
from scaigrid.middleware import Services
from scaigrid.notice import Notice
from scaigrid.oidc import token_verifier
from scaigrid.periods import bounds
from scaigrid.reloading.tally import counted
from scaigrid.repeats import RUNS
from scaigrid.repeats.answers import DatabaseAnswers
from scaigrid.shared_metrics import Shared, metrics_directory
from scaigrid.stopping import Stopping
from scaigrid.stores import LIMITERS
from scaigrid.telemetry import Sample, Telemetry
from scaigrid.thresholds import Thresholds
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.port import Upstream
from scaigrid.upstream.simulator import SimulatorUpstream

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_STDOUT = 1
_DRAIN_SECONDS = 10.0
_RETRY_FIRST = 0.1
_RETRY_MOST = 2.0
_OTHERS_SECONDS = 1.0
"""Within which every worker has written what it journalled, several times over."""


class Runtime:
    """One per worker process. `lifespan` does the I/O; making one does none but opening the journal's directory."""

    def __init__(
        self, config: Config, compiled: Callable[[State, Signers], Snapshot], notice: Notice | None = None
    ) -> None:
        """`compiled` makes the snapshot of a state; which one is known when the lifespan begins.

        `notice` is how the worker hears that it will have to stop: None where it is no process of its own.
        """
        self._config = config
        self._notice = notice
        clock = SystemClock()
        shared = Shared(metrics_directory(config.server)) if config.server.workers > 1 else None
        telemetry = Telemetry(shared)
        self._lines = LineSink(_STDOUT)
        self._scrubber = Scrubber(passwords(config))
        configure(self._lines, config.log.level, self._scrubber)
        self._limiter = LIMITERS[config.store.type](config.store, clock, telemetry.fell_back)
        self._journal = Journal(Path(config.server.data_dir) / "journal", new_id("worker", clock))
        self.engine = create_engine(database_url(config))
        self._writer = LedgerWriter(self._journal, self.engine, clock, settle=self._limiter.settle_again)
        self.drains = Drains(config.forwarder, telemetry)
        self._upstreams: dict[str, Upstream] = {"http": Http1Upstream(), "simulator": SimulatorUpstream()}
        self.signers = Signers(clock, Fetching(self._upstreams["http"]))

        def made(state: State) -> Snapshot:
            return compiled(state, self.signers)

        current = Current(made(State.of(())))
        self.control = Control(open_store(config, self.engine, clock), made, current, clock, self._adopt)
        section = config.links().get("idempotency")
        terms = section if isinstance(section, Terms) else Terms()
        self._runs = RUNS[config.store.type](config.store, clock)
        self._answers = DatabaseAnswers(self.engine, clock, terms.max_total_bytes)
        self._repeats = Repeats(self._runs, self._answers, terms)
        self.services = Services(
            clock=clock,
            current=current,
            dialects=sorted(DIALECTS, key=lambda dialect: len(dialect.prefix), reverse=True),
            limiter=self._limiter,
            gates=Gates(telemetry),
            health=Health(telemetry),
            recorder=self._journal,
            telemetry=telemetry,
            lines=self._lines,
            identity=token_verifier(config.identity, clock),
            open_paths=config.health.open_paths,
            seen=self.control.seen,
            names=Names(vault_of(config).derived(PURPOSE)),
            repeats=self._repeats,
        )
        kept = config.ledger
        self._retention = Retention(
            self.engine,
            clock,
            usage_days=kept.usage_days,
            hourly_days=kept.hourly_days,
            timeline_days=kept.timeline_days,
        )
        self._presence = Presence(config, self.engine, clock, self._limiter.bar)
        thresholds = Thresholds(current, clock, telemetry, LoggedEvents())
        self._limiter.on_spent(thresholds.heard)
        self._counted: set[tuple[str, ...]] | None = None
        """Budgets whose spending this worker has rebuilt, None before the first time. Once for each: later on the
        counters know more than the ledger, which is written behind them."""
        self._budgets: list[Sample] = []
        self._tasks: Sequence[asyncio.Task[None]] = ()
        self._closing: asyncio.Task[None] | None = None
        self._expose(telemetry)

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """By transport: what an adapter names in `transport`."""
        return self._upstreams

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncGenerator[None]:
        """Opens the ledger and rebuilds the budgets from it; at the end writes what is still in the journal."""
        if self._notice is not None:
            # The server that waits for us to start would hear it and do nothing.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        await self._writer.start()
        while not await self._writer.drain(_DRAIN_SECONDS):
            # Budgets rebuilt from a ledger that lacks rows would give away what those rows have spent.
            _log.warning("waiting_for_the_ledger", backlog=self._writer.backlog)
        await self._open()
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A request makes hundreds of objects and next to no cycles: looking for them every 700 objects is wasted.
        gc.set_threshold(50_000, 20, 50)
        if self._notice is not None:
            Stopping(self.services.live, self._config.server.shutdown_seconds, self._close).listen(self._notice)
        snapshot = self.services.current.snapshot
        _log.info(
            "worker_started",
            pid=os.getpid(),
            models=len(snapshot.models),
            keys=len(snapshot.keys),
            epoch=snapshot.epoch,
        )
        self.control.follow()
        steady = (
            self._rebuild(),
            self.services.telemetry.share(),
            self._answers.tend(),
            self._presence.tend(),
            self._retention.run(),
        )
        self._tasks = [asyncio.create_task(each) for each in steady]
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        """Once, whoever comes first: the lifespan at its end, or a worker that cannot wait for it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_all())
        await asyncio.shield(self._closing)

    async def _close_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.control.close()
        # Ahead of the last look at the journal: each of them leaves a row. What the first ends may begin to drain.
        await self._repeats.aclose()
        await self.drains.aclose()
        await self._writer.drain(_DRAIN_SECONDS)
        await self._writer.close()
        await self._runs.aclose()
        await self._limiter.aclose()
        await self.services.identity.aclose()
        await asyncio.gather(*(upstream.aclose() for upstream in self._upstreams.values()))
        await self.engine.dispose()
        _log.info("worker_stopped", pid=os.getpid())
        self._lines.flush()

    async def checks(self) -> Mapping[str, str]:
        """What readiness rests on: `ok`, or what is wrong."""
        if self.services.live.leaving:
            # Nobody has to know more, and whoever asks should not have to wait for a store.
            return {"stopping": "the gateway is stopping"}
        writer = self._writer
        waiting = f"the database cannot be written; {writer.backlog} records wait in the journal"
        return {
            "journal": "ok" if self._writable() else "the journal cannot be written",
            "ledger": "ok" if writer.healthy else waiting,
            "store": await self._limiter.check(),
        }

    def _writable(self) -> bool:
        # Asked, not remembered: where nobody sends calls to what is not ready, no call would ever find out.
        with suppress(GatewayError):
            self._journal.check()
        return self._journal.writable

    async def _open(self) -> None:
        """Reads the state of the deployment; waits for the database as long as it takes."""
        wait = _RETRY_FIRST
        while True:
            try:
                await self.control.open()
            except GatewayError as error:
                _log.warning("waiting_for_the_database", error=str(error.__cause__ or error))
                await asyncio.sleep(wait)
                wait = min(2 * wait, _RETRY_MOST)
            else:
                return

    async def _adopt(self, snapshot: Snapshot) -> None:
        """Counts the budgets that are new; learns the credentials that must not be seen.

        A budget is as hard after a restart as before it: what the ledger says was spent is spent.
        """
        self._scrubber.learn((*snapshot.secrets, *passwords(self._config)))
        self.services.health.keep({backend.id for backend in snapshot.backends})
        self.services.gates.keep(snapshot.backends)
        now = self.services.clock.now()
        first, counted = self._counted is None, self._counted or set()
        new = [fund for fund in snapshot.funds if _identity(fund) not in counted]
        if new or first:
            spent = await self._spent(new, now)
            # A store that cannot be told now says so when it can: see `_rebuild`.
            with suppress(GatewayError):
                await self._limiter.preset(spent, complete=first)
        self._counted = {_identity(fund) for fund in snapshot.funds}

    async def _rebuild(self) -> None:
        """Counts all budgets anew whenever the store has lost what it held; until then it gives nothing out."""
        while True:
            await self._limiter.lost()
            # What is in a journal alone has been spent too; each worker brings its own to the ledger.
            await asyncio.sleep(_OTHERS_SECONDS)
            # Still so, and from now on the ledger is asked
            await self._limiter.lost()
            try:
                # What ends meanwhile is told to the store and is not in the ledger yet, so that it counts once.
                async with self._writer.drained(_DRAIN_SECONDS) as written:
                    if written:
                        funds = self.services.current.snapshot.funds
                        await self._limiter.preset(await self._spent(funds, self.services.clock.now()))
                        _log.info("budgets_rebuilt", budgets=len(funds))
            except GatewayError as error:
                _log.warning("waiting_to_rebuild_the_budgets", error=str(error.__cause__ or error))
                await asyncio.sleep(_RETRY_MOST)

    async def _spent(self, funds: Sequence[Fund], now: float) -> Mapping[str, int]:
        """By bucket key, what the ledger says was spent in the period; one question for all that share a period."""
        totals: dict[str, int] = {}
        asked: dict[tuple[Level, float, float], Mapping[str, Spent]] = {}
        for fund in funds:
            start, end = bounds(fund.period, fund.zone, now)
            span = (fund.level, start, end)
            if span not in asked:
                try:
                    asked[span] = await spent_by(self.engine, *span)
                except (SQLAlchemyError, OSError) as error:
                    raise GatewayError(Code.STORE_UNAVAILABLE) from error
            found = asked[span].get(fund.subject, Spent(0, 0, 0))
            amounts = {"cost": found.cost, "tokens": found.tokens, "requests": found.requests}
            totals[fund.at(now).key] = amounts[fund.kind]
        return totals

    def _expose(self, telemetry: Telemetry) -> None:
        directory = Path(self._config.server.data_dir)
        telemetry.on_scrape(
            "scaigrid_config_reloads",
            "How often the configuration file was read again since the start, by what came of it: applied, unchanged, "
            "refused, invalid, failed. After the last three everything is as it was.",
            ("outcome",),
            lambda: [((outcome,), count) for outcome, count in counted(directory).items()],
            over="one",
        )
        telemetry.on_scrape(
            "scaigrid_calls_under_way",
            "Calls that are under way in the gateway, queued and read on ones included.",
            (),
            lambda: [((), len(self.services.live))],
        )
        telemetry.on_scrape(
            "scaigrid_ledger_backlog",
            "Records in the journal that are not in the database yet.",
            (),
            lambda: [((), self._writer.backlog)],
        )
        telemetry.on_scrape(
            "scaigrid_config_epoch",
            "The deployment's epoch that is in force in this worker: how many changes it knows.",
            (),
            lambda: [((), self.services.current.snapshot.epoch)],
            over="min",
        )
        telemetry.on_scrape(
            "scaigrid_config_info",
            "1, with the hash of what the configuration file declares, as it was applied last.",
            ("hash",),
            lambda: [((self.control.config_hash or "none",), 1)],
            over="max",
        )
        telemetry.on_scrape(
            "scaigrid_config_rebuild_seconds",
            "How long the snapshot in force took to make.",
            (),
            lambda: [((), self.control.rebuild_seconds)],
            over="max",
        )
        telemetry.before_scrape(self._read_budgets)
        telemetry.on_scrape(
            "scaigrid_budget_spent",
            "Spent in the current period: cost in nano-units, tokens, requests.",
            ("budget", "kind"),
            lambda: self._budgets,
            over="one",
        )

    async def _read_budgets(self) -> None:
        now = self.services.clock.now()
        funds = self.services.current.snapshot.funds
        times = Counter((fund.name, fund.kind) for fund in funds)
        buckets = {fund.at(now).key: fund for fund in funds}
        self._budgets = []
        try:
            standing = await self._limiter.spent([fund.at(now) for fund in funds])
        except GatewayError:
            # The other metrics are wanted all the more while the store is away
            return
        for key, (spent, _) in standing.items():
            fund = buckets[key]
            # Two tenants may each have a budget of one name.
            name = fund.name if times[fund.name, fund.kind] == 1 else f"{fund.name} ({fund.id})"
            self._budgets.append(((name, fund.kind), spent))


def _identity(fund: Fund) -> tuple[str, ...]:
    """What stays the same while its limit changes."""
    return fund.id, fund.kind, fund.subject, fund.period, fund.zone.key
