"""JSON and server-sent events as a client reads them: on their own, so that no fault of the product's readers hides."""

import json
import re
from typing import Any, Final, TypeGuard

import msgspec

DONE: Final = "[DONE]"
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream; `event` is None where it has no name."""

    event: str | None
    data: str

    @property
    def json(self) -> dict[str, Any]:
        return decoded(self.data)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The object that is the member `name`; an empty one where there is none."""
    found = value.get(name)
    return found if is_object(found) else {}


def said(members: dict[str, Any]) -> dict[str, Any]:
    """An object without the members that are null, which say nothing."""
    return {name: value for name, value in members.items() if value is not None}


def decoded(text: str | bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else."""
    value = json.loads(text)
    if not is_object(value):
        raise ValueError(f"no JSON object: {text[:80]!r}")
    return value


def frames(stream: bytes) -> list[Frame]:
    """The events of a stream that have data, in their order. The last one may lack its blank line."""
    found: list[Frame] = []
    name: str | None = None
    data: list[str] = []
    for line in [*_LINE_END.split(stream.decode()), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data" and line:
            data.append(value)
        elif field == "event" and line:
            name = value
        elif not line:
            if data:
                found.append(Frame(name, "\n".join(data)))
            name, data = None, []
    return found
