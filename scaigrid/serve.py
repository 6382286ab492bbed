"""`scaigrid serve`: the process that owns the data directory, brings the database up to date and keeps the workers."""

import asyncio
import errno
import math
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from scaigrid.app import ADAPTERS, Overrides, build, load_config, worker_app
from scaigrid.asgi import ASGIApp
from scaigrid.banner import banner
from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.control.declared import resources_of
from scaigrid.control.opening import vault_of
from scaigrid.control.unchanged import stands
from scaigrid.control.vault import CannotOpen
from scaigrid.errors import GatewayError
from scaigrid.ledger.lock import DataDirLock
from scaigrid.log import LineSink, Scrubber, configure
from scaigrid.notice import Notice, Parting
from scaigrid.process import die_with_parent, enough_files, mortal_from_birth
from scaigrid.reloading.attendant import Attendant
from scaigrid.reloading.channel import Channel
from scaigrid.reloading.reload import Reload
from scaigrid.reloading.tally import Tally
from scaigrid.reloading.watch import Sign, Watch, sign_of
from scaigrid.room import most_calls
from scaigrid.shared_metrics import clear, metrics_directory
from scaigrid.stopping import CLOSE_SECONDS

_STDOUT = 1
_CONNECTIONS = 1024
"""Of a worker, besides two for each call: for clients that keep theirs, for probes, and for calls that are refused."""
_FILES = 256
"""Of a worker, besides two for each connection: its client's and its provider's."""


class CannotServe(Exception):
    """Why not, and the line to change."""


def serve(path: Path, overrides: Overrides) -> None:
    """Serves until SIGTERM or SIGINT. Raises ConfigErrors, Unfit, CannotServe, DataDirTaken; exits 1 if workers die."""
    # Until the server listens: whoever is told to stop while it starts lets go of what it has. The first process of a
    # container would not even hear it.
    signal.signal(signal.SIGTERM, _stop)
    # Before it is read: what is written while we read is news.
    sign = sign_of(path)
    config = load_config(path, overrides)
    server = config.server
    _claim_port(server.host, server.port)
    lock = DataDirLock(Path(server.data_dir), SystemClock())
    try:
        lock.acquire()
    except OSError as error:
        raise CannotServe(f"server.data_dir: {server.data_dir}: {error.strerror}") from error
    try:
        _migrate(config, path)
        with _present(config):
            applied = _apply(config, path)
            sys.stderr.write(banner(config, path) + applied + "\n")
            sys.stderr.flush()
            if server.workers > 1:
                clear(metrics_directory(server))
            with _attendant(config, path, overrides, sign):
                _run(path, overrides, config)
    finally:
        lock.release()


def _stop(*_: object) -> NoReturn:
    sys.exit(0)


def _claim_port(host: str, port: int) -> None:
    """Granian listens with SO_REUSEPORT, with which two servers share a port in silence; without it one fails."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotServe(f"server.host: {host}: {error.strerror}") from error
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = (
                "is taken: stop what listens there, or set another port"
                if taken
                else f"cannot be used: {error.strerror}"
            )
            raise CannotServe(f"server.port: {host}:{port} {reason}") from error


def _migrate(config: Config, path: Path) -> None:
    from scaigrid.db.migrate import NotReady, OldRevision, ensure_current
    from scaigrid.db.statistics import measure
    from scaigrid.db.url import database_url

    try:
        ensure_current(database_url(config))
        measure(database_url(config))
    except OldRevision as error:
        raise CannotServe(f"{error}: make a backup, then run `scaigrid migrate {path}`") from error
    except NotReady as error:
        raise CannotServe(str(error)) from error


@contextmanager
def _present(config: Config) -> Generator[None]:
    """Other gateways on the database know of this one for as long as the block lasts."""
    if config.database.url is None:
        # Nobody else has it, so that nobody has to be looked for: that would cost a start some imports.
        yield
        return
    from sqlalchemy.exc import SQLAlchemyError

    from scaigrid.instances import NotAlone, present, refusal

    with ExitStack() as block:
        try:
            block.enter_context(present(config, SystemClock(), _say))
        except NotAlone as error:
            raise CannotServe(refusal(config, error)) from error
        except (SQLAlchemyError, OSError) as error:
            raise CannotServe(f"the database cannot be used: {error}") from error
        yield


def _say(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _apply(config: Config, path: Path) -> str:
    """Brings the database to what the file declares; a line for people where something changed."""
    try:
        declared, vault = resources_of(config), vault_of(config)
    except OSError as error:
        raise CannotServe(f"server.data_dir: {config.server.data_dir}: {error.strerror}") from error
    if stands(config, declared, vault):
        return ""
    from scaigrid.control import once
    from scaigrid.control.apply import Refused

    try:
        done = asyncio.run(once.put_in_force(config, vault, declared, ADAPTERS, source=str(path), actor="serve"))
    except Refused as refused:
        raise CannotServe(f"the database cannot be brought to what {path} declares:\n{refused}") from refused
    except CannotOpen as error:
        raise CannotServe(str(error)) from error
    except GatewayError as error:
        raise CannotServe(f"the database cannot be used: {error.__cause__ or error}") from error
    if done.seq is None:
        return ""
    plan = done.plan
    counted = f"{len(plan.create)} created, {len(plan.change)} changed, {len(plan.delete)} deleted"
    return f"\n  applied  {counted}: entry {done.seq} of the history"


def _attendant(config: Config, path: Path, overrides: Overrides, sign: Sign | None) -> Attendant:
    """What answers `scaigrid reload` and watches the file. Its lines go where the workers' do."""
    clock = SystemClock()
    configure(LineSink(_STDOUT), config.log.level, Scrubber())
    channel = Channel(Path(config.server.data_dir))
    try:
        channel.open()
    except OSError as error:
        sys.stderr.write(f"scaigrid: `scaigrid reload` will find nobody: {error}\n")
    watch = Watch(path, sign) if config.server.watch else None
    tally = Tally(Path(config.server.data_dir))
    return Attendant(Reload(path, overrides, config), channel, watch, clock, tally.count)


class Worker:
    """What a worker process serves: the settings that its parent was started with, whatever the file says by now."""

    def __init__(self, path: Path, overrides: Overrides, config: Config, notice: Notice) -> None:
        self._file = path, overrides
        self._config = config
        self._notice = notice

    def __call__(self) -> ASGIApp:
        die_with_parent()
        return build(self._config, self._notice)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Where processes are spawned and not forked: credentials are not sent from one to the other.
        return partial, (worker_app, *self._file)


_SERVER_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "scaigrid: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "loggers": {"_granian": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
}
"""Granian's own words go where a person reads them: standard output holds JSON lines and nothing else."""


def _run(path: Path, overrides: Overrides, config: Config) -> None:
    from granian import Granian
    from granian.constants import Interfaces, Loops
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    server = config.server
    notice = Notice()
    connections = _CONNECTIONS + 2 * most_calls(config)
    enough_files(_FILES + 2 * connections)
    mortal_from_birth()
    gateway = Granian(
        "scaigrid",
        address=server.host,
        port=server.port,
        interface=Interfaces.ASGI,
        workers=server.workers,
        loop=Loops.uvloop,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        log_level=LogLevels.warning,
        log_dictconfig=_SERVER_LOG,
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(server.shutdown_seconds + CLOSE_SECONDS),
        # Of a worker; whoever comes after them waits to be taken, and hears nothing.
        backpressure=connections,
    )
    gateway.on_startup(Parting(notice, server.drain_seconds).listen)
    gateway.serve(target_loader=Worker(path, overrides, config, notice), wrap_loader=False)
