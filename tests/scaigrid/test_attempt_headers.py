"""A failure says of which attempt it is; one ahead of any attempt, or within an answer, says nothing."""

from scaigrid.attempt_headers import failure_headers
from tests.harness.services import Parts
from tests.scaigrid.calls import opened, served


def test_a_failure_tells_of_the_last_attempt() -> None:
    parts = Parts()
    failed = served(parts)
    failed.response_started = False
    assert dict(failure_headers(failed, failed.started + 0.25, expose_backend=True)) == {
        b"x-scaigrid-attempts": b"2",
        b"x-scaigrid-overhead-ms": b"62.500",
        b"x-scaigrid-model": b"acme/chat",
        b"x-scaigrid-backend": b"two",
    }
    assert b"x-scaigrid-backend" not in dict(failure_headers(failed, failed.started, expose_backend=False))


def test_without_an_attempt_or_after_the_head_there_is_nothing_to_add() -> None:
    parts = Parts()
    assert failure_headers(opened(parts), 0.0, expose_backend=True) == []
    assert failure_headers(served(parts), 0.0, expose_backend=True) == []
