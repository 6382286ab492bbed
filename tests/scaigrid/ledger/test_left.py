"""What a journal leaves open, record by record."""

from scaigrid.ledger.left import Left
from scaigrid.ledger.records import Begun, Record, Settling
from tests.scaigrid.ledger.rows import audit_row, usage_row


def left(*records: Record) -> list[str]:
    found = Left()
    for record in records:
        found.note(record)
    return list(found.open)


def test_what_has_begun_and_has_no_row_is_open() -> None:
    assert left(Begun(usage_row(0)), usage_row(1), audit_row(2), Begun(usage_row(3))) == [
        usage_row(0).id,
        usage_row(3).id,
    ]


def test_a_row_ends_what_has_begun_whether_or_not_it_says_how_it_is_settled() -> None:
    assert left(Begun(usage_row(0)), usage_row(0)) == []
    assert left(Begun(usage_row(0)), Settling(usage_row(0), "lease", {})) == []


def test_what_is_said_to_be_open_once_more_after_its_row_is_not() -> None:
    assert left(Begun(usage_row(0)), usage_row(0), Begun(usage_row(0))) == []


def test_what_one_journal_leaves_is_not_what_another_does() -> None:
    assert left(Begun(usage_row(0))) != left() == []
