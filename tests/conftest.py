"""What holds for every test: one event loop, no blocking call in it, and a word about the recordings at the end."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from blockbuster import BlockBuster
from hypothesis import settings

from tests.harness import databases, recordings
from tests.harness.guard import guard

# Few examples in every run, for the suite is run often; many where faults are hunted: `--hypothesis-profile=hunt`.
# No deadline: it would fail tests where the machine is busy, and no test here is about time.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.register_profile("hunt", max_examples=2000, deadline=None)
settings.load_profile("suite")

_structlog: Any = structlog
_configure = _structlog.configure


def _configured(**how: Any) -> None:
    """Loggers ask anew each time: one that kept what it was told first would be deaf to the tests that follow."""
    _configure(**{**how, "cache_logger_on_first_use": False})


_structlog.configure = _configured


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Granian runs asyncio, so the tests do."""
    return "asyncio"


@pytest.fixture(scope="session")
def block_buster() -> BlockBuster:
    """Made once, since it looks every watched call up."""
    return guard()


@pytest.fixture(autouse=True)
def never_block(request: pytest.FixtureRequest, block_buster: BlockBuster) -> Iterator[None]:
    """Every asynchronous test fails where our code blocks the event loop."""
    if "anyio_backend" not in request.fixturenames:
        yield
        return
    block_buster.activate()
    try:
        yield
    finally:
        block_buster.deactivate()


@pytest.fixture(params=databases.KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind in turn, with every table and no row."""
    url = databases.fresh(request.param, tmp_path)
    yield url
    databases.drop(url)


@pytest.fixture(params=databases.KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind in turn that nobody has migrated."""
    url = databases.empty(request.param, tmp_path)
    yield url
    databases.drop(url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The one test that takes minutes begins first, so that it is not what all others have to wait for in the end."""
    items.sort(key=lambda item: "soak" not in item.nodeid)


def pytest_collection_finish() -> None:
    """What is there by now stays: a collection that walks through all tests each time takes seconds of each minute."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No server outlives the tests. A worker of pytest-xdist hands what it read to the process that prints."""
    databases.close()
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["recordings"] = msgspec.to_builtins(recordings.TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker read; one that crashed has nothing to hand over."""
    output: dict[str, Any] = getattr(node, "workeroutput", {})
    if "recordings" in output:
        recordings.TALLY.add(msgspec.convert(output["recordings"], recordings.Tally))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """CI looks for this line, so that a run beside the recordings cannot pass without them."""
    terminalreporter.write_line(str(recordings.TALLY))
