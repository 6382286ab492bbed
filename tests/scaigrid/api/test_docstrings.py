import ast
import sys
from types import ModuleType

import msgspec
import pytest

from scaigrid.api.docstrings import field_docs


class Plain(msgspec.Struct):
    """A class."""

    documented: int
    """One line."""
    bare: int
    wrapped: int = 1
    """More
    than    one
    line."""
    "not below a field"


class Heir(Plain):
    own: str = ""
    """Its own."""
    wrapped: int = 2
    """Said anew."""


def test_a_field_is_documented_by_the_string_below_it() -> None:
    assert field_docs(Plain) == {"documented": "One line.", "wrapped": "More than one line."}


def test_inherited_fields_keep_their_documentation_unless_it_is_said_anew() -> None:
    assert field_docs(Heir) == {"documented": "One line.", "wrapped": "Said anew.", "own": "Its own."}


def test_without_source_there_is_no_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs compiled files alone still has a document."""
    monkeypatch.setitem(sys.modules, "compiled_only", ModuleType("compiled_only"))
    struct = msgspec.defstruct("Struct", [("field", int)], module="compiled_only")
    assert field_docs(struct) == {}


def test_a_module_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    field_docs(Plain)
    monkeypatch.setattr(ast, "parse", None)
    assert field_docs(Plain)["documented"] == "One line."
