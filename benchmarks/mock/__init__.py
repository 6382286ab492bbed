"""The provider that everything is sent to in the end: provider.c, on the load's core."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import tools
from benchmarks.chat import ANSWER, PROVIDER_KEY, PROVIDER_MODEL
from benchmarks.children import Child, await_line, get, running

_SOURCE: Final = Path(__file__).with_name("provider.c")
_LIFETIME_SECONDS: Final = 3600


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
