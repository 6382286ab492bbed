"""Several workers, each a process as it is in a gateway, scraped as one."""

import asyncio
import multiprocessing
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from scaigrid.shared_metrics import Over, Shared, clear
from scaigrid.telemetry import Sample, Telemetry
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Metrics

OVERS: tuple[Over, ...] = ("sum", "min", "max", "one")


class Work:
    """What a worker does when it is told to, in its own process."""

    def __init__(self, directory: Path) -> None:
        self.shared = Shared(directory)
        self.telemetry = Telemetry(self.shared)
        self.reading: list[Sample] = []
        for over in OVERS:
            self.telemetry.on_scrape(f"scaigrid_{over}", "Read.", ("of",), lambda: self.reading, over=over)

    def place(self) -> int:
        return self.shared.place

    def answer(self, calls: int) -> None:
        for _ in range(calls):
            self.telemetry.answered("m", 200, "native")
            self.telemetry.took("m", "be", 0.25)

    def take(self, amount: int) -> None:
        key = ("budget", "user", "cost")
        self.telemetry.taken[key] = self.telemetry.taken.get(key, 0) + amount

    def breaks(self, state: int, health: float) -> None:
        self.telemetry.breaker.labels("be").set(state)
        self.telemetry.backend_health.labels("be").set(health)

    def read(self, **readings: float) -> None:
        self.reading = [((name,), value) for name, value in readings.items()]

    def tell(self) -> None:
        """What it does every second."""

        async def once(_: float) -> None:
            raise asyncio.CancelledError

        async def share() -> None:
            await asyncio.gather(self.telemetry.share(once), return_exceptions=True)

        asyncio.run(share())

    def render(self) -> bytes:
        return asyncio.run(self.telemetry.render())


def work(orders: Connection, directory: Path) -> None:
    """The worker's process."""
    worker = Work(directory)
    while True:
        try:
            name, arguments, keywords = orders.recv()
        except EOFError:
            return
        orders.send(getattr(worker, name)(*arguments, **keywords))


class Worker:
    """A worker from outside: every attribute is an order to it."""

    def __init__(self, directory: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, directory), daemon=True)
        self._process.start()
        theirs.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def order(*arguments: Any, **keywords: Any) -> Any:
            self._orders.send((name, arguments, keywords))
            assert self._orders.poll(PATIENCE)
            return self._orders.recv()

        return order

    def scrape(self) -> Metrics:
        return Metrics(self.render().decode())

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join(PATIENCE)

    def stop(self) -> None:
        """It ends as a process does that has nothing left to do."""
        self._orders.close()
        self._process.join(PATIENCE)


@contextmanager
def born(directory: Path) -> Generator[Callable[[], Worker]]:
    """Makes workers of a directory, and ends them all."""
    workers: list[Worker] = []

    def bear() -> Worker:
        worker = Worker(directory)
        workers.append(worker)
        worker.place()
        return worker

    yield bear
    for worker in workers:
        worker.kill()


