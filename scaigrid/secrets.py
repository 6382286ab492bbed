"""A text that must not be seen: keys, passwords and tokens travel as `Secret` and print as `***`."""

import hmac
import re
from typing import Any, Never, Self, final

MASK = "***"

_KEY = re.compile(r"sgk_[A-Za-z0-9_-]+")


@final
class Secret:
    """An immutable text that only `reveal()` gives out.

    `repr`, `str` and `format` give `***`, so a Secret may stand in logs, tracebacks and the repr of a Struct.
    No encoder writes it: msgspec, json and pickle refuse with TypeError. `copy` and `deepcopy` give the same object.
    """

    __slots__ = ("__text",)
    __text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_Secret__text", text)

    def reveal(self) -> str:
        """Return the text itself; call it only where the text leaves for the one who is meant to have it."""
        return self.__text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return self.__text != ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self.__text), _octets(other.__text))

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError("a Secret does not change")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError("a Secret does not change")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a Secret is not pickled: pass the name of its source instead")


def decode_secret(target: type[Any], value: object) -> Secret:
    """Make a Secret of a string; the `dec_hook` for `msgspec.convert` and the msgspec decoders.

    Raises TypeError, without the value in it, where a Secret is due and something other than a string came, and
    NotImplementedError for any other target type.
    """
    if target is not Secret:
        raise NotImplementedError(f"no decoder for {target.__name__}")
    if not isinstance(value, str):
        raise TypeError("Expected a secret string")
    return Secret(value)


def _octets(text: str) -> bytes:
    # compare_digest takes str only when it is ASCII; a lone surrogate must not make a comparison fail
    return text.encode("utf-8", "surrogatepass")


def masked(text: str) -> str:
    """`text` without what looks like one of our keys: people paste them into the wrong field."""
    return _KEY.sub("sgk_***", text) if "sgk_" in text else text
