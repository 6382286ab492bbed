"""What a part of the scale run came to."""

from collections.abc import Sequence
from typing import Any

import msgspec


class Shown(msgspec.Struct, kw_only=True):
    figures: dict[str, Any]
    faults: list[str] = []


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which so much of them lies."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]
