"""The server of the tests is there when it is needed, and never a moment longer than the process that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.checkout import ROOT
from tests.harness.databases import Kind, empty, fresh, kind_of, server
from tests.harness.eventually import eventually

STARTS = """
import sys
from tests.harness.postgres import Server
server = Server().start()
pid = (server.directory / "data" / "postmaster.pid").read_text().splitlines()[0]
print(pid, server.directory, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_ends_with_the_process_that_started_it_even_if_that_is_killed() -> None:
    command = [sys.executable, "-c", STARTS]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    eventually(lambda: not alive(int(pid)), "the server has ended")
    eventually(lambda: not Path(directory).exists(), "its files are gone")


def test_a_stopped_server_keeps_its_rows() -> None:
    made = server()
    name = made.createdb()
    made.execute("CREATE TABLE t AS SELECT 7 AS n", database=name)
    made.stop()
    assert not made.running
    made.start()
    assert [row["n"] for row in made.execute("SELECT n FROM t WHERE n = $1", 7, database=name)] == [7]
    made.dropdb(name)


def test_one_database_does_not_see_the_other() -> None:
    one, two = server().createdb(), server().createdb()
    server().execute("CREATE TABLE t (n bigint)", database=one)
    found = server().execute("SELECT to_regclass('t') AS t", database=two)
    assert [row["t"] for row in found] == [None]
    for name in (one, two):
        server().dropdb(name)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_database_can_be_had_where_a_loop_runs(kind: Kind, tmp_path: Path) -> None:
    urls = [fresh(kind, tmp_path), fresh(kind, tmp_path), empty(kind, tmp_path)]
    assert len(set(urls)) == 3
    assert {kind_of(url) for url in urls} == {kind}
