"""How a call to a provider failed: the classes of failures that a route's `failover_on` speaks of.

And whether its backend is to blame. A total deadline belongs to the whole call: where it ends an attempt, that is news
of the backend only if it had a fair chance, which is as long as its deadline for a first byte, or half of the total.
Whoever was asked when others had used most of the time up has not failed.
"""

from collections.abc import Mapping
from typing import Final

from scaigrid.config.routing import FailureClass
from scaigrid.errors import Code, GatewayError
from scaigrid.patience import Interrupted, Why
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable

_INTERRUPTED: Final[Mapping[Why, FailureClass]] = {
    Why.FIRST_BYTE: "timeout",
    Why.IDLE: "timeout",
    Why.TOTAL: "timeout",
}
"""Whoever left, reads no more or is stopped says nothing of a provider."""
_UNHEARD: Final[tuple[tuple[type[UpstreamFailure], FailureClass], ...]] = (
    (UpstreamTimeout, "connect"),
    (UpstreamUnreachable, "connect"),
    (UpstreamTooLarge, "malformed"),
    (UpstreamFailure, "reset"),
)
_SAID: Final[Mapping[Code, FailureClass]] = {
    Code.BACKEND_TIMEOUT: "timeout",
    Code.BACKEND_RATE_LIMITED: "rate_limited",
    Code.BACKEND_ERROR: "server_error",
    Code.UPSTREAM_SHAPE_MISMATCH: "malformed",
}
_REFUSED: Final = frozenset({401, 402, 403})
"""What a provider answers to whom it does not know, does not let in, or has not been paid by: the operator."""


def failure_of(error: GatewayError, cause: BaseException, status: int | None) -> FailureClass | None:
    """The class of a failed attempt; None where no other backend could do better, as with the caller's own mistakes.

    `error` is what the attempt is told as, `cause` what was raised, `status` what the provider answered; None where
    nothing came. A conflict (409) is a lock that the provider holds, so it is its failure, as every 5xx is; a 408 is a
    timeout.
    """
    if isinstance(cause, Interrupted):
        return _INTERRUPTED.get(cause.why)
    for kind, failure in _UNHEARD:
        if isinstance(cause, kind):
            return failure
    if error.code is Code.BACKEND_ERROR and status in _REFUSED:
        return "credential"
    return _SAID.get(error.code)


def had_its_chance(cause: BaseException | None, took: float, first_byte: float, total: float) -> bool:
    """Whether what came of an attempt of `took` seconds says anything of its backend.

    `cause` is what was raised, None where it served; the deadlines, in seconds, are those that it was asked under.
    """
    cut_short = isinstance(cause, Interrupted) and cause.why is Why.TOTAL
    return not cut_short or took >= min(first_byte, total / 2)