@pytest.fixture
def bear(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    with born(tmp_path / "metrics") as make:
        yield make


Bear = Callable[[], Worker]


def test_whoever_is_asked_tells_of_all_the_living_and_the_dead(bear: Bear) -> None:
    workers = [bear() for _ in range(3)]
    for calls, worker in enumerate(workers, 3):
        worker.answer(calls)
        worker.take(10**calls)
    for worker in workers:
        found = worker.scrape()
        assert found.value("scaigrid_requests_total", model="m", status="200", protocol="native") == 3 + 4 + 5
        assert found.value("scaigrid_request_duration_seconds_count") == 12
        assert found.value("scaigrid_request_duration_seconds_sum") == 3.0
        assert found.value("scaigrid_request_duration_seconds_bucket", le="0.25") == 12
        assert found.value("scaigrid_request_duration_seconds_bucket", le="0.1") == 0
        assert found.value("scaigrid_taken_total", of="budget", level="user", kind="cost") == 111_000
    workers[0].kill()
    workers[1].stop()
    found = workers[2].scrape()
    assert found.value("scaigrid_requests_total") == 12
    assert found.value("scaigrid_taken_total") == 111_000


def test_the_next_worker_at_a_place_goes_on_from_what_the_last_one_counted(bear: Bear, tmp_path: Path) -> None:
    asked = bear()
    files: set[int] = set()
    for rebirths in range(4):
        worker = bear()
        assert worker.place() == 1
        worker.answer(1)
        worker.take(1)
        assert asked.scrape().value("scaigrid_requests_total") == rebirths + 1
        assert asked.scrape().value("scaigrid_taken_total") == rebirths + 1
        files.add(len(list((tmp_path / "metrics").iterdir())))
        worker.kill()
    assert len(files) == 1


def test_the_worst_of_a_backend_counts_and_only_the_living_know(bear: Bear) -> None:
    well, ill = bear(), bear()
    well.breaks(0, 1)
    ill.breaks(1, 0)
    for worker in (well, ill):
        assert worker.scrape().value("scaigrid_circuit_breaker_state", backend_id="be") == 1
        assert worker.scrape().value("scaigrid_backend_health", backend_id="be") == 0
    ill.kill()
    assert well.scrape().value("scaigrid_circuit_breaker_state", backend_id="be") == 0
    assert well.scrape().value("scaigrid_backend_health", backend_id="be") == 1
    # Nor does the next one at that place begin with what the last one thought
    assert bear().scrape().value("scaigrid_circuit_breaker_state", backend_id="be") == 0


def test_what_is_read_at_the_scrape_is_put_together_from_all_the_living(bear: Bear) -> None:
    one, other, dead = bear(), bear(), bear()
    one.read(a=5, b=1)
    other.read(a=2, c=7)
    dead.read(a=100)
    for worker in (one, other, dead):
        worker.tell()
    dead.kill()
    found = one.scrape()
    of_a = {over: found.value(f"scaigrid_{over}", of="a") for over in OVERS}
    assert of_a == {"sum": 7, "min": 2, "max": 5, "one": 5}
    assert {labels["of"] for labels in found.labels("scaigrid_sum")} == {"a", "b", "c"}
    assert {labels["of"] for labels in found.labels("scaigrid_one")} == {"a", "b"}
    assert other.scrape().value("scaigrid_one", of="a") == 2


def test_what_is_read_of_ones_own_is_read_now_and_what_is_gone_is_gone(bear: Bear) -> None:
    one, other = bear(), bear()
    for worker in (one, other):
        worker.read(a=1)
        worker.tell()
    one.read(b=3)
    found = one.scrape()
    assert found.value("scaigrid_sum", of="b") == 3
    assert found.value("scaigrid_sum", of="a") == 1
    other.read(b=4)
    other.tell()
    found = one.scrape()
    assert found.value("scaigrid_sum", of="b") == 7
    assert {labels["of"] for labels in found.labels("scaigrid_sum")} == {"b"}


def test_a_worker_that_has_not_told_yet_or_told_nonsense_is_left_out(bear: Bear, tmp_path: Path) -> None:
    one, other = bear(), bear()
    one.read(a=1)
    other.read(a=1)
    assert one.scrape().value("scaigrid_sum", of="a") == 1
    (tmp_path / "metrics" / f"{other.place()}.json").write_bytes(b"[{")
    (tmp_path / "metrics" / "counter_99.db").write_bytes(b"")
    assert one.scrape().value("scaigrid_sum", of="a") == 1


def test_every_metric_is_there_once_with_its_text(bear: Bear) -> None:
    one, other = bear(), bear()
    for worker in (one, other):
        worker.answer(1)
        worker.take(1)
        worker.breaks(0, 1)
        worker.read(a=1)
        worker.tell()
    lines = one.scrape().text.splitlines()
    told = [line.split(" ", 3) for line in lines if line.startswith("# HELP ")]
    names = [line[2] for line in told]
    assert names == sorted(set(names))
    assert [line for line in told if not line[3]] == []
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    assert not any("pid=" in line for line in lines)


def test_a_gateway_that_starts_begins_at_0(bear: Bear, tmp_path: Path) -> None:
    first = bear()
    first.answer(5)
    first.tell()
    first.kill()
    clear(tmp_path / "metrics")
    assert list((tmp_path / "metrics").iterdir()) == []
    second = bear()
    second.answer(1)
    assert second.scrape().value("scaigrid_requests_total") == 1


def test_a_directory_is_made_where_there_is_none(tmp_path: Path) -> None:
    clear(tmp_path / "new" / "metrics")
    assert (tmp_path / "new" / "metrics").is_dir()
