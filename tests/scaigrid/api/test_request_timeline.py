"""A timeline in the words of the API; `test_requests.py` asks for it over the API."""

import msgspec

from scaigrid.api.request_timeline import Telling, is_told_names
from scaigrid.config.schema import Config, Forwarder
from scaigrid.errors import Code, GatewayError
from scaigrid.timeline import read, timeline_row
from tests.harness.services import Parts
from tests.scaigrid.calls import opened, served


def test_what_took_how_long_ends_where_the_next_link_or_the_first_attempt_begins() -> None:
    parts = Parts()
    row = timeline_row(served(parts), None, parts.clock)
    told = Telling(parts.principal, Config(), parts.snapshot).whole(row, read(row))
    assert [(link.name, link.took_ms) for link in told.links] == [("request_id", 31.25), ("budget", 31.25)]
    refused = opened(parts)
    refused.marks = [("request_id", refused.started), ("budget", refused.started + 0.5)]
    row = timeline_row(refused, GatewayError(Code.BUDGET_EXCEEDED, level="user"), parts.clock)
    told = Telling(parts.principal, Config(), parts.snapshot).whole(row, read(row))
    assert [link.took_ms for link in told.links] == [500.0, None]
    assert (told.error_code, told.level, told.attempts, told.client_left) == ("BUDGET_EXCEEDED", "user", [], False)


def test_a_copy_that_was_cut_off_has_not_failed_and_who_left_is_told() -> None:
    parts = Parts()
    made = served(parts)
    made.attempts[0].overtaken = True
    made.attempts[1].ended = 0.0
    row = timeline_row(made, GatewayError(Code.CLIENT_CLOSED), parts.clock)
    told = Telling(parts.principal, Config(), parts.snapshot).whole(row, read(row))
    assert [one.outcome for one in told.attempts] == ["overtaken", "unknown"]
    assert told.client_left is True


def test_names_are_told_where_answers_tell_them_and_to_the_operator() -> None:
    who, silent = Parts().principal, Config(forwarder=Forwarder(expose_backend=False))
    assert is_told_names(who, Config())
    assert not is_told_names(who, silent)
    assert is_told_names(msgspec.structs.replace(who, permissions=frozenset({"accounting:view_all"})), silent)
