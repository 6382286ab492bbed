"""The tables keep the Structs field by field, on either database."""

import pytest
from sqlalchemy import BigInteger, Table
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from scaigrid.db.models import audit, metadata, usage
from scaigrid.ledger.records import AuditRow, UsageRow


def test_columns_stand_in_the_order_of_the_fields() -> None:
    """Rows are handed over as tuples: an order of their own would put every value into another column."""
    assert tuple(usage.columns.keys()) == UsageRow.__struct_fields__
    assert tuple(audit.columns.keys())[: len(AuditRow.__struct_fields__)] == AuditRow.__struct_fields__


@pytest.mark.parametrize(("table", "row"), [(usage, UsageRow), (audit, AuditRow)], ids=["usage", "audit"])
def test_a_column_is_empty_only_where_its_field_may_be(table: Table, row: type) -> None:
    for name, annotation in row.__annotations__.items():
        assert table.c[name].nullable == (type(None) in getattr(annotation, "__args__", ())), name


def test_every_whole_number_has_64_bits() -> None:
    numbers = [column for table in metadata.tables.values() for column in table.c if column.type.python_type is int]
    assert len(numbers) > 10
    assert [column.name for column in numbers if not isinstance(column.type, BigInteger)] == []


def test_every_constraint_has_a_name() -> None:
    """Without one, a later migration could not speak of it."""
    for table in metadata.tables.values():
        assert all(constraint.name for constraint in table.constraints)
        assert all(index.name for index in table.indexes)


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://"])
def test_both_databases_can_be_told(url: str) -> None:
    dialect = make_url(url).get_dialect()()
    for table in metadata.sorted_tables:
        needed = [column for column in table.c if not column.nullable]
        assert str(CreateTable(table).compile(dialect=dialect)).count("NOT NULL") == len(needed)
        assert all(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
