"""What happened is handed on in the words of the contract; nobody outside hears of it yet."""

import msgspec
from structlog.testing import capture_logs

from scaigrid.events import Event, LoggedEvents

EVENT = Event(
    event_type="budget.soft_limit_reached",
    event_id="evt_1",
    tenant_id="tenant_1",
    partner_id=None,
    payload={"spent": "4"},
    timestamp="2027-01-15T08:00:00.000000Z",
)


def test_an_event_has_the_fields_of_the_contract() -> None:
    assert set(msgspec.to_builtins(EVENT)) == {
        "event_type",
        "event_id",
        "source",
        "tenant_id",
        "partner_id",
        "payload",
        "timestamp",
    }


def test_an_event_is_found_in_the_log() -> None:
    with capture_logs() as lines:
        LoggedEvents().publish(EVENT)
    assert lines == [{"event": "event", "log_level": "debug", **msgspec.structs.asdict(EVENT)}]
