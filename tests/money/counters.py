"""What a Valkey holds of limits and budgets, read past all of our code, as often as somebody wants to know."""

from collections.abc import Callable, Iterable, Mapping
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.harness.valkey import Valkey

_COUNTS: Final = frozenset({"s", "r", "t", "c"})
"""Of a fund: spent, reserved. Of a window: its total. Everything else that is kept is about time."""


class Held(NamedTuple):
    spent: int
    reserved: int


def counters(store: Valkey) -> dict[str, dict[str, int]]:
    """Everything that counts, by its key, where it is not 0."""
    found: dict[str, dict[str, int]] = {}
    for key in sorted(store.keys()):
        if store.command("TYPE", key) == b"hash" and _bucket(key) is not None:
            counts = {name: int(value) for name, value in _hash(store, key).items() if name in _COUNTS}
            if any(counts.values()):
                found[key] = counts
    return found


def leases(store: Valkey) -> int:
    """Calls that hold something."""
    return sum(int(store.command("ZCARD", key)) for key in store.keys("*:open"))


def funds(store: Valkey, part: str = "") -> dict[str, Held]:
    """Budgets whose key has `part` in it."""
    found: dict[str, Held] = {}
    for key in store.keys(f"*budget:*{part}*"):
        bucket = _bucket(key)
        if bucket is not None:
            held = _hash(store, key)
            found[bucket] = Held(int(held.get("s", 0)), int(held.get("r", 0)))
    return found


def _bucket(key: str) -> str | None:
    """The gateway's name of a counter: what follows the store's own."""
    for word in (":b:limit:", ":b:budget:"):
        place = key.find(word)
        if place >= 0:
            return key[place + 3 :]
    return None


def _hash(store: Valkey, key: str) -> dict[str, Any]:
    flat = store.command("HGETALL", key)
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


class Sampler:
    """Asks without a pause, beside everything else, and keeps the largest answer of each name."""

    def __init__(self, ask: Callable[[], Mapping[str, int]], *, every: float = 0.002) -> None:
        self.peaks: dict[str, int] = {}
        self.samples = 0
        self.wrong: list[Exception] = []
        self._ask = ask
        self._every = every
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                told = self._ask()
            except Exception as error:  # noqa: BLE001  # told by the one who asks for the peaks
                self.wrong.append(error)
                return
            self.samples += 1
            self.add(told.items())

    def add(self, told: Iterable[tuple[str, int]]) -> None:
        for name, value in told:
            self.peaks[name] = max(self.peaks.get(name, 0), value)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
