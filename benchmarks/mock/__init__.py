"""The provider that everything is sent to in the end: provider.c, on the load's core."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from benchmarks import tools
from benchmarks.chat import ANSWER, PROVIDER_KEY, PROVIDER_MODEL
from benchmarks.children import Child, await_line, get, running
from benchmarks.errors import RigError

_SOURCE: Final = Path(__file__).with_name("provider.c")
_LIFETIME_SECONDS: Final = 3600
_QUIET_SECONDS: Final = 10.0
_BETWEEN_COUNTS: Final = 0.1


class Counts(msgspec.Struct, frozen=True):
    """Since the start. `streams` and plain answers make `answered`; `cut` are streams whose reader left early."""

    answered: int
    streams: int
    events: int
    cut: int
    refused: int


class Provider(msgspec.Struct, frozen=True):
    """A running provider."""

    child: Child
    port: int

    def counts(self) -> Counts:
        return msgspec.json.decode(get(self.port, "/count")[1], type=Counts)

    def settled_counts(self) -> Counts:
        """The counts once nothing more arrives: a proxy may still send what its own client has given up."""
        deadline = monotonic() + _QUIET_SECONDS
        before, counts = None, self.counts()
        while counts != before:
            if monotonic() > deadline:
                raise RigError(f"calls still reach the provider {_QUIET_SECONDS:g} s after the last one was made")
            self.child.pause(_BETWEEN_COUNTS)
            before, counts = counts, self.counts()
        return counts


@contextmanager
def provider(*, core: int, folder: Path, events: int = 64, interval_ms: float = 5.0) -> Generator[Provider]:
    """A provider that bills `ANSWER` for a plain call; its streams have `events`, `interval_ms` apart."""
    command: list[str | Path] = [
        tools.compiled(_SOURCE),
        f"--events={events}",
        f"--interval-ms={interval_ms}",
        f"--model={PROVIDER_MODEL}",
        f"--key={PROVIDER_KEY}",
        f"--prompt-tokens={ANSWER.prompt_tokens}",
        f"--cached-tokens={ANSWER.cached_tokens}",
        f"--completion-tokens={ANSWER.completion_tokens}",
        f"--lifetime={_LIFETIME_SECONDS}",
    ]
    with running("provider", command, core=core, folder=folder) as child:
        yield Provider(child, int(await_line(child, "port ", seconds=5)))
