"""Numbers in columns, for people."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right, each as wide as it has to be."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def number(value: float | None, places: int = 0) -> str:
    """With thousands apart; nothing for None."""
    return "" if value is None else f"{value:,.{places}f}"


def share(value: float | None) -> str:
    """0 to 1 in percent; nothing for None."""
    return "" if value is None else f"{value:.1%}"
