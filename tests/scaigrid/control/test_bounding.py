"""A budget under a smaller one is allowed, and it is told that it cannot be used up."""

from typing import Any

import msgspec
import pytest

from scaigrid.config import schema
from scaigrid.control.bounding import bounded_by, notes
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from scaigrid.secrets import decode_secret


def state(**budgets: Any) -> State:
    """Of ann, who is in the group `team`, in the tenant `a` of the partner `p`; each budget a month of ten requests."""
    config = msgspec.convert(
        {
            "partners": {"p": {}},
            "tenants": {"a": {"partner": "p"}, "b": {"partner": "p"}},
            "users": {"ann": {"tenant": "a"}},
            "groups": {"team": {"tenant": "a", "users": ["ann"]}, "others": {"tenant": "a"}},
            "keys": {"ann": {"user": "ann", "sha256": "0" * 64}},
            "models": {"m": {"unpriced": "free", "route": None}},
            "budgets": {name: {"period": "monthly", "request_limit": 10, **more} for name, more in budgets.items()},
        },
        schema.Config,
        dec_hook=decode_secret,
    )
    return State.of(resources_of(config))


def above(found: State, name: str = "own") -> list[str]:
    return [one.name for one in bounded_by(found, found.all("budget")[declared_id("budget", name)])]


def test_the_smaller_ones_above_are_named_the_nearest_first() -> None:
    found = state(
        own={"scope": "key", "of": "ann"},
        of_ann={"scope": "user", "of": "ann", "request_limit": 9},
        of_team={"scope": "group", "of": "team", "request_limit": 8},
        of_others={"scope": "group", "of": "others", "request_limit": 1},
        of_a={"scope": "tenant", "of": "a", "request_limit": 7},
        of_b={"scope": "tenant", "of": "b", "request_limit": 1},
        of_p={"scope": "partner", "of": "p", "request_limit": 6},
        of_m={"scope": "model", "of": "m", "request_limit": 1},
    )
    assert above(found) == ["of_ann", "of_team", "of_a", "of_p"]
    assert above(found, "of_team") == ["of_a", "of_p"]
    assert above(found, "of_p") == above(found, "of_m") == []


@pytest.mark.parametrize(
    ("more", "smaller"),
    [
        ({"request_limit": 9}, True),
        ({"request_limit": 10}, False),
        ({"request_limit": None, "token_limit": 1}, False),
        ({"request_limit": 9, "hard_action": "notify"}, False),
        ({"request_limit": 9, "hard_action": "throttle"}, False),
        ({"request_limit": 9, "period": "total"}, True),
        ({"request_limit": 9, "period": "weekly"}, False),
        ({"request_limit": 11, "token_limit": 1}, False),
    ],
)
def test_it_has_to_refuse_to_last_as_long_and_to_allow_less(more: dict[str, Any], smaller: bool) -> None:
    found = state(own={"scope": "user", "of": "ann"}, other={"scope": "tenant", "of": "a", **more})
    assert above(found) == (["other"] if smaller else [])


def test_money_is_compared_too() -> None:
    own = {"scope": "user", "of": "ann", "cost_limit": "10"}
    found = state(own=own, other={"scope": "tenant", "of": "a", "request_limit": 99, "cost_limit": "9.999999999"})
    assert above(found) == ["other"]


def test_a_note_is_one_sentence_a_budget() -> None:
    found = state(own={"scope": "user", "of": "ann"}, small={"scope": "tenant", "of": "a", "request_limit": 1})
    assert list(notes(found)) == [
        "budget 'own' of the user cannot be used up: less is allowed by 'small' of the tenant"
    ]
    assert list(notes(state(own={"scope": "user", "of": "ann"}))) == []
