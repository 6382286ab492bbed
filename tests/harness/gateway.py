"""The real gateway as a process of its own: started from a configuration, asked until it is ready, read from outside.

What it wrote is looked at where an operator would look: its log lines, its metrics, its database file.
"""

import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.ports import LOOPBACK, free_port

_TRIES: Final = 5
_TAKEN: Final = "is taken"
_BOUND: Final = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Where the system can: a gateway does not outlive a test process that was itself killed."""
_BANNER: Final = "ScaiGrid "

Row = dict[str, Any]


class NotServing(AssertionError):
    """The gateway ended before it was ready; `code` is its exit code, the text is what it wrote."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"exit code {code}:\n{text}")
        self.code = code
        self.text = text


class Gateway:
    """One gateway on a data directory. As a context it is started and, however the block is left, ended."""

    def __init__(
        self,
        config: Mapping[str, Any],
        directory: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
    ) -> None:
        """`config` without its `server` section's port and directory, unless it says them itself.

        `text` is what the file has instead of it: one whose data directory is `./data`.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.file = directory / "gateway.yaml"
        self.port: int = 0
        # Nobody balances load here: what is told to stop has nobody to wait for, unless a test says so.
        given = {"drain_seconds": 0, **config.get("server", {})}
        self._server: dict[str, Any] = {"data_dir": str(directory / "data"), **given}
        self._text = json.dumps({**config, "server": self._server}) if text is None else text
        self.data = Path(self._server["data_dir"])
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._out = directory / "stdout"
        self._err = directory / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life ----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Returns once it is ready. Raises NotServing where it ends instead."""
        for _ in range(_TRIES):
            self.spawn()
            try:
                eventually(self._ready, "the gateway is ready")
            except NotServing as error:
                if _TAKEN in error.text and "port" not in self._server:
                    continue
                raise
            except AssertionError:
                self.kill_group()
                raise
            return self
        raise AssertionError("no free port")

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts it, in a process group of its own, and does not wait."""
        self.port = self._server.get("port") or free_port()
        self.file.write_text(self._text)
        command = [*_BOUND, sys.executable, "-m", "scaigrid", "serve", str(self.file), "--port", str(self.port)]
        with ExitStack() as files:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                cwd=self.directory,
                env=self._environment,
                stdout=self._log(files),
                stderr=files.enter_context(self._err.open("wb")),
                start_new_session=True,
            )
        return self._process

    def _log(self, files: ExitStack) -> IO[bytes] | int:
        """Where its standard output goes: to the file that is read here."""
        return files.enter_context(self._out.open("ab"))

    def _ready(self) -> bool:
        code = self.process.poll()
        if code is not None:
            raise NotServing(code, self._err.read_text() + self._out.read_text())
        if not self.stderr.startswith(_BANNER):
            # Whoever answers on the port before this one has told where it listens is another gateway.
            return False
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def worker(self) -> int:
        """The pid of the worker that was started last, as it told the log."""

        def started() -> list[int]:
            return [line["pid"] for line in self.lines() if line["event"] == "worker_started"]

        return eventually(started, "a worker tells its pid")[-1]

    def workers(self, count: int) -> list[int]:
        """The pids of so many living workers, oldest first, awaited."""

        def living() -> list[int] | None:
            over = {line["pid"] for line in self.lines() if line["event"] == "worker_stopped"}
            started = [line["pid"] for line in self.lines() if line["event"] == "worker_started"]
            found = [pid for pid in started if pid not in over and _lives(pid)]
            return found if len(found) == count else None

        return eventually(living, f"{count} workers live")

    def terminate(self) -> None:
        """SIGTERM, as a supervisor sends it, and no wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, *, seconds: float = PATIENCE) -> int:
        """Its exit code."""
        return self.process.wait(timeout=seconds)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.terminate()
        return self.wait()

    def kill_worker(self) -> None:
        """SIGKILL to the worker alone."""
        os.kill(self.worker, signal.SIGKILL)

    def kill_group(self) -> None:
        """SIGKILL to the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.wait()
        self.kill_group()

    # -- what it says ------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def stdout(self) -> str:
        """Everything that it has written to standard output, over all of its lives."""
        return self._out.read_text() if self._out.exists() else ""

    @property
    def stderr(self) -> str:
        """What its last life has written to standard error."""
        return self._err.read_text() if self._err.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """The log, line by line."""
        return [
            json.loads(line) for line in self.stdout.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"
        ]

    def strays(self) -> list[str]:
        """What stands between the lines of the log and is none."""
        return [line for line in self.stdout.splitlines() if not line.startswith("{")]

    def line(self, request_id: str) -> dict[str, Any]:
        """The access log's line of one request, awaited."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.lines() if one["event"] == "request" and one["request_id"] == request_id]

        return eventually(found, f"a line of {request_id} in the access log")[0]

    def metrics(self) -> "Metrics":
        """`/metrics`, parsed."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", "/metrics")
            return Metrics(connection.getresponse().read().decode())

    # -- what it keeps -----------------------------------------------------------------------------------------------

    def rows(self, table: str, **equal: object) -> list[Row]:
        """The rows of a table whose columns have these values, oldest first. Reads only, and never waits."""
        where = " AND ".join([f'"{name}" = ?' for name in equal]) or "1"
        with closing(sqlite3.connect(f"file:{self.data / 'scaigrid.db'}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(f'SELECT * FROM "{table}" WHERE {where} ORDER BY rowid', tuple(equal.values()))  # noqa: S608 - names from tests
            return [dict(row) for row in found]

    def usage(self, count: int, **equal: object) -> list[Row]:
        """`count` usage rows, awaited; more of them is an error."""
        return self._awaited("usage", count, equal)

    def audit(self, count: int, **equal: object) -> list[Row]:
        """`count` audit rows, awaited; more of them is an error."""
        return self._awaited("audit", count, equal)

    def _awaited(self, table: str, count: int, equal: Mapping[str, object]) -> list[Row]:
        def enough() -> list[Row] | None:
            rows = self.rows(table, **equal)
            return rows if len(rows) >= count else None

        rows = eventually(enough, f"{count} rows of {table} with {equal}")
        assert len(rows) == count, rows
        return rows


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sum over every sample of that name with at least these labels, 0 where there is none."""
        wanted = frozenset(labels.items())
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= has)

    def labels(self, name: str) -> Iterator[dict[str, str]]:
        """The labels of each sample of that name."""
        return (dict(labels) for found, labels in self.samples if found == name)
