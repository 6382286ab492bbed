"""What the failures of an attempt are called."""

import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.meanings import meaning, unasked
from scaigrid.patience import Interrupted, Why
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge
from tests.harness.services import Parts

CALLED = {
    Why.FIRST_BYTE: Code.BACKEND_TIMEOUT,
    Why.IDLE: Code.BACKEND_TIMEOUT,
    Why.TOTAL: Code.BACKEND_TIMEOUT,
    Why.READER: Code.CLIENT_CLOSED,
    Why.CLIENT_CLOSED: Code.CLIENT_CLOSED,
    Why.STOPPING: Code.OVERLOADED,
    Why.OVERTAKEN: Code.CLIENT_CLOSED,
}


@pytest.mark.parametrize("why", Why)
def test_an_interruption_is_called_by_its_reason(why: Why) -> None:
    backend = Parts().snapshot.backends[0]
    assert meaning(Interrupted(why), backend).code is CALLED[why]


def test_what_the_gateway_says_itself_stays_as_it_is() -> None:
    error = GatewayError(Code.CONTEXT_TOO_LONG)
    assert meaning(error, Parts().snapshot.backends[0]) is error


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UpstreamFailure("10.0.0.7 reset"), Code.BACKEND_ERROR),
        (UpstreamTimeout("10.0.0.7 slow"), Code.BACKEND_TIMEOUT),
        (UpstreamTooLarge("10.0.0.7 huge"), Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_a_failure_of_the_upstream_keeps_its_addresses_to_itself(failure: UpstreamFailure, code: Code) -> None:
    told = meaning(failure, Parts().snapshot.backends[0])
    assert told.code is code
    assert "10.0.0.7" not in told.message


def test_a_call_that_waited_for_room_until_its_time_was_up_was_shed() -> None:
    error = unasked(Interrupted(Why.TOTAL))
    assert (error.code, error.retry_after) == (Code.OVERLOADED, 1)
    assert unasked(Interrupted(Why.CLIENT_CLOSED)).code is Code.CLIENT_CLOSED
