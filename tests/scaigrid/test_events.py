"""What happened is handed on in the words of the contract; nobody outside hears of it yet."""

import msgspec
import pytest
from structlog.testing import CapturedCall, CapturingLogger

from scaigrid import events
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


def test_an_event_is_found_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is the least level that this process has been told to write.
    logger = CapturingLogger()
    monkeypatch.setattr(events, "_log", logger)
    LoggedEvents().publish(EVENT)
    assert logger.calls == [CapturedCall("debug", ("event",), msgspec.structs.asdict(EVENT))]
