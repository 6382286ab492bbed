"""Where two JSON values differ, in words."""

import json
from typing import Any, Final

from tests.conformance.wire import is_list, is_object

_SHOWN: Final = 300


def differences(expected: Any, got: Any, where: str = "body") -> list[str]:
    """In words, where two JSON values differ; nothing where they are equal. The order of members is free."""
    if is_object(expected) and is_object(got):
        found = [f"{where}.{name} is missing" for name in expected.keys() - got.keys()]
        found += [f"{where}.{name} is too much: {_short(got[name])}" for name in got.keys() - expected.keys()]
        for name in expected.keys() & got.keys():
            found += differences(expected[name], got[name], f"{where}.{name}")
        return sorted(found)
    if is_list(expected) and is_list(got) and len(expected) == len(got):
        return [
            one
            for place, (left, right) in enumerate(zip(expected, got, strict=True))
            for one in differences(left, right, f"{where}[{place}]")
        ]
    same = expected == got and isinstance(expected, bool) == isinstance(got, bool)
    return [] if same else [f"{where}: {_short(got)} instead of {_short(expected)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 50]} ... {text[-40:]}"
