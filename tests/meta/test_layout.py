"""The test sits where the file sits, and a file holds one idea."""

import ast
import re
from pathlib import Path

import pytest

from tests.harness.checkout import ROOMS, ROOT, files

UNTESTED: dict[str, str] = {
    "scaigrid/adapter.py": "declares a port: tests/adapters/test___init__.py holds every adapter to it",
    "scaigrid/call.py": "declares a struct: the tests of the dialects read what each of them puts into it",
    "scaigrid/dialect.py": "declares a port: the tests of the dialects are of those who keep to it",
}
"""Modules without a test file of their own, each with its reason. It may only get shorter."""

LONG: dict[str, str] = {}
"""Files of more than 400 lines, each with its reason. It may only get shorter."""

ROWS = Path("scaigrid/api/operations")
"""Declarations of one kind: the package's own test holds each of them against the routes and the answers."""

LONGEST = 400
SAYS_NOTHING = re.compile(r"(Manager|Helper|Util|Utils|Base|Impl)$")
MODULES = [path for path in files() if path.parts[0] in ROOMS and path.suffix == ".py"]


def mirror(module: Path) -> Path:
    """The test of a module: scaigrid/config/load.py has tests/scaigrid/config/test_load.py."""
    return Path("tests", module.parent, f"test_{module.name}")


def source_of(test: Path) -> Path:
    """The module of a test, the other way round."""
    return test.relative_to("tests").with_name(test.name.removeprefix("test_"))


def needs_test(module: Path) -> bool:
    """All but the packages' own files, which may hold a tuple, and what is tested as a whole: steps and rows."""
    return module.name != "__init__.py" and "migrations" not in module.parts and module.parent != ROWS


def lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def test_every_test_file_has_its_source_file() -> None:
    tests = [path for path in files() if path.parts[:1] == ("tests",) and path.parts[1] in ROOMS]
    strays = [str(path) for path in tests if path.name.startswith("test_") and source_of(path) not in MODULES]
    assert strays == [], (
        "no such source: move the test beside its file, or to tests/conformance if it is of a whole kind"
    )


def test_every_module_has_its_test_file() -> None:
    present = set(files())
    bare = {str(module) for module in MODULES if needs_test(module) and mirror(module) not in present}
    assert sorted(bare - set(UNTESTED)) == []


@pytest.mark.parametrize("module", UNTESTED)
def test_a_module_without_a_test_has_nothing_that_could_be_wrong(module: str) -> None:
    """It declares: no function in it has a body."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    functions = [node for node in ast.walk(ast.parse((ROOT / module).read_text())) if isinstance(node, kinds)]
    assert [ast.unparse(one) for one in functions if not only_declared(one)] == []


def only_declared(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Whether there is nothing behind its docstring but `...`."""
    if isinstance(function, ast.Lambda):
        return False
    *documented, last = function.body
    return ast.unparse(last) == "..." and len(documented) == (ast.get_docstring(function) is not None)


def test_a_module_leaves_the_list_of_untested_once_it_has_a_test() -> None:
    assert [name for name in UNTESTED if Path(name) not in MODULES or mirror(Path(name)) in files()] == []


def test_no_file_hides_two_ideas() -> None:
    long = {str(module): lines(module) for module in MODULES if lines(module) > LONGEST}
    assert sorted(set(long) - set(LONG)) == [], long


def test_a_file_leaves_the_list_of_long_ones_once_it_is_short() -> None:
    assert [name for name in LONG if Path(name) not in MODULES or lines(Path(name)) <= LONGEST] == []


def test_no_class_has_a_name_that_says_nothing() -> None:
    named = [
        f"{module}:{node.lineno}: {node.name}"
        for module in MODULES
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if isinstance(node, ast.ClassDef) and SAYS_NOTHING.search(node.name)
    ]
    assert named == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_a_typed_package(room: str) -> None:
    assert {Path(room, "__init__.py"), Path(room, "py.typed")} <= set(files())
