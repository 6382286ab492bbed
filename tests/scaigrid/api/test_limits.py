"""Limits as they are shown: those in force, whoever has said them."""

import pytest

from scaigrid.api.levels import Level
from scaigrid.api.limits import RateLimitGiven, held_to, limited, limits_of, source_of
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError


def party(kind: str, document: docs.Document) -> Resource:
    return Resource(kind=kind, id="x", origin="api", document=document)


USER = party("user", docs.User(name="ann", tenant_id="tenant_1"))
MODEL = party("model", docs.Model(name="m", unpriced="free"))


@pytest.mark.parametrize(("level", "held"), [("user", USER), ("model", MODEL)])
def test_what_nobody_has_set_is_the_default(level: Level, held: Resource) -> None:
    shown = held_to(level, held)
    assert (shown.source, source_of(held)) == ("default", "default")
    assert shown.requests_per_minute == {"user": 120, "model": None}[level]
    assert (shown.name, shown.origin, shown.on_store_failure) == (held.name, "api", "deny")


def test_what_was_given_is_what_is_kept_and_shown() -> None:
    given = RateLimitGiven(
        requests_per_minute=None, requests_per_day=0, concurrent_requests=3, on_store_failure="allow"
    )
    held = limited(USER, given.limits(), State.of([]))
    assert limits_of(held) == Limits(
        requests_per_minute=None, requests_per_day=0, concurrent_requests=3, on_store_failure="allow"
    )
    shown = held_to("user", held)
    assert (shown.requests_per_minute, shown.requests_per_day, shown.concurrent_requests) == (None, 0, 3)
    assert (shown.source, shown.on_store_failure) == ("own", "allow")


def test_of_a_model_its_own_bound_is_asked_and_of_others_that_of_every_model() -> None:
    limits = Limits(tokens_per_day=5)
    state = State.of([MODEL])
    for one in (USER, MODEL):
        with pytest.raises(GatewayError) as caught:
            limited(one, limits, state)
        assert (caught.value.code, caught.value.details[0].field) == (Code.VALIDATION_ERROR, "tokens_per_day")
    bounded = party("model", docs.Model(name="n", unpriced="free", max_output_tokens=1))
    assert limits_of(limited(bounded, limits, state)) == limits
    assert limits_of(limited(USER, limits, State.of([bounded]))) == limits
