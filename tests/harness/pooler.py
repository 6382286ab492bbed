"""A real PgBouncer that gives each transaction whichever session of the server is free, from Debian's `pgbouncer`."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy.engine import make_url

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.postgres import USER, Server
from tests.harness.valkey import BOUND

PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
"""None where it is not installed."""
SESSIONS: Final = 3
"""Of the server, for all clients together: far fewer than a gateway has connections."""


class Pooler:
    """In front of a server, as a context. It pools transactions, and takes any user without a password."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self._server = server
        self._directory = Path(tempfile.mkdtemp(prefix="scaigrid-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        assert PROGRAM is not None, "apt-get install pgbouncer"
        file = self._directory / "pgbouncer.ini"
        file.write_text(
            f"""
[databases]
* = host={self._server.directory} port=5432 user={USER}
[pgbouncer]
listen_addr = {LOOPBACK}
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SESSIONS}
max_client_conn = 200
"""
        )
        unprivileged: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to be run by root
            nobody = pwd.getpwnam("nobody")
            shutil.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
            unprivileged = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](
                [*BOUND, PROGRAM, str(file)], cwd=self._directory, stdout=log, stderr=log, **unprivileged
            )
        eventually(lambda: "process up" in self.log, "the pooler is up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    def url(self, database: str) -> str:
        """Of a database of the server, through the pooler, as the configuration has it."""
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/{make_url(database).database}?pgbouncer=true"
