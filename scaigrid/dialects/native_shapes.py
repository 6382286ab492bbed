"""The native dialect's public shapes. They only grow: new fields are optional, a field keeps its meaning."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from scaigrid.dialects.shapes import (
    OPEN,
    AnsweredToolCall,
    AnswerShape,
    ChoiceDelta,
    Choices,
    ChunkChoice,
    Effort,
    Format,
    FunctionChoice,
    FunctionTool,
    FunctionToolCall,
    Metadata,
    ModelName,
    NonEmpty,
    RequestShape,
    Tokens,
    ToolMode,
)
from scaigrid.types import CacheTime, FinishReason

# -- chat, the request -----------------------------------------------------------------------------------------------

CacheWish = bool | CacheTime


class ChatTextPart(RequestShape, tag="text"):
    text: str
    cache: CacheWish = False
    """Ask the provider to cache the prompt up to here: `true` for as long as it does, or `5m` or `1h`."""


class ChatImagePart(RequestShape, tag="image"):
    """An image by `url`, or by base64 `data` with its `media_type`."""

    url: NonEmpty | None = None
    data: NonEmpty | None = None
    media_type: NonEmpty | None = None
    detail: Literal["low", "high", "auto"] | None = None
    cache: CacheWish = False


class ChatAudioPart(RequestShape, tag="audio"):
    """Sound as base64 `data` in `format` (wav, mp3 ...)."""

    data: NonEmpty
    format: NonEmpty


class ChatFilePart(RequestShape, tag="file"):
    """A document by the provider's `file_id`, by `url`, or by base64 `data` with its `media_type`."""

    file_id: NonEmpty | None = None
    url: NonEmpty | None = None
    data: NonEmpty | None = None
    media_type: NonEmpty | None = None
    filename: str | None = None
    citations: bool = False
    """Ask the provider to cite this document where the answer rests on it."""
    cache: CacheWish = False


class ChatJsonPart(RequestShape, tag="json"):
    """What a tool answered, as a JSON value: providers with structured tool results get it as it is."""

    value: Any
    cache: CacheWish = False


class ChatRefusalPart(RequestShape, tag="refusal"):
    refusal: str


ChatPart = ChatTextPart | ChatImagePart | ChatAudioPart | ChatFilePart | ChatJsonPart | ChatRefusalPart
ChatContent = str | tuple[ChatPart, ...]


class SystemMessage(RequestShape, tag_field="role", tag="system"):
    content: ChatContent
    name: str | None = None


class DeveloperMessage(RequestShape, tag_field="role", tag="developer"):
    content: ChatContent
    name: str | None = None


class UserMessage(RequestShape, tag_field="role", tag="user"):
    content: ChatContent
    name: str | None = None


class AssistantMessage(RequestShape, tag_field="role", tag="assistant"):
    """An earlier answer: send the message back as it came."""

    content: ChatContent | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: tuple[FunctionToolCall, ...] | None = None
    citations: tuple[Any, ...] | None = None
    """As the answer gave them; not sent to the provider."""
    reasoning: str | None = None
    """The model's reasoning, as the answer gave it. Not needed beside `provider_state`, which has it too."""
    provider_state: str | None = None
    """What the provider needs back, as the answer gave it."""


class ToolMessage(RequestShape, tag_field="role", tag="tool"):
    """What a tool answered."""

    content: ChatContent
    tool_call_id: NonEmpty
    name: str | None = None
    error: bool = False
    """The tool failed, and `content` says how."""


ChatMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class ReasoningOptions(RequestShape):
    """How much the model should think: by `effort` or by `budget_tokens`."""

    effort: Effort | None = None
    budget_tokens: Tokens | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    """How the provider sums its reasoning up for you, where it does."""


class ChatTool(FunctionTool, tag="function"):
    """A tool of type `function`."""

    cache: CacheWish = False
    """Ask the provider to cache the tools up to this one."""


class ChatRequest(RequestShape):
    """A chat call. What is left out, or null, the provider decides."""

    model: ModelName
    """The frontend model's slug."""
    messages: Annotated[tuple[ChatMessage, ...], Meta(min_length=1)]
    max_tokens: Tokens | None = None
    """The most tokens for each choice, reasoning included; cut down to the model's own bound."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Tokens | None = None
    """Choose among so many of the likeliest tokens alone."""
    stop: NonEmpty | tuple[NonEmpty, ...] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    n: Choices | None = None
    """How many choices to answer with."""
    stream: bool | None = None
    tools: tuple[ChatTool, ...] | None = None
    tool_choice: ToolMode | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    reasoning: ReasoningOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    user: str | None = None
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Settings of one type of provider, handed on as they are: `{"anthropic": {"top_k": 5}}`."""


