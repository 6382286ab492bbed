"""What one section can judge by itself."""

import inspect
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from scaigrid.app import Composed
from scaigrid.config import entities, terms
from scaigrid.config.manual import field_docs
from scaigrid.config.strict import Strict
from scaigrid.secrets import Secret


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


def test_a_key_is_given_in_exactly_one_way() -> None:
    with pytest.raises(ValueError, match="exactly one of `key` and `sha256`"):
        entities.Key(user="a")
    with pytest.raises(ValueError, match="exactly one of `key` and `sha256`"):
        entities.Key(user="a", key=Secret(terms.DEMO_KEY), sha256="0" * 64)


@pytest.mark.parametrize("key", ["", "sgk_short", "sk-" + "x" * 40, "sgk_" + "x" * 31, "sgk_" + "x" * 31 + " "])
def test_a_key_has_the_published_form(key: str) -> None:
    with pytest.raises(ValueError, match="at least 32") as caught:
        entities.Key(user="a", key=Secret(key))
    assert key == "" or key not in str(caught.value)


def test_a_budget_limits_something() -> None:
    with pytest.raises(ValueError, match="at least one of"):
        entities.Budget(scope="user", of="a", period="daily")


def test_a_time_zone_exists() -> None:
    with pytest.raises(ValueError, match="no time zone 'Mars/Olympus'"):
        entities.Budget(scope="user", of="a", period="daily", timezone="Mars/Olympus", cost_limit=Decimal(1))


@pytest.mark.parametrize("fields", [{}, {"unpriced": "free", "prices": terms.Prices()}])
def test_a_model_has_prices_or_says_why_not(fields: dict[str, Any]) -> None:
    route = entities.Route(targets=(entities.RouteTarget(backend="b"),))
    with pytest.raises(ValueError, match="declare `prices`, or say `unpriced"):
        entities.Model(route=route, **fields)
