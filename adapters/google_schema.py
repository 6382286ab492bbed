"""JSON Schemas as Gemini takes them.

Source: Gemini API reference, "FunctionDeclaration.parametersJsonSchema", "GenerationConfig.responseJsonSchema". These
fields take JSON Schema itself, references and all, so a schema goes through as it is. Only `const` is not among the
keywords that the reference names; a list of one value says the same.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from adapters.wire import is_list, is_object

Schema = dict[str, Any]


def schema(given: Schema) -> Schema:
    """The schema in the keywords that Gemini knows. `given` itself is left as it is."""
    return {name: _WALKS[name](value) if name in _WALKS else value for name, value in _known(given).items()}


def described(given: Schema, description: str | None) -> Schema:
    """The schema with a description, where it has none of its own."""
    return given if description is None or "description" in given else {**given, "description": description}


def _known(given: Schema) -> Schema:
    if "const" not in given:
        return given
    return {"enum" if name == "const" else name: [value] if name == "const" else value for name, value in given.items()}


def _one(value: Any) -> Any:
    return schema(value) if is_object(value) else value


def _each(value: Any) -> Any:
    return [_one(one) for one in value] if is_list(value) else _one(value)


def _named(value: Any) -> Any:
    return {name: _one(one) for name, one in value.items()} if is_object(value) else value


_WALKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "properties": _named,
    "patternProperties": _named,
    "$defs": _named,
    "definitions": _named,
    "items": _each,
    "prefixItems": _each,
    "anyOf": _each,
    "oneOf": _each,
    "allOf": _each,
    "additionalProperties": _one,
    "not": _one,
}
"""Where schemas stand inside a schema: elsewhere (`default`, `enum`, `examples`) a `const` is a caller's own word."""
