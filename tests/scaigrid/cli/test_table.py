"""Tables that people read."""

from scaigrid.cli.table import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(table(("ID", "NAME"), [("1", "a longer one"), ("22222", "b")])) == [
        "ID     NAME",
        "1      a longer one",
        "22222  b",
    ]


def test_a_cell_without_text_shows_that_there_is_none() -> None:
    assert list(table(("A", "B"), [("", "x")])) == ["A  B", "-  x"]


def test_nothing_in_a_cell_is_obeyed_by_a_terminal_or_breaks_a_line() -> None:
    (_, row) = table(("A",), [("red\x1b[31m\nnext",)])
    assert row == "red\\x1b[31m\\nnext"


def test_a_table_without_rows_has_its_heads() -> None:
    assert list(table(("A", "B"), [])) == ["A  B"]
