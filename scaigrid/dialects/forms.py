"""Reads request bodies: one strict decode where they are good, and every fault by its place where they are not."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from scaigrid import splice
from scaigrid.dialects.faults import MOST, Findings, Harmless, at, examine
from scaigrid.errors import Code, Detail, GatewayError

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """An object without any field."""


_NOTHING = inspect.type_info(_Nothing)
_TOO_DEEP = Detail("body", "is nested too deeply")
_OUT_OF_RANGE = Detail("body", "has a number that is out of range")


def invalid(*details: Detail) -> GatewayError:
    """VALIDATION_ERROR with these details."""
    return GatewayError(Code.VALIDATION_ERROR, details=details)


def members(body: bytes) -> dict[str, msgspec.Raw]:
    """The top level of a body, undecoded.

    Raises VALIDATION_ERROR for anything but one JSON object in UTF-8 with each member given once. All of the text is
    checked, but nothing of it decoded: about a microsecond for a kilobyte.
    """
    try:
        found = splice.members(body)
        if not body.isascii():
            # What is not decoded is not checked for its encoding either
            body.decode()
    except msgspec.ValidationError:
        raise invalid(Detail("body", "must be a JSON object")) from None
    except UnicodeDecodeError as error:
        raise invalid(Detail("body", f"is not valid UTF-8 (byte {_position(body, error)})")) from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise invalid(Detail("body", f"is not valid JSON: {reason[:1].lower()}{reason[1:]}")) from None
    except RecursionError:
        raise invalid(_TOO_DEEP) from None
    if not _distinct(body, found):
        raise invalid(*(Detail(name, "is given more than once") for name in _repeated(body)))
    return found


class Form(Generic[T]):
    """One type of request. Its methods take bodies that `members` has passed."""

    __slots__ = ("_decode", "_fields", "_kind", "_open_to", "_type")

    def __init__(self, wanted: type[T], open_to: Harmless | None = None) -> None:
        """`open_to` makes `read` keep what it does not know (see `examine`), instead of refusing it."""
        self._type = wanted
        self._decode = msgspec.json.Decoder(wanted).decode
        self._kind: inspect.Type = inspect.type_info(wanted)
        self._fields = frozenset(field.encode_name for field in msgspec.structs.fields(wanted))
        self._open_to = open_to

    def read(self, body: bytes, found: Mapping[str, msgspec.Raw]) -> tuple[T, list[str]]:
        """The request, and the paths of what its type has no place for; `found` is what `members` made of the body.

        Raises VALIDATION_ERROR with every fault.
        """
        try:
            return self._decode(body), []
        except msgspec.DecodeError as error:
            reason = str(error)
        except RecursionError:
            raise invalid(_TOO_DEEP) from None
        if self._open_to is not None and not self._fields.issuperset(found):
            # Mostly it is the top level alone that has something unknown, and then nothing needs walking through
            known = [b'"%b":%b' % (name.encode(), raw) for name, raw in found.items() if name in self._fields]
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                return self._decode(b"{%b}" % b",".join(known)), self._unknown(found, self._open_to)
        value, findings = self._examine(body)
        if findings.faults:
            raise invalid(*findings.faults)
        try:
            return msgspec.convert(value, self._type), findings.unknown
        except msgspec.ValidationError:
            raise invalid(Detail("body", reason)) from None

    def _unknown(self, found: Mapping[str, msgspec.Raw], open_to: Harmless) -> list[str]:
        rest: dict[str, Any] = {
            name: msgspec.json.decode(raw) for name, raw in found.items() if name not in self._fields
        }
        return examine(rest, _NOTHING, open_to).unknown

    def faults(self, body: bytes) -> list[Detail]:
        """Every fault of a body."""
        return self._examine(body)[1].faults

    def _examine(self, body: bytes) -> tuple[Any, Findings]:
        try:
            # The library's own decoder: msgspec stops at a number that is out of range, here it is infinite and found
            value = json.loads(body)
        except RecursionError:
            raise invalid(_TOO_DEEP) from None
        except ValueError:
            raise invalid(_OUT_OF_RANGE) from None
        return value, examine(value, self._kind, self._open_to)


def every_fault(form: Form[Any], body: bytes, error: Exception) -> list[Detail]:
    """What is wrong with a body that could not be decoded; `error`, where the walk over it finds nothing."""
    return form.faults(body) or [Detail("body", str(error))]


def once(make: Callable[[], V]) -> Callable[[], V]:
    """`make`, which is called when its value is first wanted, and not again."""
    made: list[V] = []

    def value() -> V:
        if not made:
            made.append(make())
        return made[0]

    return value


def _distinct(body: bytes, found: dict[str, msgspec.Raw]) -> bool:
    """Whether each member stands in the text once.

    A text that is no longer than its members are, written without spaces, has no room for another one; most clients
    write so. Python's json writes one space more at each separator. Only the others have to be walked through.
    """
    count = len(found)
    compact = 1 + 4 * count + sum([len(name) for name in found]) + sum([len(memoryview(raw)) for raw in found.values()])
    if len(body) == compact:
        return True
    if len(body) == compact + 2 * count - 1:
        spaced = b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in found.items()])
        if body == b"{%b}" % spaced:
            return True
    try:
        splice.spans(body, found)
    except splice.DuplicateKey:
        return False
    return True


def _repeated(body: bytes) -> list[str]:
    """The names that stand more than once in the outermost object."""
    outermost: list[tuple[str, Any]] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        # The outermost object is the last to be complete
        outermost[:] = pairs

    try:
        json.loads(body, object_pairs_hook=note)
    except (RecursionError, ValueError):
        return ["body"]
    counts = Counter(name for name, _ in outermost)
    return [at("", name) for name, count in counts.items() if count > 1][:MOST] or ["body"]


def _position(body: bytes, error: UnicodeDecodeError) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as whole:
        return whole.start
    return error.start
