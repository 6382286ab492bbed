"""The judge of JSON Schema 2020-12 from elsewhere (jsonschema), typed: its stubs leave parts unknown."""

from typing import Any, Final

from jsonschema import Draft202012Validator

_JUDGE: Final[Any] = Draft202012Validator


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    """What keeps a value from fitting a schema."""
    return [str(error.message) for error in _JUDGE(schema).iter_errors(value)]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    return bool(_JUDGE(schema).is_valid(value))


def check(schema: dict[str, Any]) -> None:
    """Raises jsonschema's SchemaError for what is none."""
    _JUDGE.check_schema(schema)
