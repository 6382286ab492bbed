"""The words of routes and backends: what each says where nobody says anything, and what it refuses."""

from typing import Any, get_args

import msgspec
import pytest

from scaigrid.adapter import FEATURES
from scaigrid.config import routing


def test_what_can_be_lacked_is_what_adapters_claim() -> None:
    assert frozenset(get_args(routing.Capability)) <= FEATURES


def test_all_failures_are_listed() -> None:
    assert get_args(routing.FailureClass) == routing.FAILURES


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (routing.Hedge, {"share": 0}),
        (routing.Hedge, {"share": 1.1}),
        (routing.Hedge, {"after_seconds": 0}),
        (routing.Breaker, {"failures": 0}),
        (routing.Breaker, {"error_ratio": 2}),
        (routing.Breaker, {"open_seconds": 0}),
        (routing.BackendDeadlines, {"idle": 0}),
        (routing.When, {"min_input_tokens": 0}),
        (routing.When, {"uses": ["magic"]}),
        (routing.When, {"dialects": []}),
        (routing.Fallbacks, {"context_too_long": "not a slug"}),
        (routing.Route, {"targets": [{"backend": "b"}], "strategy": "best"}),
        (routing.Route, {"targets": [{"backend": "b"}], "failover_on": ["everything"]}),
        (routing.Route, {"targets": [{"backend": "b"}], "attempts_per_backend": 0}),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: type[Any], said: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, kind)


def test_nothing_is_enabled_by_itself() -> None:
    route = routing.Route(targets=(routing.RouteTarget(backend="b"),))
    assert (route.strategy, route.attempts_per_backend, route.hedge) == ("weighted", 1, None)
    assert route.fallbacks == routing.Fallbacks(context_too_long=None, content_refused=None)


@pytest.mark.parametrize(
    ("fallbacks", "hedge", "targets", "expected"),
    [
        (routing.Fallbacks(), None, 1, []),
        (routing.Fallbacks(), routing.Hedge(), 2, []),
        (routing.Fallbacks(context_too_long="long"), None, 1, []),
        (routing.Fallbacks(), routing.Hedge(), 1, [("hedge",)]),
        (routing.Fallbacks(content_refused="own"), None, 1, [("fallbacks", "content_refused")]),
    ],
)
def test_what_makes_no_sense_of_a_route_is_told_by_its_path(
    fallbacks: routing.Fallbacks, hedge: routing.Hedge | None, targets: int, expected: list[tuple[str, ...]]
) -> None:
    assert [path for path, _ in routing.route_faults("own", targets, hedge, fallbacks)] == expected


def test_a_queue_needs_a_bound_to_wait_for() -> None:
    assert [field for field, _ in routing.room_faults(None, 3)] == ["queue"]
    assert list(routing.room_faults(2, 3)) == list(routing.room_faults(None, 0)) == []


def test_no_request_is_both_larger_and_smaller() -> None:
    with pytest.raises(msgspec.ValidationError, match="no less than"):
        msgspec.convert({"min_input_tokens": 9, "max_input_tokens": 8}, routing.When)
