"""`scaigrid serve`: the process that owns the data directory, brings the database up to date and keeps the workers."""

import errno
import math
import socket
import sys
from functools import partial
from pathlib import Path

from scaigrid.app import Overrides, load_config, worker_app
from scaigrid.banner import banner
from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.ledger.lock import DataDirLock


class CannotServe(Exception):
    """Why not, and the line to change."""


def serve(path: Path, overrides: Overrides) -> None:
    """Serves until SIGTERM or SIGINT. Raises ConfigErrors, Unfit, CannotServe, DataDirTaken; exits 1 if workers die."""
    config = load_config(path, overrides)
    server = config.server
    _claim_port(server.host, server.port)
    lock = DataDirLock(Path(server.data_dir), SystemClock())
    try:
        lock.acquire()
    except OSError as error:
        raise CannotServe(f"server.data_dir: {server.data_dir}: {error.strerror}") from error
    try:
        _migrate(config)
        sys.stderr.write(banner(config, path) + "\n")
        sys.stderr.flush()
        _run(path, overrides, config)
    finally:
        lock.release()


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


def _migrate(config: Config) -> None:
    from scaigrid.db.migrate import ensure_current
    from scaigrid.db.url import database_url

    ensure_current(database_url(config))


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
    Granian(
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
        workers_kill_timeout=math.ceil(server.shutdown_seconds),
    ).serve(target_loader=partial(worker_app, path, overrides), wrap_loader=False)
