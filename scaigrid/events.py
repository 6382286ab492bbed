"""The port of events: what happened that somebody outside may want to hear of."""

from typing import Any, Protocol

import msgspec
import structlog

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in the words in which it is handed on."""

    event_type: str
    """What kind of thing: `budget.soft_limit_reached`."""
    event_id: str
    """Its own: whoever hears of it twice knows by that."""
    source: str = "scaigrid"
    tenant_id: str | None
    """Whose it is; None for what stands above tenants."""
    partner_id: str | None
    """Likewise; None for the platform's own."""
    payload: dict[str, Any]
    """What there is to say, without any text of a request or an answer."""
    timestamp: str
    """ISO 8601, UTC."""


class Events(Protocol):
    """Whoever hands events on."""

    def publish(self, event: Event) -> None:
        """Takes an event, at once and without waiting for anybody; never raises."""
        ...


class LoggedEvents:
    """Hands nothing on: whoever looks for events finds them in the log, at the level `debug`."""

    def publish(self, event: Event) -> None:
        _log.debug("event", **msgspec.structs.asdict(event))
