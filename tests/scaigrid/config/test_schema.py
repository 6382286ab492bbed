"""Every section of the file is strict, and documents every key."""

import inspect
from typing import Any

import msgspec
import pytest

from scaigrid.app import Composed
from scaigrid.config.manual import field_docs
from scaigrid.config.schema import Ledger
from scaigrid.config.strict import Strict


def structs(kind: type[msgspec.Struct] = Composed) -> set[type[msgspec.Struct]]:
    """Every section of the file."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType) and info.cls not in found:
            found.add(info.cls)
            waiting += [field.type for field in info.fields]
        else:
            waiting += getattr(info, "types", ())
            waiting += [inner for name in ("type", "item_type", "value_type") if (inner := getattr(info, name, None))]
    return found


SECTIONS = {struct.__name__: struct for struct in structs()}


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_key_is_documented_and_every_section_is_strict(name: str) -> None:
    struct = SECTIONS[name]
    assert issubclass(struct, Strict)
    assert struct.__struct_config__.forbid_unknown_fields
    assert struct.__struct_config__.frozen
    documented = field_docs(struct)
    assert [field for field in struct.__struct_fields__ if not documented.get(field)] == []
    assert inspect.getdoc(struct)


@pytest.mark.parametrize(
    "section",
    [{"usage_days": 31}, {"hourly_days": 40}, {"usage_days": 40, "hourly_days": 39}, {"usage_days": 0}],
)
def test_usage_is_not_dropped_before_what_rests_on_it(section: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(section, Ledger)


@pytest.mark.parametrize("section", [{}, {"usage_days": 32}, {"usage_days": 40, "hourly_days": 40}])
def test_how_long_usage_is_kept(section: dict[str, int]) -> None:
    kept = msgspec.convert(section, Ledger)
    assert (kept.usage_days, kept.hourly_days) == (section.get("usage_days"), section.get("hourly_days"))
