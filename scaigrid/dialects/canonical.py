"""From the shapes that both dialects share to canonical types, and the rules that hold for messages in both."""

import base64
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from scaigrid import provider_state
from scaigrid.dialects.shapes import (
    Format,
    FunctionChoice,
    FunctionTool,
    FunctionToolCall,
    JsonObjectFormat,
    JsonSchemaFormat,
    ToolMode,
)
from scaigrid.errors import Detail, GatewayError
from scaigrid.types import (
    CalledTool,
    JsonPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolChoice,
)

_WORDS: Final = {"system": "a system", "developer": "a developer", "assistant": "an assistant"}


def tools(given: Sequence[FunctionTool] | None) -> tuple[Tool, ...]:
    return tuple(
        [
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                parameters=tool.function.parameters,
                strict=tool.function.strict,
            )
            for tool in given or ()
        ]
    )


def tool_choice(given: ToolMode | FunctionChoice | None) -> ToolChoice | None:
    if given is None:
        return None
    if isinstance(given, FunctionChoice):
        return ToolChoice(mode="required", name=given.function.name)
    return ToolChoice(mode=given)


def called_tools(given: tuple[FunctionToolCall, ...] | None) -> tuple[CalledTool, ...]:
    return tuple([CalledTool(call.id, call.function.name, call.function.arguments) for call in given or ()])


def response_format(given: Format | None) -> ResponseFormat | None:
    match given:
        case None:
            return None
        case JsonSchemaFormat(json_schema=wanted):
            return ResponseFormat(
                kind="json_schema",
                name=wanted.name,
                description=wanted.description,
                schema=wanted.schema,
                strict=wanted.strict,
            )
        case JsonObjectFormat():
            return ResponseFormat(kind="json_object")
        case _:
            return ResponseFormat(kind="text")


def stops(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def reasoning(text: str | None, state: str | None, path: str, faults: list[Detail]) -> tuple[ReasoningPart, ...]:
    """What an assistant message says about its reasoning; the provider's state has all of it, so the text is spare."""
    if state is not None:
        try:
            return provider_state.decode(state, f"{path}.provider_state")
        except GatewayError as error:
            faults.extend(error.details)
    return (ReasoningPart(text=text),) if text else ()


def check_part(part: Part, role: Role, path: str, faults: list[Detail]) -> None:
    """Images, sound and files are for users and tools to show, refusals for assistants to speak."""
    if isinstance(part, TextPart):
        return
    if role in ("user", "tool"):
        if isinstance(part, RefusalPart) or (role == "user" and isinstance(part, JsonPart)):
            faults.append(Detail(f"{path}.type", f"this part cannot stand in a {role} message"))
    elif role != "assistant" or not isinstance(part, RefusalPart):
        faults.append(Detail(f"{path}.type", f"this part cannot stand in {_WORDS[role]} message"))


def data_url(url: str, path: str, faults: list[Detail]) -> tuple[str, str]:
    """Media type and base64 of a `data:` URL (RFC 2397)."""
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    if not data or "/" not in media_type:
        faults.append(Detail(path, "is not a data URL with a media type and data"))
    elif "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return media_type, data
