"""Judges of OpenAPI documents from elsewhere: openapi-spec-validator and openapi-schema-validator, typed."""

from typing import Any

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

_SCHEMA: Any = OAS31Validator
_DOCUMENT: Any = OpenAPIV31SpecValidator


def document_faults(document: dict[str, Any]) -> list[str]:
    """What keeps it from being an OpenAPI 3.1 document."""
    return [str(error.message) for error in _DOCUMENT(document).iter_errors()]


def faults(value: Any, schema: dict[str, Any], components: dict[str, Any]) -> list[str]:
    """What keeps a value from fitting a schema of a document with these `components`."""
    return [str(error.message) for error in _SCHEMA({**schema, "components": components}).iter_errors(value)]
