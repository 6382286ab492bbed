"""Makes the smallest value that a JSON Schema allows, always the same one.

Source: JSON Schema 2020-12, the part of it that tools and response formats use. A keyword that could make the value
wrong and is not known here is an error, never ignored; the alternatives of `oneOf` are taken to exclude each other.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

WORD: Final = "simulated"
"""What is said where a schema asks for any text."""

_DEEPEST: Final = 32
_MOST_STEPS: Final = 20_000
_LONGEST: Final = 10_000
_UNKNOWN: Final = (
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "pattern",
    "patternProperties",
    "propertyNames",
    "then",
)
_FORMATS: Final = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "duration": "PT0S",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
_KEYWORDS: Final = {
    "object": ("properties", "required", "minProperties"),
    "array": ("items", "prefixItems", "minItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}

Schema = Mapping[str, Any]


class NoExampleError(ValueError):
    """No value fits the schema, or none that can be made here; the text says why, for the caller."""


class _TooManyError(NoExampleError):
    """The schema keeps one busy for too long; no alternative is tried after that."""


def example(schema: Schema) -> Any:
    """The value, of JSON's types. Raises NoExampleError."""
    maker = _Maker(schema)
    for depth in range(1, _DEEPEST):
        # The shallowest value first: a type that contains itself ends at the first place where it may
        try:
            return maker.make(schema, depth)
        except _TooManyError:
            raise
        except _TooDeepError:
            continue
    raise NoExampleError("no value of the schema has an end")


class _TooDeepError(NoExampleError):
    pass


class _Maker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = 0
        self._apply: dict[str, Callable[[Schema, int], Any]] = {
            "$ref": self._reference,
            "allOf": self._all,
            "anyOf": self._any,
            "oneOf": self._any,
            "const": lambda schema, _depth: schema["const"],
            "enum": self._listed,
        }
        """Keywords that say by themselves what the value is, in the order in which they are followed."""
        self._make: dict[str, Callable[[Schema, int], Any]] = {
            "array": self._array,
            "boolean": lambda _schema, _depth: False,
            "integer": lambda schema, _depth: _number(schema, whole=True),
            "null": lambda _schema, _depth: None,
            "number": lambda schema, _depth: _number(schema, whole=False),
            "object": self._object,
            "string": self._string,
        }

    def make(self, schema: Any, depth: int) -> Any:
        self._spend(1)
        if schema is True:
            return WORD
        if not _is_object(schema):
            raise NoExampleError("a schema must be an object that allows something")
        if depth == 0:
            raise _TooDeepError("the schema is nested too deeply")
        for keyword in _UNKNOWN:
            if keyword in schema:
                raise NoExampleError(f"the simulator makes no values for the keyword {keyword}")
        for keyword, apply in self._apply.items():
            if keyword in schema:
                return apply(schema, depth)
        return self._first(_types(schema), lambda kind: self._typed(kind, schema, depth))

    def _reference(self, schema: Schema, depth: int) -> Any:
        return self.make(self._merged(schema, "$ref", [self._referred(schema["$ref"])]), depth - 1)

    def _all(self, schema: Schema, depth: int) -> Any:
        return self.make(self._merged(schema, "allOf", _list(schema["allOf"])), depth - 1)

    def _any(self, schema: Schema, depth: int) -> Any:
        keyword = "anyOf" if "anyOf" in schema else "oneOf"
        return self._first(
            _list(schema[keyword]), lambda one: self.make(self._merged(schema, keyword, [one]), depth - 1)
        )

    def _listed(self, schema: Schema, _depth: int) -> Any:
        return self._first(_list(schema["enum"]), lambda value: value)

    def _spend(self, steps: int) -> None:
        """The schema is the caller's, and the event loop everybody's."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise _TooManyError("the schema is too large")

    def _typed(self, kind: Any, schema: Schema, depth: int) -> Any:
        make = self._make.get(kind) if isinstance(kind, str) else None
        if make is None:
            raise NoExampleError(f"there is no type {kind!r}")
        return make(schema, depth)

    def _first(self, options: Sequence[Any], make: Callable[[Any], Any]) -> Any:
        """What can be made of the first option of which anything can."""
        failure: NoExampleError = NoExampleError("the schema allows nothing")
        for option in options:
            try:
                return make(option)
            except _TooManyError:
                raise
            except NoExampleError as error:
                # What a deeper try may still give is worth more than a reason to give up
                failure = failure if isinstance(failure, _TooDeepError) else error
        raise failure

    def _string(self, schema: Schema, _depth: int) -> str:
        text = _text(schema)
        self._spend(len(text) // len(WORD))
        return text

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Any = schema.get("properties", {})
        if not _is_object(properties):
            raise NoExampleError("properties must be an object")
        others: Any = schema.get("additionalProperties", True)
        names = [name for name in _list(schema.get("required", [])) if isinstance(name, str)]
        least = _count(schema, "minProperties")
        if len(names) < least:
            given = frozenset(names)
            names += [name for name in properties if name not in given][: least - len(names)]
            names += [f"{WORD}{number}" for number in range(least - len(names))]
        self._spend(len(names))
        return {name: self.make(properties.get(name, others), depth - 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        least = _count(schema, "minItems")
        if schema.get("uniqueItems") and least > 1:
            raise NoExampleError("the simulator makes no lists of different values")
        first = _list(schema.get("prefixItems", []))
        items: Any = schema.get("items", True)
        return [self.make(first[place] if place < len(first) else items, depth - 1) for place in range(least)]

    def _referred(self, reference: Any) -> Any:
        """What a reference within the schema (RFC 6901, as a fragment) points at."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise NoExampleError("a reference must begin with #")
        found: Any = self._root
        for escaped in reference[1:].split("/")[1:]:
            name = escaped.replace("~1", "/").replace("~0", "~")
            if not _is_object(found) or name not in found:
                raise NoExampleError(f"the reference {reference} points nowhere")
            found = found[name]
        return found

    def _merged(self, schema: Schema, keyword: str, others: Iterable[Any]) -> Any:
        """`schema` without `keyword`, and with everything that `others` ask for."""
        merged = {name: value for name, value in schema.items() if name != keyword}
        self._spend(len(merged))
        for other in others:
            if other is True:
                continue
            if not _is_object(other):
                raise NoExampleError("a schema must be an object that allows something")
            self._spend(len(other))
            for name, value in other.items():
                if name in merged and (_is_list(value) or _is_object(value)):
                    self._spend(len(_list(merged[name])) * len(value))
                merged[name] = _both(name, merged[name], value) if name in merged else value
        return merged


