"""Whose fault a failed statement is: the values', which it is no use to try again, or the database's."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

_DATA = "22"
_OF_VALUES = (_DATA, "23", "54")
"""Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded (a key too long for its
index). https://www.postgresql.org/docs/current/errcodes-appendix.html"""


def of_values(error: Exception) -> bool:
    """Whether other values would have been taken: too large a number, a sign that the database has no place for.

    SQLite's driver says it by classes of error, PostgreSQL's by a SQLSTATE, even where it has not asked the server.
    """
    return isinstance(error, DataError | IntegrityError | OverflowError | UnicodeError) or _state(error).startswith(
        _OF_VALUES
    )


def told(error: Exception) -> str:
    """The error for a log, without the values that PostgreSQL and its driver repeat."""
    state = _state(error)
    if isinstance(error, DBAPIError) and state.startswith(_DATA):
        return f"{type(error.driver_exception).__name__}: SQLSTATE {state}"
    return f"{type(error).__name__}: {error}"


def _state(error: Exception) -> str:
    orig = error.orig if isinstance(error, DBAPIError) else None
    return getattr(orig, "sqlstate", None) or ""
