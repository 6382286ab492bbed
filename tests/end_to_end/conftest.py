"""The gateway as a process between a real client and a scripted provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.lanes import Lane, declare_strangers
from tests.harness.provider import Provider

LANES = 48
"""In one gateway. Where a worker of the tests needs more, it starts another gateway."""


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="session")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, Any]], Gateway]]:
    """Starts gateways that last as long as the session, and end well with it."""
    started: list[Gateway] = []
    with ExitStack() as running:

        def start(config: dict[str, Any]) -> Gateway:
            started.append(running.enter_context(Gateway(config, tmp_path_factory.mktemp("gateway"))))
            return started[-1]

        yield start
        assert [gateway.stop() for gateway in started] == [0] * len(started)
    assert [line for gateway in started for line in gateway.strays()] == [], (
        "standard output holds JSON and nothing else"
    )
    broken = [line for gateway in started for line in gateway.lines() if line["event"] == "unexpected_error"]
    assert broken == []


@pytest.fixture(scope="session")
def lanes(provider: Provider, gateways: Callable[[dict[str, Any]], Gateway]) -> Iterator[Lane]:
    """Lanes nobody has used, without an end."""

    def forever() -> Iterator[Lane]:
        first = 0
        while True:
            batch = [Lane(f"lane{number}", provider) for number in range(first, first + LANES)]
            config: dict[str, Any] = {}
            for lane in batch:
                lane.declare(config)
            declare_strangers(config, batch[0].model("embed"))
            gateway = gateways(config)
            yield from (lane.join(gateway) for lane in batch)
            first += LANES

    return forever()


@pytest.fixture
def lane(lanes: Iterator[Lane], provider: Provider) -> Iterator[Lane]:
    """This test's own lane, checked at the end: nothing that it planned is left, and nobody asked for anything else."""
    mine = next(lanes)
    yield mine
    mine.close()
    left = {endpoint.url: endpoint.unused for endpoint in (mine.openai, mine.second, mine.anthropic) if endpoint.unused}
    assert left == {}, "planned answers that nobody came for"
    unplanned = [one for one in provider.unplanned if one.path.startswith(f"/{mine.name}-")]
    assert unplanned == []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of the test's own; the first on `tmp_path`, so that a second one can follow it there."""
    with ExitStack() as running:

        def begin(config: dict[str, Any], *arguments: str, directory: str = "gateway") -> Gateway:
            return running.enter_context(Gateway(config, tmp_path / directory, arguments=arguments))

        yield begin
