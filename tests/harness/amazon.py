"""What Amazon's own SDK makes of the same bytes: its model of the Bedrock API, and its reader of event streams."""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def _model() -> Any:
    session: Any = import_module("botocore.session")
    return session.get_session().get_service_model("bedrock-runtime")


def request_faults(operation: str, model: str, body: dict[str, Any]) -> str:
    """What the SDK has against a request; empty for nothing.

    It knows what is required, of which type and how long; what it would leave out in silence is looked for here.
    """
    validate: Any = import_module("botocore.validate")
    shape = _model().operation_model(operation).input_shape
    report: str = validate.ParamValidator().validate({"modelId": model, **body}, shape).generate_report()
    return "\n".join([report, *_unknown(body, shape, operation)]).strip()


def _unknown(value: Any, shape: Any, path: str) -> list[str]:
    """Members that the model does not know, and words that are not among those of an enumeration."""
    if getattr(shape, "is_document_type", False):
        return []
    match shape.type_name:
        case "structure":
            found = [f"unknown: {path}.{name}" for name in value.keys() - shape.members.keys()]
            for name in value.keys() & shape.members.keys():
                found += _unknown(value[name], shape.members[name], f"{path}.{name}")
            return found
        case "list":
            return [
                one for place, inner in enumerate(value) for one in _unknown(inner, shape.member, f"{path}[{place}]")
            ]
        case "string" if shape.enum and value not in shape.enum:
            return [f"no such word: {path} {value}"]
        case _:
            return []


def messages(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The messages of an event stream: headers and payload of each."""
    eventstream: Any = import_module("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(stream)
    return [(dict(one.headers), bytes(one.payload)) for one in buffer]
