"""From the OpenAI dialect's requests to canonical calls."""

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from scaigrid.dialects import openai_shapes as shapes
from scaigrid.dialects.canonical import (
    called_tools,
    check_part,
    data_url,
    reasoning,
    response_format,
    stops,
    tool_choice,
    tools,
)
from scaigrid.dialects.faults import MOST
from scaigrid.dialects.forms import invalid
from scaigrid.dialects.shapes import Effort
from scaigrid.errors import Detail
from scaigrid.types import (
    AudioPart,
    CacheTime,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningRequest,
    RefusalPart,
    Role,
    TextPart,
    Tool,
)

_CACHE_TIMES: Final[dict[str, CacheTime]] = {"5m": "5m", "1h": "1h"}
_EFFORTS: Final[dict[str, Effort]] = {effort: effort for effort in get_args(Effort)}


def chat(request: shapes.ChatCompletionRequest, unknown: Sequence[str]) -> Chat:
    """The canonical call; `unknown` is what the walk over the body has found. Raises VALIDATION_ERROR."""
    reader = _Reader(unknown)
    messages = [reader.message(message, f"messages[{place}]") for place, message in enumerate(request.messages)]
    effort = None
    if request.reasoning_effort is not None:
        effort = _EFFORTS.get(request.reasoning_effort)
        if effort is None:
            reader.unknown.append("reasoning_effort")
    if reader.faults:
        raise invalid(*reader.faults)
    return Chat(
        messages=tuple([message for message in messages if message is not None]),
        max_tokens=request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=stops(request.stop),
        seed=request.seed,
        n=request.n or 1,
        tools=reader.tools(request.tools),
        tool_choice=tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=response_format(request.response_format),
        reasoning=None if effort is None else ReasoningRequest(effort=effort),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        user=request.safety_identifier or request.user,
        top_k=request.top_k,
        provider_options=request.provider_options or {},
        unknown=tuple(reader.unknown),
    )


def embed(request: shapes.EmbeddingsRequest, unknown: Sequence[str]) -> Embed:
    """The canonical call. Raises VALIDATION_ERROR."""
    return Embed(
        input=_input(request.input),
        dimensions=request.dimensions,
        encoding=request.encoding_format or "float",
        user=request.user,
        unknown=tuple(unknown),
    )


def _input(given: str | tuple[str | int | tuple[int, ...], ...]) -> tuple[str, ...] | tuple[tuple[int, ...], ...]:
    if isinstance(given, str):
        return (given,)
    texts = tuple([one for one in given if isinstance(one, str)])
    if len(texts) == len(given):
        return texts
    tokens = tuple([one for one in given if isinstance(one, int)])
    if len(tokens) == len(given):
        return (tokens,)
    lists = tuple([one for one in given if isinstance(one, tuple)])
    if len(lists) < len(given):
        raise invalid(Detail("input", "must be all texts, all token ids or all lists of token ids"))
    empty = [place for place, one in enumerate(lists) if not one]
    if empty:
        raise invalid(*(Detail(f"input[{place}]", "must not be empty") for place in empty[:MOST]))
    return lists