def _both(keyword: str, one: Any, other: Any) -> Any:
    """One value of a keyword that asks for what both ask for."""
    if one == other:
        return one
    if keyword == "properties" and _is_object(one) and _is_object(other):
        shared = {name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}
        return {**one, **other, **shared}
    if keyword == "required":
        return [*_list(one), *(name for name in _list(other) if name not in _list(one))]
    if keyword in ("enum", "type"):
        others = _list(other)
        return [value for value in _list(one) if value in others]
    if keyword == "items":
        return {"allOf": [one, other]}
    if keyword.startswith(("min", "exclusiveMin")) and _is_number(one) and _is_number(other):
        return max(one, other)
    if keyword.startswith(("max", "exclusiveMax")) and _is_number(one) and _is_number(other):
        return min(one, other)
    if keyword in ("title", "description", "default", "examples", "$comment"):
        return one
    raise NoExampleError(f"the simulator cannot follow two values of the keyword {keyword} at once")


def _types(schema: Schema) -> list[Any]:
    if "type" in schema:
        return _list(schema["type"])
    for kind, keywords in _KEYWORDS.items():
        if any(keyword in schema for keyword in keywords):
            return [kind]
    return ["string"]


def _text(schema: Schema) -> str:
    least, most = _count(schema, "minLength"), schema.get("maxLength", _LONGEST)
    wanted = schema.get("format")
    text = _FORMATS.get(wanted, WORD) if isinstance(wanted, str) else WORD
    if text is WORD and _is_number(most):
        text = (WORD * (least // len(WORD) + 1))[: max(least, min(len(WORD), int(most)))]
    if len(text) < least or not _is_number(most) or len(text) > most:
        raise NoExampleError("no text is as long as the schema asks")
    return text


def _number(schema: Schema, *, whole: bool) -> int | float:
    """0 where that is allowed, else the first number that is among those that the bounds suggest."""
    low, above = _bound(schema, "minimum"), _bound(schema, "exclusiveMinimum")
    high, below = _bound(schema, "maximum"), _bound(schema, "exclusiveMaximum")
    step = _bound(schema, "multipleOf")
    edges = [edge for edge in (low, above, high, below) if edge is not None]
    candidates: list[int | float] = [0]
    for edge in edges:
        candidates += (math.ceil(edge), math.floor(edge) + 1, math.floor(edge), math.ceil(edge) - 1)
        if step:
            candidates += (math.ceil(edge / step) * step, (math.floor(edge / step) + 1) * step)
            candidates += (math.floor(edge / step) * step, (math.ceil(edge / step) - 1) * step)
    if not whole:
        candidates += edges
        candidates += [(one + other) / 2 for one in edges for other in edges if one < other]
    for value in candidates:
        if (
            (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
            and (below is None or value < below)
            and (not step or value % step == 0)
            and (not whole or value == int(value))
        ):
            return int(value) if whole else value
    raise NoExampleError("no number fits the schema's bounds")


def _bound(schema: Schema, keyword: str) -> int | float | None:
    value = schema.get(keyword)
    if value is not None and not (_is_number(value) and abs(value) < 2**53):
        raise NoExampleError(f"{keyword} must be a number of ordinary size")
    return value


def _count(schema: Schema, keyword: str) -> int:
    value = schema.get(keyword, 0)
    if not _is_number(value) or not 0 <= value <= _LONGEST:
        raise NoExampleError(f"{keyword} must be a number from 0 to {_LONGEST}")
    return int(value)


def _list(value: Any) -> list[Any]:
    """The entries of a list, and a lone value as the only one."""
    return value if _is_list(value) else [value]


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
