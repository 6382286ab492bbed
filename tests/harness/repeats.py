"""Stores of repeated calls for a test: runs of either kind, and answers in memory."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Final

from scaigrid.clock import Clock, SystemClock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.idempotency import Repeats, Terms
from scaigrid.repeats.memory import MemoryRuns
from scaigrid.repeats.port import Answer, Runs
from scaigrid.repeats.valkey import ValkeyRuns
from scaigrid.secrets import Secret
from tests.harness.valkey import Valkey, shared

_NUMBERS: Final = count(1)


class KeptAnswers:
    """Answers where a test can see them, until they are told that their database is away."""

    def __init__(self) -> None:
        self.kept: dict[str, Answer] = {}
        self.asked = 0
        self.away = False

    async def find(self, scope: str) -> Answer | None:
        self.asked += 1
        self._reach()
        return self.kept.get(scope)

    async def keep(self, scope: str, answer: Answer, seconds: float) -> None:
        """`seconds` pass nowhere."""
        self._reach()
        self.kept.setdefault(scope, answer)

    def _reach(self) -> None:
        if self.away:
            raise GatewayError(Code.STORE_UNAVAILABLE)


def repeats(clock: Clock, answers: KeptAnswers | None = None, **terms: float) -> Repeats:
    """Both stores in the memory of the test."""
    wanted = Terms(**terms)  # type: ignore[arg-type]  # whole numbers are bytes, the others seconds
    return Repeats(MemoryRuns(clock), answers or KeptAnswers(), wanted)


RunsOpener = Callable[[], AbstractAsyncContextManager[Runs]]


@asynccontextmanager
async def memory() -> AsyncGenerator[Runs]:
    runs = MemoryRuns(SystemClock())
    yield runs
    await runs.aclose()


def over(server: Valkey, prefix: str | None = None) -> ValkeyRuns:
    """Runs in a server, under keys that nobody else has unless the prefix is given."""
    name = prefix or f"runs-{next(_NUMBERS)}"
    url = Secret(server.local_url)
    return ValkeyRuns(Store(type="valkey", url=url, prefix=name, timeout_seconds=5.0), SystemClock())


@asynccontextmanager
async def valkey() -> AsyncGenerator[Runs]:
    runs = over(shared())
    yield runs
    await runs.aclose()


OPENERS: Final[Mapping[str, RunsOpener]] = {"memory": memory, "valkey": valkey}
"""By the name under which the store is registered."""
