"""The OpenAI dialect's public shapes: what its clients send and what they are answered.

Source: OpenAI's API reference for chat completions and embeddings. What it documents and no other provider has a word
for (`logit_bias`, `store`, `prediction` ...) has no field here: such fields pass through where the provider speaks this
dialect too, and are refused by name where it does not.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from scaigrid.dialects.shapes import (
    OPEN,
    AnsweredToolCall,
    AnswerShape,
    ChoiceDelta,
    Choices,
    ChunkChoice,
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
from scaigrid.types import FinishReason

# -- chat completions, the request -----------------------------------------------------------------------------------


class CacheControl(RequestShape):
    """OpenRouter's extension: cache the prompt up to here, for `ttl` (`5m` where left out)."""

    type: Literal["ephemeral"]
    ttl: str | None = None


class PromptCacheBreakpoint(RequestShape):
    """OpenAI's own way to say where a reusable prompt ends."""

    mode: Literal["explicit"]
    ttl: str | None = None


class OpenAITextPart(RequestShape, tag="text"):
    text: str
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class ImageURL(RequestShape):
    """An address, or the image itself as a `data:` URL."""

    url: NonEmpty
    detail: str | None = None


class OpenAIImagePart(RequestShape, tag="image_url"):
    image_url: ImageURL
    cache_control: CacheControl | None = None


class InputAudio(RequestShape):
    """Base64 `data` in `format` (wav, mp3)."""

    data: NonEmpty
    format: NonEmpty


class OpenAIAudioPart(RequestShape, tag="input_audio"):
    input_audio: InputAudio


class InputFile(RequestShape):
    """A file by `file_id`, or by `file_data`: a `data:` URL, plain base64, or (OpenRouter's extension) an address."""

    file_data: NonEmpty | None = None
    file_id: NonEmpty | None = None
    filename: str | None = None


class OpenAIFilePart(RequestShape, tag="file"):
    file: InputFile
    cache_control: CacheControl | None = None


class OpenAIRefusalPart(RequestShape, tag="refusal"):
    refusal: str


OpenAIPart = OpenAITextPart | OpenAIImagePart | OpenAIAudioPart | OpenAIFilePart | OpenAIRefusalPart
OpenAIContent = str | tuple[OpenAIPart, ...]


class OpenAISystemMessage(RequestShape, tag_field="role", tag="system"):
    content: OpenAIContent
    name: str | None = None


class OpenAIDeveloperMessage(RequestShape, tag_field="role", tag="developer"):
    content: OpenAIContent
    name: str | None = None


class OpenAIUserMessage(RequestShape, tag_field="role", tag="user"):
    content: OpenAIContent
    name: str | None = None


class OpenAIAssistantMessage(RequestShape, tag_field="role", tag="assistant"):
    """An earlier answer. Send back `reasoning_content` and `provider_state` where the answer had them."""

    content: OpenAIContent | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: tuple[FunctionToolCall, ...] | None = None
    annotations: tuple[Any, ...] | None = None
    """As the answer gave them; providers of other dialects are not sent them."""
    parsed: Any = None
    """Ignored: clients that read the content for their caller leave it behind."""
    reasoning_content: str | None = None
    """The model's reasoning, as the answer gave it. Not needed beside `provider_state`, which has it too."""
    reasoning: str | None = None
    """Another name of `reasoning_content`, with some providers of this dialect."""
    reasoning_details: tuple[Any, ...] | None = None
    """OpenRouter's. Providers of other dialects are not sent it."""
    provider_state: str | None = None
    """What the provider needs back, as the answer gave it."""


class OpenAIToolMessage(RequestShape, tag_field="role", tag="tool"):
    """What a tool answered."""

    content: OpenAIContent
    tool_call_id: NonEmpty
    name: str | None = None


class OpenAIFunctionMessage(RequestShape, tag_field="role", tag="function", kw_only=True):
    """The predecessor of `tool` messages: understood by providers of this dialect alone."""

    content: OpenAIContent | None = None
    name: NonEmpty


OpenAIMessage = (
    OpenAISystemMessage
    | OpenAIDeveloperMessage
    | OpenAIUserMessage
    | OpenAIAssistantMessage
    | OpenAIToolMessage
    | OpenAIFunctionMessage
)


class StreamOptions(RequestShape):
    include_usage: bool | None = None
    """Send one more chunk at the end, with the usage of the call."""


class ChatCompletionTool(FunctionTool, tag="function"):
    """A tool of type `function`."""

    cache_control: CacheControl | None = None