class EmbedRequest(RequestShape):
    """Embeddings of one text or several."""

    model: ModelName
    """The frontend model's slug."""
    input: NonEmpty | Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]
    dimensions: Tokens | None = None
    purpose: Literal["search_document", "search_query", "classification", "clustering"] | None = None
    """What the vectors are for: some providers make other ones for documents than for the questions to them."""
    user: str | None = None
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Settings of one type of provider, handed on as they are."""


# -- answers ---------------------------------------------------------------------------------------------------------


class TokenUsage(AnswerShape):
    """Tokens. Cached and written ones are parts of the input, reasoning is part of the output.

    So are sound and images, which are told where there are any.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    audio_input_tokens: int | UnsetType = UNSET
    """Uncached input tokens of sound."""
    audio_output_tokens: int | UnsetType = UNSET
    """Output tokens of sound."""
    image_input_tokens: int | UnsetType = UNSET
    """Uncached input tokens of images, where the provider tells them apart."""
    image_output_tokens: int | UnsetType = UNSET
    """Output tokens of images."""


class AnsweredCitation(AnswerShape, kw_only=True):
    """The source of a piece of the content: a page by `url`, or one of the documents that were sent."""

    url: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    quote: str | UnsetType = UNSET
    """What the source says there."""
    document: int | UnsetType = UNSET
    """Which of the documents that were sent, from 0."""
    file_id: str | UnsetType = UNSET
    start: int | UnsetType = UNSET
    """Where the piece begins, in characters of the content."""
    end: int | UnsetType = UNSET
    """Where it ends."""


class ChatDelta(ChoiceDelta, kw_only=True):
    """What is added to one choice."""

    citations: tuple[AnsweredCitation, ...] | UnsetType = UNSET


class AnsweredMessage(AnswerShape, kw_only=True):
    """The model's answer. Send it back as it is in the next turn."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning: str | UnsetType = UNSET
    tool_calls: tuple[AnsweredToolCall, ...] | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    citations: tuple[AnsweredCitation, ...] | UnsetType = UNSET
    """Where the content comes from, where the provider tells. Not needed in the next turn."""
    provider_state: str | UnsetType = UNSET
    """What the provider needs back in the next turn (thinking signatures and the like), opaque."""


class AnsweredChoice(AnswerShape):
    index: int
    message: AnsweredMessage
    finish_reason: Annotated[FinishReason, OPEN]
    logprobs: msgspec.Raw | UnsetType = UNSET
    """`{"content": [...], "refusal": [...]}` with the log probability of each token, where they were asked for."""


class ChatAnswer(AnswerShape):
    id: str
    model: str
    """The model as it was asked for."""
    created: int
    """Seconds since the epoch."""
    choices: tuple[AnsweredChoice, ...]
    usage: TokenUsage | None
    """Null where the provider did not say."""
    cost: str
    """What the call costs, a decimal string."""
    provider_state: str | UnsetType = UNSET
    """That of the first choice, where it has one."""


class ChatChunk(AnswerShape, kw_only=True):
    """A frame of a streamed answer. The last one has no choices, but the usage and the cost."""

    id: str
    model: str
    created: int
    choices: tuple[ChunkChoice, ...]
    usage: TokenUsage | UnsetType | None = UNSET
    cost: str | UnsetType = UNSET


class EmbeddingVector(AnswerShape):
    index: int
    embedding: msgspec.Raw
    """A list of numbers."""


class EmbedAnswer(AnswerShape):
    data: tuple[EmbeddingVector, ...]
    """In the order of the input."""
    model: str
    """The model as it was asked for."""
    usage: TokenUsage | None
    """Null where the provider did not say."""
    cost: str
    """What the call costs, a decimal string."""


DataT = TypeVar("DataT")


class EnvelopeMeta(AnswerShape):
    request_id: str


class Envelope(AnswerShape, Generic[DataT], kw_only=True):
    """Every answer of `/v1` that is no stream."""

    status: Literal["ok"] = "ok"
    data: DataT
    meta: EnvelopeMeta


class ErrorDetail(AnswerShape):
    field: str
    message: str


class ErrorAnswer(AnswerShape, kw_only=True):
    code: str
    message: str
    retry_after: int | UnsetType = UNSET
    """Seconds."""
    details: tuple[ErrorDetail, ...] | UnsetType = UNSET
    """Every field that is at fault."""
    level: str | UnsetType = UNSET
    """Which limit or budget stopped the call: that of the partner, tenant, user, key or model."""


class ErrorEnvelope(AnswerShape, kw_only=True):
    """Every error of `/v1`."""

    status: Literal["error"] = "error"
    error: ErrorAnswer
    meta: EnvelopeMeta


class StreamError(AnswerShape):
    """The data of the event `error`, with which a stream that has begun says that it failed."""

    code: str
    message: str
    request_id: str
