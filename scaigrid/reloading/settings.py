"""The settings of a process, which it keeps for its life, against those that its file has by now."""

from collections.abc import Iterator
from typing import cast

import msgspec

from scaigrid.config.schema import Config
from scaigrid.control.export import SECTIONS


def differing(started: Config, now: Config) -> Iterator[str]:
    """The keys that differ, dotted, of every section that is not in the database."""
    for section in started.__struct_fields__:
        if section not in SECTIONS:
            yield from _differing(section, getattr(started, section), getattr(now, section))


def _differing(key: str, one: object, other: object) -> Iterator[str]:
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        for field in one.__struct_fields__:
            yield from _differing(f"{key}.{field}", getattr(one, field), getattr(other, field))
    elif isinstance(one, dict) and isinstance(other, dict):
        before, after = cast("dict[str, object]", one), cast("dict[str, object]", other)
        for name in dict.fromkeys((*before, *after)):
            yield from _differing(f"{key}.{name}", before.get(name), after.get(name))
    elif one != other:
        yield key
