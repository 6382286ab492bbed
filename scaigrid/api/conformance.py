"""What the conformance suite has proved of this release: its cells, as they lie beside this file.

The suite writes them (`just conformance --write`); nothing is claimed here that it has not counted.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

Mode = Literal["passthrough", "translation"]
Source = Literal["recorded", "fixture"]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """How often a feature of one type of provider came through one dialect unharmed."""

    provider: str
    dialect: str
    feature: str
    mode: Mode
    proof: Source
    passed: int
    failed: int
    not_run: int


class _Written(msgspec.Struct, frozen=True):
    cells: tuple[Cell, ...]


@cache
def cells() -> Sequence[Cell]:
    """Every cell, in the order of the file."""
    text = files("scaigrid.api").joinpath("conformance.json").read_bytes()
    return msgspec.json.decode(text, type=_Written).cells
