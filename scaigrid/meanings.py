"""What a failed attempt is called, whatever it failed by: the error that its client would be told."""

from collections.abc import Mapping
from typing import Final

import structlog

from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.patience import Interrupted, Why
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_INTERRUPTIONS: Final[Mapping[Why, tuple[Code, str | None]]] = {
    Why.FIRST_BYTE: (Code.BACKEND_TIMEOUT, "The provider sent no first byte in time."),
    Why.IDLE: (Code.BACKEND_TIMEOUT, "The provider stopped sending."),
    Why.TOTAL: (Code.BACKEND_TIMEOUT, "The call took longer than the model's total deadline."),
    Why.READER: (Code.CLIENT_CLOSED, "The client stopped reading."),
    Why.CLIENT_CLOSED: (Code.CLIENT_CLOSED, None),
    Why.STOPPING: (Code.OVERLOADED, "The gateway is stopping; the answer was cut off."),
    # Never told to anybody: the client has the other answer.
    Why.OVERTAKEN: (Code.CLIENT_CLOSED, "Another copy of the call answered first."),
}


def meaning(error: GatewayError | Interrupted | UpstreamFailure, backend: Backend) -> GatewayError:
    """What it is called. A failure of the upstream keeps its text for the log, since it names addresses."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, Interrupted):
        return GatewayError(*_INTERRUPTIONS[error.why])
    _log.warning("upstream_failed", backend=backend.name, reason=str(error))
    if isinstance(error, UpstreamTimeout):
        return GatewayError(Code.BACKEND_TIMEOUT, "The provider could not be reached in time.")
    if isinstance(error, UpstreamTooLarge):
        return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, "The provider's answer is larger than the gateway takes.")
    return GatewayError(Code.BACKEND_ERROR)


def unasked(interrupted: Interrupted) -> GatewayError:
    """What it is called where the call waited for its turn, and no provider was asked."""
    if interrupted.why is Why.TOTAL:
        return GatewayError(
            Code.OVERLOADED, "The model's backends had no room within the model's total deadline.", retry_after=1
        )
    return GatewayError(*_INTERRUPTIONS[interrupted.why])
