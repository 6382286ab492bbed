"""How a database is asked for tags, which are kept as JSON objects, in text."""

from typing import Any

import msgspec
from sqlalchemy import JSON, ColumnElement, Text, and_, case, cast, func, select, true
from sqlalchemy.sql.selectable import FromClause

from scaigrid.db.models import usage
from scaigrid.ledger.reading import Tag

_json = msgspec.json.Encoder().encode

_FIND = {"sqlite": func.instr, "postgresql": func.strpos}
_NUL = "\\u0000"
"""Rows of the first release may have it; no text of PostgreSQL does, and whoever asks for it gets an error."""


def has_tag(tag: Tag, dialect: str) -> ColumnElement[bool]:
    """Whether a row of `usage` has the tag."""
    find = _FIND[dialect]
    # A search through the text is cheap, and nearly the answer; only what it finds is read as JSON.
    likely = find(usage.c.tags, _json(tag.name).decode() + ":") > 0
    if dialect == "sqlite":
        each: Any = func.json_each(usage.c.tags).table_valued("key", "value")
        same = each.c.key == tag.name
        if tag.value is not None:
            same = and_(same, each.c.value == tag.value)
        exact: ColumnElement[bool] = select(1).select_from(each).where(same).exists()
    else:
        likely = and_(likely, find(usage.c.tags, _NUL) == 0)
        value = cast(usage.c.tags, JSON).op("->>", return_type=Text())(tag.name)
        exact = value.is_not(None) if tag.value is None else value == tag.value
    # CASE alone promises that the second is asked only where the first holds.
    return case((likely, exact), else_=~true())


def each_tag(dialect: str) -> tuple[FromClause, ColumnElement[str], ColumnElement[str]]:
    """Rows of `usage`, once for each of their tags; the tag's name and its value."""
    if dialect == "sqlite":
        each: Any = func.json_each(usage.c.tags).table_valued("key", "value", name="tag")
    else:
        readable = case((_FIND[dialect](usage.c.tags, _NUL) == 0, usage.c.tags), else_="{}")
        each = func.json_each_text(cast(readable, JSON)).table_valued("key", "value", name="tag")
    return usage.join(each, true()), cast(each.c.key, Text), cast(each.c.value, Text)