class _Reader:
    """Reads messages; gathers what is wrong with them and what has no canonical meaning."""

    def __init__(self, unknown: Sequence[str]) -> None:
        self.unknown = list(unknown)
        self.faults: list[Detail] = []

    def message(self, message: shapes.OpenAIMessage, path: str) -> Message | None:
        """None for a message of a kind that only this dialect knows."""
        match message:
            case shapes.OpenAIUserMessage(content=content, name=name):
                return Message(role="user", content=self._content(content, "user", path), name=name)
            case shapes.OpenAIAssistantMessage():
                return self._assistant(message, path)
            case shapes.OpenAIToolMessage(content=content, name=name, tool_call_id=answered):
                return Message(
                    role="tool", content=self._content(content, "tool", path), name=name, tool_call_id=answered
                )
            case shapes.OpenAISystemMessage(content=content, name=name):
                return Message(role="system", content=self._content(content, "system", path), name=name)
            case shapes.OpenAIDeveloperMessage(content=content, name=name):
                return Message(role="developer", content=self._content(content, "developer", path), name=name)
            case shapes.OpenAIFunctionMessage():
                self.unknown.append(f"{path}.role")
                return None

    def _assistant(self, message: shapes.OpenAIAssistantMessage, path: str) -> Message:
        # Clients write "" where there are only tool calls
        content = self._content(message.content, "assistant", path) if message.content else ()
        if message.refusal:
            content = (*content, RefusalPart(message.refusal))
        text = message.reasoning_content or message.reasoning
        thought = reasoning(text, message.provider_state, path, self.faults)
        if not (message.content is not None or content or thought or message.tool_calls) and not self._has_more(path):
            self.faults.append(Detail(f"{path}.content", "is required where there are no tool calls"))
        return Message(
            role="assistant",
            content=content,
            name=message.name,
            reasoning=thought,
            tool_calls=called_tools(message.tool_calls),
        )

    def _has_more(self, path: str) -> bool:
        """Whether a message says something that only this dialect knows, such as `function_call` or `audio`."""
        return any(field.startswith(f"{path}.") for field in self.unknown)

    def _content(self, content: shapes.OpenAIContent, role: Role, path: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (TextPart(content),)
        parts: list[Part] = []
        for place, given in enumerate(content):
            at = f"{path}.content[{place}]"
            part = self._part(given, at)
            if part is not None:
                check_part(part, role, at, self.faults)
                parts.append(part)
        return tuple(parts)

    def _part(self, part: shapes.OpenAIPart, path: str) -> Part | None:
        match part:
            case shapes.OpenAITextPart():
                return TextPart(part.text, cache=self._cached(part, path))
            case shapes.OpenAIImagePart(image_url=image):
                if not image.url.startswith("data:"):
                    return ImagePart(url=image.url, detail=image.detail, cache=self._marked(part.cache_control, path))
                media_type, data = data_url(image.url, f"{path}.image_url.url", self.faults)
                cache = self._marked(part.cache_control, path)
                return ImagePart(data=data, media_type=media_type, detail=image.detail, cache=cache)
            case shapes.OpenAIAudioPart(input_audio=audio):
                return AudioPart(data=audio.data, format=audio.format)
            case shapes.OpenAIFilePart(file=file):
                found = self._file(file, f"{path}.file")
                cache = self._marked(part.cache_control, path)
                return found if found is None or cache is None else msgspec.structs.replace(found, cache=cache)
            case shapes.OpenAIRefusalPart(refusal=refusal):
                return RefusalPart(refusal)

    def _cached(self, part: shapes.OpenAITextPart, path: str) -> CacheTime | None:
        marked, end = self._marked(part.cache_control, path), part.prompt_cache_breakpoint
        if end is not None and end.ttl is not None:
            self.unknown.append(f"{path}.prompt_cache_breakpoint.ttl")
        return marked or (None if end is None else "5m")

    def _marked(self, control: shapes.CacheControl | None, path: str) -> CacheTime | None:
        if control is None:
            return None
        found = _CACHE_TIMES.get(control.ttl or "5m")
        if found is None:
            self.unknown.append(f"{path}.cache_control.ttl")
        return found

    def tools(self, given: Sequence[shapes.ChatCompletionTool] | None) -> tuple[Tool, ...]:
        return tuple(
            [
                tool
                if (cache := self._marked(asked.cache_control, f"tools[{place}]")) is None
                else msgspec.structs.replace(tool, cache=cache)
                for place, (tool, asked) in enumerate(zip(tools(given), given or (), strict=True))
            ]
        )

    def _file(self, file: shapes.InputFile, path: str) -> FilePart | None:
        data = file.file_data
        if (data is None) == (file.file_id is None):
            self.faults.append(Detail(path, "must have exactly one of file_data and file_id"))
            return None
        if data is None:
            return FilePart(file_id=file.file_id, filename=file.filename)
        if data.startswith("data:"):
            media_type, data = data_url(data, f"{path}.file_data", self.faults)
            return FilePart(data=data, media_type=media_type, filename=file.filename)
        if data.startswith(("https://", "http://")):
            return FilePart(url=data, filename=file.filename)
        return FilePart(data=data, filename=file.filename)
