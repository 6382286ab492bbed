"""A span is cut without a gap or an overlap, and what is not whole hours is short."""

import math

from hypothesis import given
from hypothesis import strategies as st

from scaigrid.ledger.spans import DAY, HOUR, ROWS, Piece, cut, pieces

TIMES = st.one_of(
    st.floats(0, 10 * DAY),
    st.integers(0, 10 * DAY).map(float),
    st.integers(0, 240).map(lambda hour: float(hour * HOUR)),
    st.integers(0, 10).map(lambda day: float(day * DAY)),
)


def test_whole_days_whole_hours_and_edges() -> None:
    assert pieces(DAY - HOUR - 0.5, 3 * DAY + HOUR + 0.25) == (
        Piece(ROWS, DAY - HOUR - 0.5, DAY - HOUR),
        Piece(HOUR, DAY - HOUR, DAY),
        Piece(DAY, DAY, 3 * DAY),
        Piece(HOUR, 3 * DAY, 3 * DAY + HOUR),
        Piece(ROWS, 3 * DAY + HOUR, 3 * DAY + HOUR + 0.25),
    )


def test_a_span_without_a_whole_hour_is_rows_alone() -> None:
    assert pieces(HOUR + 1, 2 * HOUR - 1) == (Piece(ROWS, HOUR + 1, 2 * HOUR - 1),)
    assert pieces(HOUR - 1, HOUR + 1) == (Piece(ROWS, HOUR - 1, HOUR + 1),)


def test_a_day_is_one_piece() -> None:
    assert pieces(DAY, 2 * DAY) == (Piece(DAY, DAY, 2 * DAY),)


def test_all_of_time_is_one_piece() -> None:
    assert pieces(-math.inf, math.inf) == (Piece(DAY, 0, math.inf),)


def test_a_span_without_an_end_ends_in_days() -> None:
    assert pieces(DAY - HOUR, math.inf) == (Piece(HOUR, DAY - HOUR, DAY), Piece(DAY, DAY, math.inf))


def test_a_span_without_time_has_no_pieces() -> None:
    assert pieces(5.0, 5.0) == pieces(6.0, 5.0) == pieces(-2.0, -1.0) == ()


@given(TIMES, TIMES)
def test_pieces_follow_each_other_from_start_to_end(start: float, end: float) -> None:
    cut = pieces(start, end)
    edges = [start, *(piece.end for piece in cut)]
    assert [piece.start for piece in cut] == edges[:-1]
    assert edges[-1] == (max(start, end) if cut else start)
    assert bool(cut) is (end > start)
    assert len(cut) <= 5


@given(TIMES, TIMES)
def test_sums_begin_and_end_where_hours_and_days_do(start: float, end: float) -> None:
    for piece in pieces(start, end):
        assert piece.start < piece.end
        if piece.of == ROWS:
            assert piece.end - piece.start < 2 * HOUR
        else:
            assert (piece.start % piece.of, piece.end % piece.of) == (0, 0)


def test_of_a_day_that_is_nearly_whole_the_rest_is_taken_away() -> None:
    assert cut(HOUR + 0.5, 2 * DAY - HOUR) == (
        Piece(HOUR, 0, HOUR, -1),
        Piece(ROWS, HOUR, HOUR + 0.5, -1),
        Piece(DAY, 0, 2 * DAY),
        Piece(HOUR, 2 * DAY - HOUR, 2 * DAY, -1),
    )


def test_what_is_less_than_half_a_day_is_cut_as_it_was() -> None:
    for start, end in ((11 * HOUR, 12.5 * HOUR), (13 * HOUR, DAY + HOUR), (23 * HOUR, DAY + 2 * HOUR)):
        assert cut(start, end) == pieces(start, end)
    assert cut(DAY, math.inf) == pieces(DAY, math.inf)
    assert cut(5.0, 5.0) == ()


@given(TIMES, TIMES, st.lists(st.floats(0, 11 * DAY), max_size=20))
def test_every_moment_of_the_span_counts_once_and_no_other(start: float, end: float, moments: list[float]) -> None:
    parts = cut(start, end)
    for moment in (*moments, start, end, *(piece.start for piece in parts)):
        counted = sum(piece.sign for piece in parts if piece.start <= moment < piece.end)
        assert counted == (start <= moment < end)


@given(TIMES, TIMES)
def test_no_edge_costs_more_than_twelve_hours(start: float, end: float) -> None:
    parts = cut(start, end)
    assert sum(piece.end - piece.start for piece in parts if piece.of == HOUR) <= DAY + 2 * HOUR
    assert len(parts) <= 5
