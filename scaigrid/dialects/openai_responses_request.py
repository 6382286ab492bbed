"""From calls of OpenAI's Responses API to canonical ones.

A turn of the assistant is several items there (reasoning, a message, calls of tools) and one message here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeGuard, get_args

from scaigrid import provider_state
from scaigrid.dialects import openai_responses_shapes as shapes
from scaigrid.dialects.canonical import check_part, data_url
from scaigrid.dialects.forms import invalid
from scaigrid.dialects.shapes import Effort, ToolMode
from scaigrid.errors import Detail, GatewayError
from scaigrid.types import (
    AudioPart,
    CacheTime,
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolChoice,
)

STATE: Final = "scaigrid."
"""What `encrypted_content` begins with where it holds the reasoning of a provider that has no such items."""
_LOGPROBS: Final = "message.output_text.logprobs"
_EFFORTS: Final[Mapping[str, Effort]] = {effort: effort for effort in get_args(Effort)}
_SUMMARIES: Final[Mapping[str, Literal["auto", "concise", "detailed"]]] = {
    "auto": "auto",
    "concise": "concise",
    "detailed": "detailed",
}
_JOIN: Final = "\n\n"


def chat(request: shapes.ResponsesRequest, unknown: Sequence[str]) -> Chat:
    """The canonical call; `unknown` is what the walk over the body has found. Raises VALIDATION_ERROR."""
    reader = _Reader(unknown)
    messages = reader.messages(request.instructions, request.input)
    if request.previous_response_id is not None:
        reader.unknown.append("previous_response_id")
    reasoning = reader.reasoning(request.reasoning)
    if not messages and not reader.unknown:
        reader.faults.append(Detail("input", "has nothing to answer: give a text or items"))
    if reader.faults:
        raise invalid(*reader.faults)
    return Chat(
        messages=messages,
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        tools=tools(request.tools),
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_response_format(request.text),
        reasoning=reasoning,
        logprobs=_LOGPROBS in (request.include or ()) or bool(request.top_logprobs),
        top_logprobs=request.top_logprobs or None,
        user=request.safety_identifier or request.user,
        provider_options=request.provider_options or {},
        unknown=tuple(reader.unknown),
    )


def size(request: shapes.InputTokensRequest, unknown: Sequence[str]) -> Chat:
    """The chat whose input tokens are to be counted. Raises VALIDATION_ERROR."""
    given = {name: getattr(request, name) for name in request.__struct_fields__}
    return chat(shapes.ResponsesRequest(**given), unknown)


def tools(given: Sequence[shapes.ResponsesFunctionTool] | None) -> tuple[Tool, ...]:
    return tuple(
        [
            Tool(
                name=tool.name,
                description=tool.description,
                parameters=tool.parameters,
                # Here a tool is strict unless its caller says otherwise; what cannot be is not made to fail by that.
                strict=tool.strict if tool.strict is not None else (_closed(tool.parameters) or None),
            )
            for tool in given or ()
        ]
    )


def _closed(schema: object) -> bool:
    """Whether strict mode takes a schema as it is: every object in it closed, every property required."""
    if _is_object(schema):
        properties = schema.get("properties")
        if _is_object(properties) or schema.get("type") == "object":
            names: dict[str, Any] = properties if _is_object(properties) else {}
            required = schema.get("required", [])
            if schema.get("additionalProperties") is not False or not _is_list(required) or set(names) != set(required):
                return False
        return all(_closed(value) for value in schema.values() if _is_object(value) or _is_list(value))
    return all(_closed(one) for one in schema) if _is_list(schema) else schema is not None


def _tool_choice(given: ToolMode | shapes.ResponsesFunctionChoice | None) -> ToolChoice | None:
    if given is None:
        return None
    if isinstance(given, shapes.ResponsesFunctionChoice):
        return ToolChoice(mode="required", name=given.name)
    return ToolChoice(mode=given)


def _response_format(text: shapes.ResponsesText | None) -> ResponseFormat | None:
    match text.format if text is not None else None:
        case None:
            return None
        case shapes.ResponsesJsonSchemaFormat() as wanted:
            return ResponseFormat(
                kind="json_schema",
                name=wanted.name,
                description=wanted.description,
                schema=wanted.schema,
                strict=wanted.strict,
            )
        case shapes.ResponsesJsonObjectFormat():
            return ResponseFormat(kind="json_object")
        case _:
            return ResponseFormat(kind="text")


class _Turn:
    """What the assistant says until somebody else speaks."""

    def __init__(self) -> None:
        self.content: list[Part] = []
        self.reasoning: list[ReasoningPart] = []
        self.calls: list[CalledTool] = []

    def said(self) -> list[Message]:
        """The message, where anything was said."""
        if not (self.content or self.reasoning or self.calls):
            return []
        content, reasoning, calls = tuple(self.content), tuple(self.reasoning), tuple(self.calls)
        return [Message(role="assistant", content=content, reasoning=reasoning, tool_calls=calls)]


class _Reader:
    """Reads items; gathers what is wrong with them and what has no canonical meaning."""

    def __init__(self, unknown: Sequence[str]) -> None:
        self.unknown = list(unknown)
        self.faults: list[Detail] = []

    def messages(
        self, instructions: str | None, given: str | tuple[shapes.ResponsesItem, ...] | None
    ) -> tuple[Message, ...]:
        found: list[Message] = []
        if instructions is not None:
            found.append(Message(role="system", content=(TextPart(instructions),)))
        if isinstance(given, str):
            return (*found, Message(role="user", content=(TextPart(given),)))
        turn = _Turn()
        for place, item in enumerate(given or ()):
            path = f"input[{place}]"
            match item:
                case shapes.ResponsesMessage(role="assistant"):
                    turn.content += self._content(item.content, "assistant", path)
                case shapes.SentFunctionCall():
                    turn.calls.append(CalledTool(item.call_id, item.name, item.arguments))
                case shapes.SentReasoning():
                    turn.reasoning += self._reasoning(item, path)
                case shapes.ResponsesMessage(role=role):
                    found, turn = [*found, *turn.said()], _Turn()
                    found.append(Message(role=role, content=self._content(item.content, role, path)))
                case shapes.FunctionCallOutput():
                    found, turn = [*found, *turn.said()], _Turn()
                    content = self._content(item.output, "tool", path, "output")
                    found.append(Message(role="tool", content=content, tool_call_id=item.call_id))
        return (*found, *turn.said())

    def reasoning(self, given: shapes.ResponsesReasoning | None) -> ReasoningRequest | None:
        if given is None:
            return None
        effort = None if given.effort is None else _EFFORTS.get(given.effort)
        if effort is None and given.effort is not None:
            self.unknown.append("reasoning.effort")
        summary = _SUMMARIES.get(given.summary or given.generate_summary or "")
        return None if effort is None and summary is None else ReasoningRequest(effort=effort, summary=summary)

    def _reasoning(self, item: shapes.SentReasoning, path: str) -> tuple[ReasoningPart, ...]:
        """The provider's state has all of it, so the text beside it is spare."""
        sealed = item.encrypted_content
        if sealed is not None and sealed.startswith(STATE):
            try:
                return provider_state.decode(sealed.removeprefix(STATE), f"{path}.encrypted_content")
            except GatewayError as error:
                self.faults.extend(error.details)
                return ()
        texts = [summary.text for summary in item.summary]
        texts += [content.text for content in item.content or ()]
        text = _JOIN.join(texts)
        if sealed is not None:
            return (ReasoningPart(text=text, signature=sealed, provider="openai", id=item.id),)
        return (ReasoningPart(text=text),) if text else ()

    def _content(
        self, content: str | tuple[shapes.ResponsesPart, ...], role: Role, path: str, field: str = "content"
    ) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (TextPart(content),)
        parts: list[Part] = []
        for place, given in enumerate(content):
            at = f"{path}.{field}[{place}]"
            part = self._part(given, at)
            if part is not None:
                check_part(part, role, at, self.faults)
                parts.append(part)
        return tuple(parts)

    def _part(self, part: shapes.ResponsesPart, path: str) -> Part | None:
        match part:
            case shapes.InputTextPart():
                return TextPart(part.text, cache=self._cache(part.prompt_cache_breakpoint, path))
            case shapes.SentTextPart(text=text):
                return TextPart(text)
            case shapes.SentRefusalPart(refusal=refusal):
                return RefusalPart(refusal)
            case shapes.InputAudioPart(input_audio=sound):
                return AudioPart(data=sound.data, format=sound.format)
            case shapes.InputImagePart():
                return self._image(part, path)
            case shapes.InputFilePart():
                return self._file(part, path)

    def _image(self, part: shapes.InputImagePart, path: str) -> ImagePart | None:
        if (part.image_url is None) == (part.file_id is None):
            self.faults.append(Detail(path, "must have exactly one of image_url and file_id"))
            return None
        cache = self._cache(part.prompt_cache_breakpoint, path)
        if part.image_url is None:
            self.unknown.append(f"{path}.file_id")
            return None
        if not part.image_url.startswith("data:"):
            return ImagePart(url=part.image_url, detail=part.detail, cache=cache)
        media_type, data = data_url(part.image_url, f"{path}.image_url", self.faults)
        return ImagePart(data=data, media_type=media_type, detail=part.detail, cache=cache)

    def _file(self, part: shapes.InputFilePart, path: str) -> FilePart | None:
        if [part.file_data, part.file_url, part.file_id].count(None) != 2:
            self.faults.append(Detail(path, "must have exactly one of file_data, file_url and file_id"))
            return None
        cache = self._cache(part.prompt_cache_breakpoint, path)
        media_type, data = None, part.file_data
        if data is not None and data.startswith("data:"):
            media_type, data = data_url(data, f"{path}.file_data", self.faults)
        return FilePart(
            file_id=part.file_id,
            url=part.file_url,
            data=data,
            media_type=media_type,
            filename=part.filename,
            cache=cache,
        )

    def _cache(self, end: shapes.ResponsesCacheBreakpoint | None, path: str) -> CacheTime | None:
        if end is not None and end.ttl is not None:
            self.unknown.append(f"{path}.prompt_cache_breakpoint.ttl")
        return None if end is None else "5m"


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
