"""The canonical vocabulary: what a call asks and what an answer says, in no provider's words.

Dialects (what clients speak) and adapters (what providers speak) translate to and from these types and never to each
other. A request is a `Chat` or an `Embed`. An answer, streamed or plain, is a sequence of `Event`s: one `Start`, then
content in the order in which the provider made it, `Usage` when it is known, one `Done` for each choice.
"""

from enum import StrEnum
from typing import Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Operation = Literal["chat", "embed"]


class Modality(StrEnum):
    """What a frontend model is for; one model has one."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    IMAGE = "image"
    AUDIO = "audio"
    RERANK = "rerank"


# -- what a message is made of ---------------------------------------------------------------------------------------


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    text: str
    cache: bool = False
    """The caller asks the provider to cache its prompt up to here (Anthropic `cache_control`)."""


class ImagePart(msgspec.Struct, frozen=True, tag="image", kw_only=True):
    """An image by `url`, or by `data` (base64) with its `media_type`. `detail` is low | high | auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None


class AudioPart(msgspec.Struct, frozen=True, tag="audio", kw_only=True):
    """Sound as base64 `data` in `format` (wav, mp3 ...)."""

    data: str
    format: str


class FilePart(msgspec.Struct, frozen=True, tag="file", kw_only=True):
    """A document by the provider's `file_id`, by `url`, or by `data` (base64) with its `media_type`."""

    file_id: str | None = None
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    filename: str | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag="refusal"):
    refusal: str


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning", kw_only=True):
    """A piece of the model's reasoning that a provider may want back, unchanged, in the next turn.

    `signature` and `redacted` are opaque to everyone but `provider`, the type that made them.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None


Part = TextPart | ImagePart | AudioPart | FilePart | RefusalPart


class CalledTool(msgspec.Struct, frozen=True):
    """One tool call that an assistant message made; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `tool_call_id` and `tool_error` belong to role tool, `reasoning` and `tool_calls` to role assistant."""

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    reasoning: tuple[ReasoningPart, ...] = ()
    tool_calls: tuple[CalledTool, ...] = ()
    tool_call_id: str | None = None
    tool_error: bool = False


# -- what a call asks ------------------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may call; `parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`mode` auto | none | required; `name` set means: call this one tool."""

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Text, any JSON object, or JSON that follows `schema`."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ReasoningRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model should think: by `effort` or by `budget_tokens`, whichever the caller gave."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    budget_tokens: int | None = None


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat call. None everywhere means: the caller did not say, so the provider's own default holds."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningRequest | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None
    provider_options: dict[str, dict[str, Any]] = {}
    """Opaque settings by provider type, handed on as they are: `{"anthropic": {"top_k": 5}}`."""
    unknown: tuple[str, ...] = ()
    """Fields of the caller's dialect with no canonical meaning; another dialect must refuse them, never drop them."""


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """An embedding call: texts, or lists of token ids where the caller tokenised by itself."""

    input: tuple[str, ...] | tuple[tuple[int, ...], ...]
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    user: str | None = None
    unknown: tuple[str, ...] = ()


# -- what an answer says ---------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The answer begins. `id` is the provider's; `created` is in seconds since the epoch, 0 when it does not say."""

    id: str
    created: int = 0


class Text(msgspec.Struct, frozen=True, tag="text_delta"):
    text: str
    index: int = 0
    logprobs: msgspec.Raw | None = None
    """The provider's log probabilities for this piece, OpenAI's shape, as JSON."""


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning_delta"):
    """A piece of reasoning; `signature` or `redacted` closes the block that it belongs to (see `ReasoningPart`)."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    index: int = 0


class Refusal(msgspec.Struct, frozen=True, tag="refusal_delta"):
    text: str
    index: int = 0


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """A piece of the tool call in `slot`: the first piece carries `id` and `name`, all carry part of `arguments`."""

    slot: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


class Vector(msgspec.Struct, frozen=True, tag="vector"):
    """One embedding, as a JSON array of numbers or as a JSON string of base64 little-endian float32s."""

    index: int
    value: msgspec.Raw


class Usage(msgspec.Struct, frozen=True, tag="usage", kw_only=True):
    """Tokens in disjoint classes, so that a sum over the priced ones counts nothing twice.

    `input` is what was neither read from nor written to a cache. `output` contains `reasoning`, which is told apart
    but not priced apart.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total_input(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h

    @property
    def total(self) -> int:
        return self.total_input + self.output


class Done(msgspec.Struct, frozen=True, tag="done"):
    reason: FinishReason
    index: int = 0


Event = Start | Text | Reasoning | Refusal | ToolCall | Vector | Usage | Done
