"""OpenAI's Responses API: its calls, and what is asked about stored answers.

Source: OpenAI's API reference, "Responses". An answer is kept by the provider that made it, where it keeps any, under
a name that this gateway signs. So `previous_response_id` leads back to the one backend that knows the conversation.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard, TypeVar
from urllib.parse import parse_qsl

import msgspec

from scaigrid.call import Call
from scaigrid.dialect import Resource
from scaigrid.dialects import openai_responses_request
from scaigrid.dialects.faults import Harmless
from scaigrid.dialects.forms import Form, every_fault, invalid, members, once
from scaigrid.dialects.openai_responses_answers import ResponseError, ResponseFailure
from scaigrid.dialects.openai_responses_shapes import InputTokensRequest, ResponsesHead, ResponsesRequest
from scaigrid.errors import Code, GatewayError
from scaigrid.sse import frame
from scaigrid.types import Chat, Embed, Operation, Rerank

SURFACE: Final = "openai/responses"
SIZE: Final = "openai/input_tokens"
PATH: Final = "/oai/v1/responses"
SIZE_PATH: Final = "/oai/v1/responses/input_tokens"
_DIALECT: Final = "openai"
_SAYS_NOTHING: Final[Harmless] = {
    "async": (False,),
    "background": (False,),
    "context": ("auto",),
    "defer_loading": (False,),
    "mode": ("standard",),
    "personality": ("",),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
    "verbosity": ("medium",),
}
"""Defaults of OpenAI's own."""
_OWN_TOOLS: Final = frozenset({"function", "custom"})
"""Tools that the caller runs; any other the provider runs, and reads what comes of it."""
_NOTHING: Final = b"null"

_FORM: Final = Form(ResponsesRequest, _SAYS_NOTHING)
_SIZE_FORM: Final = Form(InputTokensRequest, _SAYS_NOTHING)
_head: Final = msgspec.json.Decoder(ResponsesHead)
_items: Final = msgspec.json.Decoder(list[Any])
_encode: Final = msgspec.json.Encoder().encode
T = TypeVar("T", bound=msgspec.Struct)


def decode(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    """The call. Raises VALIDATION_ERROR."""
    return _call(body, found, "chat", SURFACE)


def decode_size(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    """The question how many input tokens a call has. Raises VALIDATION_ERROR."""
    return _call(body, found, "count_tokens", SIZE)


def _call(body: bytes, found: Mapping[str, msgspec.Raw], operation: Operation, surface: str) -> Call:
    try:
        head = _head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_FORM, _typed(body, found), error)) from None

    def canonical() -> Chat | Embed | Rerank:
        if operation == "chat":
            return openai_responses_request.chat(*_read(_FORM, body, found))
        return openai_responses_request.size(*_read(_SIZE_FORM, body, found))

    return Call(
        dialect=_DIALECT,
        operation=operation,
        surface=surface,
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
        held=head.previous_response_id,
        held_field=None if head.previous_response_id is None else "previous_response_id",
        grows=_grows(head, body, found),
        stream_error=stream_error,
        stream=operation == "chat" and bool(head.stream),
        max_output=head.max_output_tokens,
        output_field=None if head.max_output_tokens is None else "max_output_tokens",
        tags=head.metadata or {},
    )


def _grows(head: ResponsesHead, body: bytes, found: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the provider reads more than the body has."""
    named = any(bytes(found.get(name, _NOTHING)) != _NOTHING for name in ("conversation", "prompt"))
    hosted = any(tool.type not in _OWN_TOOLS for tool in head.tools or ())
    return head.previous_response_id is not None or named or hosted or b'"item_reference"' in body


def _read(form: Form[T], body: bytes, found: Mapping[str, msgspec.Raw]) -> tuple[T, list[str]]:
    typed = _typed(body, found)
    return form.read(typed, found if typed is body else members(typed))


def _typed(body: bytes, found: Mapping[str, msgspec.Raw]) -> bytes:
    """The body with a `type` on each item: what has none is a message, or refers to one that is stored."""
    given = found.get("input")
    if given is None or bytes(given)[:1] != b"[":
        return body
    try:
        items = _items.decode(given)
    except (msgspec.DecodeError, RecursionError):
        return body
    untyped = [item for item in items if _is_object(item) and _lacks_type(item)]
    for item in untyped:
        item["type"] = "item_reference" if _refers(item) else "message"
    return _encode({**found, "input": items}) if untyped else body


def _lacks_type(item: Mapping[str, Any]) -> bool:
    """Whether an item leaves its type out. One that refers to another may also have it as null, a message may not."""
    return item.get("type") is None if _refers(item) else "type" not in item


def _refers(item: Mapping[str, Any]) -> bool:
    return "id" in item and "role" not in item


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def stream_error(error: GatewayError, request_id: str, frames: int) -> bytes:
    """The event with which a stream ends that has failed; it counts on from the events before it."""
    first = error.details[0] if error.details else None
    message = error.message if first is None else f"{error.message} {first.field} {first.message}."
    param = None if first is None else first.field
    failure = ResponseFailure(
        type=error.row.openai_type, code=error.code, message=message, param=param, request_id=request_id
    )
    event = ResponseError(sequence_number=frames, code=error.code, message=message, param=param, error=failure)
    return frame(_encode(event), "error")


# -- stored answers --------------------------------------------------------------------------------------------------


def _about(verb: str) -> Resource:
    surface = f"{SURFACE}/{verb}"

    def call(name: str, query: str) -> Call:
        def canonical() -> Chat | Embed | Rerank:
            raise GatewayError(Code.NOT_FOUND, "The model's provider keeps no answers.")

        streams = verb == "retrieve" and ("stream", "true") in parse_qsl(query.lower())
        return Call(
            dialect=_DIALECT,
            operation="resource",
            surface=surface,
            model="",
            body=b"",
            members={},
            canonical=canonical,
            query=query,
            held=name,
            stream_error=stream_error,
            stream=streams,
        )

    return call


RESOURCES: Final[Mapping[str, Mapping[str, Resource]]] = {
    "/oai/v1/responses/{response_id}": {"GET": _about("retrieve"), "DELETE": _about("delete")},
    "/oai/v1/responses/{response_id}/cancel": {"POST": _about("cancel")},
    "/oai/v1/responses/{response_id}/input_items": {"GET": _about("input_items")},
}
