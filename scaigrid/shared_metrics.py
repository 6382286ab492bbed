"""The metrics of several workers, whole at one scrape, whichever of them is asked.

Counters and histograms are prometheus-client's multiprocess mode: each value lies in a file that is mapped into memory,
so what a worker counted outlives it, killed or not. What is only read when somebody scrapes has no such value; each
worker writes these readings down once a second, and a scrape adds those of the living.

A worker has a place, held by a lock as long as it lives. The next worker at a place goes on with its files: so there
are as many of them as there were workers at one time, however often they are born anew.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
from prometheus_client import generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from scaigrid.config.schema import Server
from scaigrid.ledger.lock import take

Over = Literal["sum", "min", "max", "one"]
"""What one reading over all workers is: their sum, the least or the greatest of them, or that of whoever is asked."""

_COMBINED: Final[Mapping[Over, Callable[[float, float], float]]] = {
    "sum": lambda one, other: one + other,
    "min": min,
    "max": max,
}
# They have no types.
_values: Final[Any] = values
_merge: Final[Callable[[list[str]], Iterable[Metric]]] = cast("Any", MultiProcessCollector).merge

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_PLACES: Final = 4096


class Reading(msgspec.Struct, frozen=True):
    """A gauge that is read at the time of a scrape: label values and a number, as often as there are some."""

    name: str
    text: str
    labels: tuple[str, ...]
    over: Over
    samples: Sequence[tuple[tuple[str, ...], float]]


_decoder: Final = msgspec.json.Decoder(list[Reading])


def metrics_directory(server: Server) -> Path:
    """Where the workers of a gateway have their metrics."""
    return Path(server.data_dir) / "metrics"


def clear(directory: Path) -> None:
    """Begins at 0, as a process does: for whoever starts the workers, before the first of them."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.iterdir():
        path.unlink(missing_ok=True)


class Shared:
    """This process' place among the workers of a directory. Metrics that it makes from now on are of that place."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError where there can be no files in the directory."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self.place, self._lock = _free_place(directory)
        # What the one before us at this place was busy with; what it counted stays.
        for path in directory.glob(f"gauge_*_{self.place}.db"):
            path.unlink(missing_ok=True)
        os.environ[_DIRECTORY] = str(directory)
        _values.ValueClass = _values.MultiProcessValue(process_identifier=lambda: self.place)

    def tell(self, readings: Sequence[Reading]) -> None:
        """Writes down what a scrape of another worker adds to its own. Blocks."""
        path = self._readings(self.place)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(readings))
        fresh.rename(path)

    def render(self, readings: Sequence[Reading]) -> bytes:
        """The exposition of all workers; `readings` are this one's own, as they are now. Blocks."""
        living = [place for place in self._places() if place == self.place or _held(self._lock_path(place))]
        gauges = {f"_{place}.db" for place in living}
        files = [
            str(path)
            for path in sorted(self._directory.glob("*.db"))
            # A file that was made this moment is empty
            if path.stat().st_size and (not path.name.startswith("gauge_") or path.name.endswith(tuple(gauges)))
        ]
        others = [self._told(place) for place in living if place != self.place]
        metrics = [*_merge(files), *_combined(readings, others)]
        return generate_latest(_Page(sorted(metrics, key=lambda metric: metric.name)))

    def _told(self, place: int) -> list[Reading]:
        with suppress(OSError, msgspec.DecodeError):
            return _decoder.decode(self._readings(place).read_bytes())
        return []

    def _places(self) -> list[int]:
        return [int(path.stem) for path in self._directory.glob("*.lock")]

    def _lock_path(self, place: int) -> Path:
        return self._directory / f"{place}.lock"

    def _readings(self, place: int) -> Path:
        return self._directory / f"{place}.json"


class _Page:
    """What is shown as if it had been registered."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _combined(own: Sequence[Reading], others: Sequence[Sequence[Reading]]) -> Iterable[Metric]:
    by_name = {name: [each for told in others for each in told if each.name == name] for name in {r.name for r in own}}
    for reading in own:
        samples = dict(reading.samples)
        if reading.over != "one":
            combine = _COMBINED[reading.over]
            for other in by_name[reading.name]:
                for labels, value in other.samples:
                    samples[labels] = combine(samples[labels], value) if labels in samples else value
        family = GaugeMetricFamily(reading.name, reading.text, labels=reading.labels)
        for labels, value in samples.items():
            family.add_metric(labels, value)
        yield family


def _free_place(directory: Path) -> tuple[int, int]:
    for place in range(_PLACES):
        lock = take(directory / f"{place}.lock")
        if lock is not None:
            return place, lock
    raise OSError(f"{directory}: more than {_PLACES} workers")


def _held(path: Path) -> bool:
    """Whether somebody lives who holds the lock. Where it is free, looking keeps it for a moment, and shared."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
