"""The documentation of a Struct's fields: the strings that stand below them in its source."""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache


def field_docs(struct: type) -> Mapping[str, str]:
    """By the name of the field, inherited ones included, each as one line; empty where there is no source to read."""
    docs: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        docs.update(_documented(cls.__module__).get(cls.__qualname__, {}))
    return docs


@cache
def _documented(module: str) -> Mapping[str, Mapping[str, str]]:
    """The field documentation of each class at the top level of a module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    return {node.name: _of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> Mapping[str, str]:
    docs: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                docs[name] = " ".join(text.split())
            case _:
                pass
    return docs
