"""Every way in which a call fails is of one class, or is no failure of the backend."""

import pytest

from scaigrid.config.routing import FailureClass
from scaigrid.errors import Code, GatewayError
from scaigrid.failing import failure_of, had_its_chance
from scaigrid.meanings import meaning
from scaigrid.patience import Interrupted, Why
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from tests.harness.services import Parts

UNHEARD: list[tuple[Exception, FailureClass | None]] = [
    (UpstreamUnreachable("refused"), "connect"),
    (UpstreamTimeout("slow"), "connect"),
    (UpstreamFailure("reset"), "reset"),
    (UpstreamTooLarge("huge"), "malformed"),
    (Interrupted(Why.FIRST_BYTE), "timeout"),
    (Interrupted(Why.IDLE), "timeout"),
    (Interrupted(Why.TOTAL), "timeout"),
    (Interrupted(Why.READER), None),
    (Interrupted(Why.CLIENT_CLOSED), None),
    (Interrupted(Why.STOPPING), None),
    (Interrupted(Why.OVERTAKEN), None),
    (ZeroDivisionError(), None),
]


@pytest.mark.parametrize(("cause", "failure"), UNHEARD, ids=str)
def test_what_a_provider_fails_to_say_has_a_class(cause: Exception, failure: FailureClass | None) -> None:
    told = GatewayError(Code.INTERNAL_ERROR)
    if isinstance(cause, Interrupted | UpstreamFailure):
        told = meaning(cause, Parts().model.route.tiers[0][0].backend)
    assert failure_of(told, cause, None) == failure


SAID: list[tuple[int | None, Code, FailureClass | None]] = [
    (401, Code.BACKEND_ERROR, "credential"),
    (402, Code.BACKEND_ERROR, "credential"),
    (403, Code.BACKEND_ERROR, "credential"),
    (404, Code.BACKEND_ERROR, "server_error"),
    (408, Code.BACKEND_TIMEOUT, "timeout"),
    (409, Code.BACKEND_ERROR, "server_error"),
    (429, Code.BACKEND_RATE_LIMITED, "rate_limited"),
    (500, Code.BACKEND_ERROR, "server_error"),
    (503, Code.BACKEND_ERROR, "server_error"),
    (504, Code.BACKEND_TIMEOUT, "timeout"),
    (200, Code.BACKEND_ERROR, "server_error"),
    (200, Code.BACKEND_RATE_LIMITED, "rate_limited"),
    (200, Code.UPSTREAM_SHAPE_MISMATCH, "malformed"),
    (None, Code.BACKEND_ERROR, "server_error"),
    (400, Code.VALIDATION_ERROR, None),
    (413, Code.REQUEST_TOO_LARGE, None),
    (400, Code.CONTEXT_TOO_LONG, None),
    (400, Code.CONTENT_REFUSED, None),
    (404, Code.NOT_FOUND, None),
    (200, Code.STORE_UNAVAILABLE, None),
    (None, Code.OVERLOADED, None),
]


@pytest.mark.parametrize(("status", "code", "failure"), SAID)
def test_what_a_provider_says_has_a_class_or_is_no_failure_of_its(
    status: int | None, code: Code, failure: FailureClass | None
) -> None:
    error = GatewayError(code)
    assert failure_of(error, error, status) == failure


@pytest.mark.parametrize(
    ("why", "took", "fair"),
    [
        (Why.TOTAL, 1.0, False),
        (Why.TOTAL, 2.0, True),
        (Why.IDLE, 1.0, True),
        (Why.FIRST_BYTE, 1.0, True),
    ],
)
def test_a_total_deadline_says_something_of_whom_had_as_long_as_for_a_first_byte(
    why: Why, took: float, fair: bool
) -> None:
    assert had_its_chance(Interrupted(why), took, first_byte=2.0, total=100.0) is fair


@pytest.mark.parametrize(("took", "fair"), [(4.9, False), (5.0, True)])
def test_or_half_of_the_total(took: float, fair: bool) -> None:
    """Else a backend that never answers would be innocent wherever the total is the shorter one."""
    assert had_its_chance(Interrupted(Why.TOTAL), took, first_byte=60.0, total=10.0) is fair


@pytest.mark.parametrize("cause", [None, UpstreamFailure("reset"), GatewayError(Code.BACKEND_ERROR)], ids=str)
def test_what_a_backend_said_counts_however_soon(cause: BaseException | None) -> None:
    assert had_its_chance(cause, 0.0, first_byte=60.0, total=600.0)
