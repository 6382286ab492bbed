"""Rows for people: each column as wide as its widest cell."""

from collections.abc import Iterator, Sequence

from scaigrid.cli.paint import harmless


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table. Nothing that stands in a cell is obeyed by a terminal; a cell without text shows `-`."""
    cells = [heads, *([harmless(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
