"""The gateway as a process between a real client and a scripted provider."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.lanes import Lane, declare_strangers
from tests.harness.provider import Provider

LANES = 64
"""In one gateway. Where more tests come to this process than that, the next gateway follows."""


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@contextmanager
def sound(gateway: Gateway) -> Generator[Gateway]:
    """Runs it, and looks in the end at what no single test looks at: it stops as it should, and its log is in order."""
    with gateway:
        yield gateway
        assert gateway.stop() == 0
    assert gateway.strays() == [], "standard output holds JSON and nothing else"
    assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


class Lanes:
    """Lanes nobody has used, without an end; one gateway at a time."""

    def __init__(self, provider: Provider, directory: Callable[[], Path]) -> None:
        self._provider = provider
        self._directory = directory
        self._running = ExitStack()
        self._left: list[Lane] = []
        self._first = 0

    def take(self) -> Lane:
        if not self._left:
            self.close()
            self._begin()
        return self._left.pop(0)

    def close(self) -> None:
        self._running.close()

    def _begin(self) -> None:
        batch = [Lane(f"lane{number}", self._provider) for number in range(self._first, self._first + LANES)]
        config: dict[str, Any] = {}
        for lane in batch:
            lane.declare(config)
        declare_strangers(config, batch[0].model("embed"))
        gateway = self._running.enter_context(sound(Gateway(config, self._directory())))
        self._left = [lane.join(gateway) for lane in batch]
        self._first += LANES


@pytest.fixture(scope="session")
def lanes(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    made = Lanes(provider, lambda: tmp_path_factory.mktemp("gateway"))
    yield made
    made.close()


@pytest.fixture
def lane(lanes: Lanes, provider: Provider) -> Iterator[Lane]:
    """This test's own lane, checked at the end: nothing that it planned is left, and nobody asked for anything else."""
    mine = lanes.take()
    yield mine
    mine.close()
    left = {endpoint.url: endpoint.unused for endpoint in (mine.openai, mine.second, mine.anthropic) if endpoint.unused}
    assert left == {}, "planned answers that nobody came for"
    unplanned = [one for one in provider.unplanned if one.path.startswith(f"/{mine.name}-")]
    assert unplanned == []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of the test's own, each in a directory of its own unless the configuration says otherwise."""
    with ExitStack() as running:

        def begin(config: dict[str, Any], *arguments: str, directory: str = "gateway") -> Gateway:
            return running.enter_context(Gateway(config, tmp_path / directory, arguments=arguments))

        yield begin
