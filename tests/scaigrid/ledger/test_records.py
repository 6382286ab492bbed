"""The rows hold what the contract promises to show, and cannot be changed on their way to the ledger."""

import msgspec
import pytest

from scaigrid.ledger.journal import Journal
from scaigrid.ledger.records import AuditRow, Record, Recorder, UsageRow
from tests.scaigrid.ledger.rows import audit_row, timeline_row, usage_row


def test_a_usage_row_has_every_published_field() -> None:
    published = {"id", "request_id", "model", "backend_id", "user_id", "tenant_id", "tokens_in", "tokens_out", "cost"}
    ours = {"created_at", "key_id", "partner_id", "backend_cost", "usage_source", "attempt", "tags", "latency_us"}
    assert published | ours <= set(UsageRow.__struct_fields__)


def test_an_audit_row_has_every_published_field() -> None:
    who = {"id", "timestamp", "action", "actor_id", "actor_email", "actor_type", "tenant_id", "partner_id"}
    what = {"resource_type", "resource_id", "ip_address", "user_agent", "status", "request_id", "before", "after"}
    assert who | what <= set(AuditRow.__struct_fields__)


@pytest.mark.parametrize("row", [usage_row(), audit_row(), timeline_row()], ids=["usage", "audit", "timeline"])
def test_a_row_cannot_be_changed(row: Record) -> None:
    with pytest.raises(AttributeError):
        row.id = "other"  # type: ignore[misc]  # that it must not be is what is shown


@pytest.mark.parametrize(
    ("row", "tag"),
    [(usage_row(), "usage"), (audit_row(), "audit"), (timeline_row(), "timeline")],
    ids=lambda given: str(given)[:8],
)
def test_a_row_is_written_as_an_array_that_begins_with_its_kind(row: Record, tag: str) -> None:
    """Field names are not repeated in every record: new fields are added at the end."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row))[:2] == [tag, row.id]


def test_the_journal_is_a_recorder() -> None:
    recorder: type[Recorder] = Journal
    assert issubclass(recorder, Journal)
