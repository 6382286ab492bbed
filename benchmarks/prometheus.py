"""Reads the text format of Prometheus (exposition format 0.0.4) as far as counters and gauges need it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

_LINE: Final = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*")
_LABEL: Final = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\]|\\.)*)"\s*(?:,\s*|$)')
_ESCAPES: Final = {"n": "\n", '"': '"', "\\": "\\"}


class Sample(msgspec.Struct, frozen=True):
    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str) -> Iterator[Sample]:
    """Every sample; a line that is none is a ValueError."""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"no sample: {line!r}")
        yield Sample(found["name"], _labels(found["labels"] or ""), float(found["value"]))


def _labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f"no labels: {text!r}")
        labels[found["name"]] = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), found["value"])
        at = found.end()
    return labels
