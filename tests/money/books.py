"""The books: every row of the ledger against every call that a caller made, one by one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.money.callers import Answer
from tests.money.fact import Found
from tests.money.orders import Order

Row = Mapping[str, Any]

_MARKS: Final = frozenset({"interrupted", "client_closed"})
"""Outcomes that say: this call was not finished."""


class Books(msgspec.Struct, kw_only=True):
    """What the comparison came to. Calls and rows are counted, money is in nano-units."""

    finished: int = 0
    ledger: int = 0
    """All rows together."""
    billed: int = 0
    """All answers together that callers finished, by the callers' own arithmetic."""
    lost: list[str] = []
    """Finished, and no row."""
    doubled: list[str] = []
    """More than one row, or one row under two ids."""
    wrong: list[str] = []
    """A row that does not say what its call cost."""
    strange: list[str] = []
    """Rows of calls that nobody made, or that were refused."""
    open: int = 0
    """Calls whose answer the caller did not get to its end."""
    marked: int = 0
    """Of those: with a row that says so."""
    complete: int = 0
    """Of those: with a row of the whole answer, whose last byte was about to be sent or on its way."""
    unmarked: list[str] = []
    """Rows of calls that were not finished, and that say something else."""
    open_cost: int = 0
    """What the rows of unfinished calls come to."""

    def found(self) -> Found:
        """What speaks against it."""
        found = Found(lost_rows=len(self.lost), double_rows=len(self.doubled))
        for what, which in (
            ("finished answers without a row", self.lost),
            ("calls with more than one row", self.doubled),
            ("rows that do not say what their call cost", self.wrong),
            ("rows of calls that nobody made or that were refused", self.strange),
            ("rows of unfinished calls that are not marked", self.unmarked),
        ):
            found.expect(not which, f"{len(which)} {what}: {', '.join(which[:3])}")
        found.expect(
            self.wrong or self.lost or self.ledger == self.billed + self.open_cost,
            f"the ledger has {self.ledger}, the callers {self.billed}, the unfinished calls {self.open_cost}",
        )
        return found

    def __str__(self) -> str:
        return (
            f"{self.finished} answers, ledger {self.ledger} = {self.billed} + {self.open_cost} of {self.open} "
            f"unfinished calls ({self.marked} marked, {self.complete} complete)"
        )


def compared(rows: Iterable[Row], answers: Sequence[Answer], asked: Mapping[str, Order]) -> Books:
    """Every row of serving and of interrupted attempts against `answers`.

    `asked` are all calls that were begun, by request id.
    """
    books = Books()
    finished = {answer.order.id: answer.order for answer in answers if answer.served}
    refused = {answer.order.id for answer in answers if answer.finished and not answer.served}
    mine = [row for row in rows if row["serving"] or row["outcome"] in _MARKS]
    times = Counter(row["request_id"] for row in mine)
    ids = Counter(row["id"] for row in mine)
    books.finished = len(finished)
    books.billed = sum(order.cost for order in finished.values())
    books.ledger = sum(row["cost"] for row in mine)
    books.lost = [id_ for id_ in finished if not times[id_]]
    books.doubled = [id_ for several in (times, ids) for id_, number in several.items() if number > 1]
    books.open = len(asked.keys() - finished.keys() - refused)
    for row in mine:
        id_ = row["request_id"]
        order = asked.get(id_)
        if order is None or id_ in refused:
            books.strange.append(id_)
        elif id_ in finished:
            if not _says(row, order) or row["outcome"] != "ok":
                books.wrong.append(f"{id_} ({row['outcome']}, {row['cost']} instead of {order.cost})")
        else:
            books.open_cost += row["cost"]
            _unfinished(books, row, order)
    return books


def _unfinished(books: Books, row: Row, order: Order) -> None:
    if row["outcome"] in _MARKS:
        books.marked += 1
    elif row["outcome"] == "ok" and _says(row, order):
        # The row is written before the last byte is sent: between the two the gateway, or the caller, was gone.
        books.complete += 1
    else:
        books.unmarked.append(f"{row['request_id']} ({row['outcome']}, {row['error_code']})")


def _says(row: Row, order: Order) -> bool:
    """Whether it has the order's tokens and cost."""
    tokens = (row["tokens_in"], row["tokens_cache_read"], row["tokens_out"])
    return tokens == (order.tokens_in, order.cached, order.tokens_out) and row["cost"] == order.cost