class ChatCompletionRequest(RequestShape):
    """A chat completion. Fields that are not listed are sent on to providers of this dialect."""

    model: ModelName
    messages: Annotated[tuple[OpenAIMessage, ...], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Choices | None = None
    max_tokens: Tokens | None = None
    """The predecessor of `max_completion_tokens`; give one of them."""
    max_completion_tokens: Tokens | None = None
    """The most tokens for each choice, reasoning included."""
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""
    temperature: float | None = None
    top_p: float | None = None
    stop: str | tuple[str, ...] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    tools: tuple[ChatCompletionTool, ...] | None = None
    tool_choice: ToolMode | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None
    safety_identifier: str | None = None
    """The successor of `user`."""
    prompt_cache_key: str | None = None
    """A hint, as is `prompt_cache_retention`: providers of other dialects are not sent them."""
    prompt_cache_retention: str | None = None
    top_k: Tokens | None = None
    """An extension of many providers of this dialect: choose among so many of the likeliest tokens alone."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Ours: settings of one type of provider that speaks another dialect, handed on as they are."""


class AnyObject(msgspec.Struct, frozen=True, gc=False):
    """An object whose fields are looked at later."""


class AnyStreamOptions(msgspec.Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class ChatHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads of a chat completion, by the same types as in `ChatCompletionRequest`."""

    model: ModelName
    messages: Annotated[list[AnyObject], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: AnyStreamOptions | None = None
    n: Choices | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    metadata: Metadata | None = None


# -- chat completions, the answer ------------------------------------------------------------------------------------


class PromptTokensDetails(AnswerShape):
    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int | UnsetType = UNSET
    """Left out where there are none."""


class CompletionTokensDetails(AnswerShape):
    reasoning_tokens: int
    audio_tokens: int | UnsetType = UNSET
    """Left out where there are none."""


class CompletionUsage(AnswerShape):
    """Tokens. The details are parts of the totals above them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class URLCitation(AnswerShape):
    """A page, and the piece of the content that comes from it, in characters."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(AnswerShape, kw_only=True):
    type: Literal["url_citation"] = "url_citation"
    url_citation: URLCitation


class ChatCompletionMessage(AnswerShape, kw_only=True):
    """The model's answer. Send it back as it is in the next turn."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[AnsweredToolCall, ...] | UnsetType = UNSET
    annotations: tuple[Annotation, ...] | UnsetType = UNSET
    """Pages that the content rests on."""
    provider_state: str | UnsetType = UNSET
    """What the provider needs back in the next turn (thinking signatures and the like), opaque."""


class ChatCompletionChoice(AnswerShape, kw_only=True):
    index: int
    message: ChatCompletionMessage
    logprobs: msgspec.Raw | None = None
    finish_reason: Annotated[FinishReason, OPEN]


class ChatCompletion(AnswerShape, kw_only=True):
    """A plain answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[ChatCompletionChoice, ...]
    usage: CompletionUsage | UnsetType = UNSET


class ChatCompletionDelta(ChoiceDelta):
    """What is added to one choice."""

    annotations: tuple[Annotation, ...] | UnsetType = UNSET

    reasoning: str | UnsetType = msgspec.field(default=UNSET, name="reasoning_content")


class ChatCompletionChunk(AnswerShape, kw_only=True):
    """A frame of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: CompletionUsage | UnsetType | None = UNSET
    """Where it was asked for: null, but in the last chunk, which has no choices."""


# -- embeddings ------------------------------------------------------------------------------------------------------


class EmbeddingsRequest(RequestShape):
    """Embeddings of texts, or of texts that the caller has turned into token ids."""

    model: ModelName
    input: NonEmpty | Annotated[tuple[NonEmpty | int | tuple[int, ...], ...], Meta(min_length=1)]
    dimensions: Tokens | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class EmbeddingsHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads of an embeddings call."""

    model: ModelName
    input: msgspec.Raw


class EmbeddingsUsage(AnswerShape):
    prompt_tokens: int
    total_tokens: int


class Embedding(AnswerShape, kw_only=True):
    """One vector: numbers, or base64 of little-endian float32s where that was asked for."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: msgspec.Raw


class EmbeddingList(AnswerShape, kw_only=True):
    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingsUsage | UnsetType = UNSET


# -- errors ----------------------------------------------------------------------------------------------------------


class OpenAIErrorDetail(AnswerShape):
    field: str
    message: str


class OpenAIError(AnswerShape, kw_only=True):
    """`code` is the gateway's own, `param` the first field that is at fault."""

    message: str
    type: str
    param: str | None
    code: str
    details: tuple[OpenAIErrorDetail, ...] | UnsetType = UNSET
    """Every field that is at fault."""
    request_id: str


class OpenAIErrorBody(AnswerShape):
    error: OpenAIError
