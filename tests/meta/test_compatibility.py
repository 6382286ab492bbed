"""What was released stays: the API of this checkout breaks no client of the last release."""

import json
from typing import Any

import pytest

from tests.harness.checkout import ROOT
from tests.harness.compatibility import Break, breaks

CURRENT = ROOT / "docs" / "openapi.json"
RELEASED = ROOT / "docs" / "released" / "openapi.json"

_BUDGETS = "/v1/accounting/budgets"
_GROUPS = "budgets of groups were promised from the start; only who makes one reads of one, and the set is open by now"

_FREE = {"input": "0", "output": "0", "cached_input": None, "cache_write": None, "cache_write_1h": None}
_COST = "a cost that is left out is what it was, nothing; `{}` says so of the classes that are new, too"

ACCEPTED: dict[Break, str] = {
    Break(f"GET {_BUDGETS} 200.data.items[].scope", "'group' is new"): _GROUPS,
    Break(f"POST {_BUDGETS} 201.data.scope", "'group' is new"): _GROUPS,
    **{
        Break(f"{method} {_BUDGETS}/{{id}} 200.data.scope", "'group' is new"): _GROUPS
        for method in ("GET", "PATCH", "PUT")
    },
    **{
        Break(f"{operation} body.cost", f"its default was {_FREE}, is {{}}"): _COST
        for operation in ("POST /v1/backends", "PUT /v1/backends/{id}")
    },
}
"""Breaks that were decided on, each with its reason; emptied at the next release."""


def document(path: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def found() -> list[Break]:
    return breaks(document(RELEASED), document(CURRENT))


def test_nothing_breaks_a_client_of_the_last_release(found: list[Break]) -> None:
    assert [str(one) for one in found if one not in ACCEPTED] == []


def test_a_break_that_was_decided_on_is_one(found: list[Break]) -> None:
    assert [str(one) for one in ACCEPTED if one not in found] == []


def test_the_documents_compared_are_not_empty() -> None:
    for path in (RELEASED, CURRENT):
        assert len(document(path)["paths"]) > 10
