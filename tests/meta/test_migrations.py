"""A release may run beside the one before it: a step of the database only adds, and both databases end up the same."""

import ast
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

import scaigrid.db
from scaigrid.db.engine import create_engine
from scaigrid.db.migrate import HEAD, REVISIONS
from scaigrid.db.models import metadata
from tests.harness import databases

T = TypeVar("T")

MIGRATIONS = Path(scaigrid.db.__file__).parent / "migrations"
STEPS = sorted((MIGRATIONS / "versions").glob("*.py"))

ADDS = ("create_table", "create_index", "add_column", "bulk_insert", "get_context")
"""The operations of Alembic that the release before can live with."""
MARK = "contracts"
"""The name by which a step that takes something away gives its reason: since which release nobody needs it."""


@pytest.fixture(params=STEPS, ids=[path.stem for path in STEPS])
def step(request: pytest.FixtureRequest) -> ast.Module:
    path: Path = request.param
    return ast.parse(path.read_text())


def said(step: ast.Module) -> dict[str, Any]:
    """The names that a step gives a value at its top."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in step.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def operations(step: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call of `op.<name>(...)`."""
    for node in ast.walk(step):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "op":
                yield node.func.attr, node


def keywords(call: ast.expr) -> dict[str | None, ast.expr]:
    assert isinstance(call, ast.Call)
    return {keyword.arg: keyword.value for keyword in call.keywords}


def filled(call: ast.Call) -> str | None:
    """The table that a statement adds rows to; None for any other statement."""
    text: Any = call.args[0]
    if isinstance(text, ast.JoinedStr):
        text = text.values[0]
    words = str(text.value).split() if isinstance(text, ast.Constant) else []
    return words[2] if words[:2] == ["INSERT", "INTO"] else None


def takes_away(step: ast.Module) -> list[str]:
    """What in a step the release before, which still reads and writes, could stumble over."""
    made = {ast.literal_eval(call.args[0]) for name, call in operations(step) if name == "create_table"}
    found: list[str] = []
    for name, call in operations(step):
        if name not in ADDS and not (name == "execute" and filled(call) in made):
            found.append(name)
        elif name == "add_column":
            column = keywords(call.args[1])
            nullable = "nullable" not in column or ast.literal_eval(column["nullable"])
            if not nullable and "server_default" not in column:
                found.append("a column that has to be given")
        elif name == "create_index" and "unique" in keywords(call) and ast.literal_eval(call.args[1]) not in made:
            found.append("a constraint on rows that are there")
    return found


def test_a_step_only_adds_or_says_why_not(step: ast.Module) -> None:
    reason = said(step).get(MARK)
    if takes_away(step):
        assert isinstance(reason, str), f"{takes_away(step)}: wait a release, then give the reason as `{MARK} = ...`"
        assert len(reason) > 20, reason
    else:
        assert reason is None, "it takes nothing away"


def test_no_step_goes_back(step: ast.Module) -> None:
    """What was written since would be lost; the way back is the backup."""
    assert [node.name for node in step.body if isinstance(node, ast.FunctionDef)] == ["upgrade"]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("op.create_table('t', sa.Column('n', sa.Text, nullable=False))", []),
        ("op.add_column('t', sa.Column('n', sa.Text))", []),
        ("op.add_column('t', sa.Column('n', sa.Text, nullable=False, server_default=''))", []),
        ("op.add_column('t', sa.Column('n', sa.Text, nullable=False))", ["a column that has to be given"]),
        ("op.create_index('i', 't', ['n'])", []),
        ("op.create_index('i', 't', ['n'], unique=True)", ["a constraint on rows that are there"]),
        ("op.drop_column('t', 'n')", ["drop_column"]),
        ("op.alter_column('t', 'n', new_column_name='m')", ["alter_column"]),
        ("op.execute('DELETE FROM t')", ["execute"]),
        ("op.execute('INSERT INTO t SELECT 1')", ["execute"]),
        ("op.create_table('t'); op.execute(f'INSERT INTO t SELECT {_ONE}')", []),
    ],
)
def test_what_takes_away_is_told_from_what_adds(statement: str, found: list[str]) -> None:
    assert takes_away(ast.parse(f"def upgrade():\n    {statement}")) == found


def test_the_revisions_are_those_of_the_steps() -> None:
    """They are written down a second time, so that a start need not import Alembic to know them."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_heads() == [HEAD]
    assert [path.stem.partition("_")[0] for path in STEPS] == list(REVISIONS)


def within(url: str, look: Callable[[Connection], T]) -> T:
    """What `look` finds in a database."""
    engine = create_engine(url)

    async def run() -> T:
        async with engine.begin() as connection:
            found = await connection.run_sync(look)
        await engine.dispose()
        return found

    return asyncio.run(run())


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def test_the_tables_are_those_of_the_models(database_url: str) -> None:
    assert within(database_url, differences) == []


def schema(connection: Connection) -> dict[str, object]:
    """Every table with its columns in their order, and the names and columns of every constraint and index."""
    found = inspect(connection)
    return {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(table)],
            "primary key": found.get_pk_constraint(table),
            "unique": sorted(found.get_unique_constraints(table), key=repr),
            "indexes": sorted(found.get_indexes(table), key=repr),
            "foreign keys": found.get_foreign_keys(table),
            "checks": found.get_check_constraints(table),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_migrated_and_made_from_the_models_the_schema_is_the_same(empty_database_url: str, tmp_path: Path) -> None:
    """More than the comparison above sees: the order of the columns, the names of the constraints."""
    migrated = databases.fresh(databases.kind_of(empty_database_url), tmp_path)
    within(empty_database_url, metadata.create_all)
    made = within(empty_database_url, schema)
    assert within(migrated, schema) == made
    databases.drop(migrated)
    assert len(made) == len(metadata.tables)
