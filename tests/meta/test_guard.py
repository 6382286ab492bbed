"""The guard on the event loop is up in asynchronous tests, and watches our code only."""

import ast
import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest
from blockbuster import BlockingError

from tests.harness.checkout import ROOMS, ROOT
from tests.harness.guard import BEFORE_SERVING, MAY_BLOCK, MAY_LOOK


def blocking_code_in(path: Path) -> None:
    """Call os.listdir from code that says it stands in `path`."""
    exec(compile("import os; os.listdir('.')", path, "exec"))  # noqa: S102 - a stack frame of that file is the point


@pytest.mark.parametrize("room", ROOMS)
async def test_our_code_cannot_block_the_loop(room: str) -> None:
    with pytest.raises(BlockingError, match=r"os\.listdir"):
        blocking_code_in(ROOT / room / "made_up.py")


async def test_a_test_may_block_its_own_loop() -> None:
    assert os.listdir(ROOT)  # noqa: PTH208 - the very call that is watched


def test_our_code_may_block_where_no_loop_runs() -> None:
    blocking_code_in(ROOT / ROOMS[0] / "made_up.py")


def test_every_exemption_is_of_a_function_that_is_there_and_makes_that_call() -> None:
    stale = [(call, file, function) for call, file, function in MAY_BLOCK if not calls(file, function, call)]
    stale += [("", file, function) for file, function in MAY_LOOK if not calls(file, function, "")]
    assert stale == []


@pytest.mark.parametrize("module", BEFORE_SERVING)
def test_what_runs_before_serving_is_there(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


def calls(file: str, function: str, call: str) -> bool:
    """Whether `function` in `file` has `call` in its text."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    places = [ROOT / file, Path(sysconfig.get_path("purelib"), file)]
    tree = ast.parse(next(path for path in places if path.exists()).read_text())
    bodies = [node for node in ast.walk(tree) if isinstance(node, functions) and node.name == function]
    return any(f"{call}(" in ast.unparse(body) for body in bodies)
