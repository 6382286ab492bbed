"""The port that the control plane asks: what a filter that says nothing means, and that the audit log answers to it."""

import msgspec

from scaigrid.ledger.audit_queries import AuditLog
from scaigrid.ledger.audit_reading import AuditFilter, AuditReader
from scaigrid.ledger.records import AuditRow


def test_a_filter_that_says_nothing_keeps_nothing_out() -> None:
    assert set(msgspec.structs.asdict(AuditFilter()).values()) == {None}


def test_whatever_is_filtered_by_is_in_a_row() -> None:
    assert set(AuditFilter.__struct_fields__) - {"start", "end"} <= set(AuditRow.__struct_fields__)


def test_the_audit_log_is_a_reader() -> None:
    reader: type[AuditReader] = AuditLog
    assert issubclass(reader, AuditLog)
