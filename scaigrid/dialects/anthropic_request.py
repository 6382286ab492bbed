"""From the Anthropic dialect's requests to canonical calls.

Left out, because they change no answer: the citations that an earlier answer's text came with, marks to cache a tool
call, and wishes how a tool's input is streamed.
"""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from scaigrid.dialects import anthropic_shapes as shapes
from scaigrid.dialects.anthropic_blocks import Blocks, cached
from scaigrid.dialects.forms import invalid
from scaigrid.dialects.shapes import Effort
from scaigrid.types import (
    CacheTime,
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    ReasoningRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

_EFFORTS: Final[dict[str, Effort]] = {effort: effort for effort in get_args(Effort)}
_UNSAID_EFFORT: Final = "high"
"""What thinking that is left to the model rests on where the caller names no effort."""


def chat(request: shapes.AnthropicRequest, unknown: Sequence[str]) -> Chat:
    """The canonical call; `unknown` is what the walk over the body has found. Raises VALIDATION_ERROR."""
    return msgspec.structs.replace(
        counted(request, unknown),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or (),
        user=None if request.metadata is None else request.metadata.user_id,
    )


def counted(request: shapes.AnthropicCounted, unknown: Sequence[str]) -> Chat:
    """What of a call has a size. Raises VALIDATION_ERROR."""
    blocks = Blocks(unknown)
    messages = [*_system(request.system)]
    for place, message in enumerate(request.messages):
        messages += blocks.messages(message, f"messages[{place}]")
    reasoning = _reasoning(request, blocks.unknown)
    if blocks.faults:
        raise invalid(*blocks.faults)
    choice = request.tool_choice
    one_by_one = (
        choice is not None
        and not isinstance(choice, shapes.AnthropicChoiceNone)
        and choice.disable_parallel_tool_use is True
    )
    control = request.cache_control
    return Chat(
        messages=tuple(messages if control is None else _ending(messages, cached(control) or "5m")),
        tools=tuple([_tool(tool) for tool in request.tools or ()]),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if one_by_one else None,
        response_format=_format(request),
        reasoning=reasoning,
        provider_options=request.provider_options or {},
        unknown=tuple(blocks.unknown),
    )


def _system(given: str | tuple[shapes.AnthropicInstruction, ...] | None) -> tuple[Message, ...]:
    if not given:
        return ()
    if isinstance(given, str):
        return (Message(role="system", content=(TextPart(given),)),)
    parts = tuple([TextPart(one.text, cache=cached(one.cache_control)) for one in given if one.text])
    return (Message(role="system", content=parts),) if parts else ()


def _ending(messages: list[Message], mark: CacheTime) -> list[Message]:
    """The same, with the last part marked: so Anthropic reads a mark on the whole request."""
    if not messages or not messages[-1].content:
        return messages
    *ahead, last = messages
    *parts, end = last.content
    if isinstance(end, TextPart | ImagePart | FilePart | JsonPart) and end.cache is None:
        last = msgspec.structs.replace(last, content=(*parts, msgspec.structs.replace(end, cache=mark)))
    return [*ahead, last]


def _tool(tool: shapes.AnthropicTool) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description,
        parameters=tool.input_schema,
        strict=tool.strict,
        cache=cached(tool.cache_control),
    )


def _tool_choice(choice: shapes.AnthropicToolChoice | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case shapes.AnthropicChoiceTool(name=name):
            return ToolChoice(mode="required", name=name)
        case shapes.AnthropicChoiceAny():
            return ToolChoice(mode="required")
        case shapes.AnthropicChoiceNone():
            return ToolChoice(mode="none")
        case shapes.AnthropicChoiceAuto():
            return ToolChoice(mode="auto")


def _reasoning(request: shapes.AnthropicCounted, unknown: list[str]) -> ReasoningRequest | None:
    wish = request.thinking
    named = None if request.output_config is None else request.output_config.effort
    effort = None if named is None else _EFFORTS.get(named)
    if named is not None and effort is None:
        unknown.append("output_config.effort")
    if effort is not None and isinstance(wish, shapes.AnthropicThinkingDisabled | shapes.AnthropicThinkingEnabled):
        # Only Anthropic knows an effort that is not one of thinking.
        unknown.append("output_config.effort")
    match wish:
        case None:
            return None if effort is None else ReasoningRequest(effort=effort)
        case shapes.AnthropicThinkingDisabled():
            return ReasoningRequest(effort="none")
        case shapes.AnthropicThinkingEnabled(budget_tokens=budget):
            return ReasoningRequest(budget_tokens=budget, summary=_summary(wish.display))
        case shapes.AnthropicThinkingAdaptive():
            return ReasoningRequest(effort=effort or _UNSAID_EFFORT, summary=_summary(wish.display))


def _summary(display: shapes.Display | None) -> Literal["auto"] | None:
    return None if display == "omitted" else "auto"


def _format(request: shapes.AnthropicCounted) -> ResponseFormat | None:
    wanted = request.output_config.format if request.output_config is not None else None
    wanted = wanted or request.output_format
    return None if wanted is None else ResponseFormat(kind="json_schema", schema=wanted.schema, strict=True)
