"""From the native dialect's requests to canonical calls."""

import msgspec

from scaigrid.dialects import native_shapes as shapes
from scaigrid.dialects.canonical import (
    called_tools,
    check_part,
    reasoning,
    response_format,
    stops,
    tool_choice,
    tools,
)
from scaigrid.dialects.forms import invalid
from scaigrid.errors import Detail
from scaigrid.types import (
    AudioPart,
    CacheTime,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningRequest,
    RefusalPart,
    Role,
    TextPart,
    Tool,
)


def chat(request: shapes.ChatRequest) -> Chat:
    """The canonical call. Raises VALIDATION_ERROR."""
    reader = _Reader()
    messages = tuple([reader.message(message, f"messages[{place}]") for place, message in enumerate(request.messages)])
    thinking = None
    if request.reasoning is not None:
        if (request.reasoning.effort is None) == (request.reasoning.budget_tokens is None):
            reader.faults.append(Detail("reasoning", "must have exactly one of effort and budget_tokens"))
        thinking = ReasoningRequest(
            effort=request.reasoning.effort,
            budget_tokens=request.reasoning.budget_tokens,
            summary=request.reasoning.summary,
        )
    if reader.faults:
        raise invalid(*reader.faults)
    return Chat(
        messages=messages,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=stops(request.stop),
        seed=request.seed,
        n=request.n or 1,
        tools=_tools(request.tools),
        tool_choice=tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=response_format(request.response_format),
        reasoning=thinking,
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        user=request.user,
        provider_options=request.provider_options or {},
    )


def embed(request: shapes.EmbedRequest) -> Embed:
    """The canonical call."""
    texts = (request.input,) if isinstance(request.input, str) else request.input
    return Embed(
        input=texts,
        dimensions=request.dimensions,
        user=request.user,
        purpose=request.purpose,
        provider_options=request.provider_options or {},
    )


def _tools(given: tuple[shapes.ChatTool, ...] | None) -> tuple[Tool, ...]:
    return tuple(
        [
            msgspec.structs.replace(tool, cache=_cached(asked.cache)) if asked.cache else tool
            for tool, asked in zip(tools(given), given or (), strict=True)
        ]
    )


def _cached(wish: shapes.CacheWish) -> CacheTime | None:
    return ("5m" if wish else None) if isinstance(wish, bool) else wish


class _Reader:
    """Reads messages and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Detail] = []

    def message(self, message: shapes.ChatMessage, path: str) -> Message:
        match message:
            case shapes.UserMessage(content=content, name=name):
                return Message(role="user", content=self._content(content, "user", path), name=name)
            case shapes.AssistantMessage():
                return self._assistant(message, path)
            case shapes.ToolMessage(content=content):
                return Message(
                    role="tool",
                    content=self._content(content, "tool", path),
                    name=message.name,
                    tool_call_id=message.tool_call_id,
                    tool_error=message.error,
                )
            case shapes.SystemMessage(content=content, name=name):
                return Message(role="system", content=self._content(content, "system", path), name=name)
            case shapes.DeveloperMessage(content=content, name=name):
                return Message(role="developer", content=self._content(content, "developer", path), name=name)

    def _assistant(self, message: shapes.AssistantMessage, path: str) -> Message:
        # Clients write "" where there are only tool calls
        content = self._content(message.content, "assistant", path) if message.content else ()
        if message.refusal:
            content = (*content, RefusalPart(message.refusal))
        thought = reasoning(message.reasoning, message.provider_state, path, self.faults)
        if not (message.content is not None or content or thought or message.tool_calls):
            self.faults.append(Detail(f"{path}.content", "is required where there are no tool calls"))
        return Message(
            role="assistant",
            content=content,
            name=message.name,
            reasoning=thought,
            tool_calls=called_tools(message.tool_calls),
        )

    def _content(self, content: shapes.ChatContent, role: Role, path: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (TextPart(content),)
        parts: list[Part] = []
        for place, given in enumerate(content):
            at = f"{path}.content[{place}]"
            part = self._part(given, at)
            check_part(part, role, at, self.faults)
            parts.append(part)
        return tuple(parts)

    def _part(self, part: shapes.ChatPart, path: str) -> Part:
        match part:
            case shapes.ChatTextPart(text=text, cache=cache):
                return TextPart(text, _cached(cache))
            case shapes.ChatImagePart(url=url, data=data, media_type=media_type):
                self._one_source(path, url=url, data=data)
                self._typed_data(path, url, data, media_type)
                return ImagePart(
                    url=url, data=data, media_type=media_type, detail=part.detail, cache=_cached(part.cache)
                )
            case shapes.ChatAudioPart(data=data, format=kind):
                return AudioPart(data=data, format=kind)
            case shapes.ChatFilePart(file_id=file_id, url=url, data=data, media_type=media_type):
                self._one_source(path, file_id=file_id, url=url, data=data)
                self._typed_data(path, url, data, media_type)
                return FilePart(
                    file_id=file_id,
                    url=url,
                    data=data,
                    media_type=media_type,
                    filename=part.filename,
                    citations=part.citations,
                    cache=_cached(part.cache),
                )
            case shapes.ChatJsonPart(value=value):
                return JsonPart(value=msgspec.Raw(msgspec.json.encode(value)), cache=_cached(part.cache))
            case shapes.ChatRefusalPart(refusal=refusal):
                return RefusalPart(refusal)

    def _one_source(self, path: str, **sources: str | None) -> None:
        if sum(source is not None for source in sources.values()) != 1:
            *names, last = sources
            self.faults.append(Detail(path, f"must have exactly one of {', '.join(names)} and {last}"))

    def _typed_data(self, path: str, url: str | None, data: str | None, media_type: str | None) -> None:
        if url is not None and not url.startswith(("https://", "http://", "s3://", "gs://")):
            begin = "https://, http://, s3:// or gs://"
            self.faults.append(Detail(f"{path}.url", f"must begin with {begin}; content goes into data"))
        if data is not None and media_type is None:
            self.faults.append(Detail(f"{path}.media_type", "is required beside data"))
