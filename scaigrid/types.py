"""The canonical vocabulary: what a call asks and what an answer says, in no provider's words.

Dialects (what clients speak) and adapters (what providers speak) translate to and from these types and never to each
other. A request is a `Chat`, an `Embed` or a `Rerank`. An answer, streamed or plain, is a sequence of `Event`s: one
`Start`, then content in the order in which the provider made it, `Usage` when it is known, one `Done` for each choice.
"""

from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Operation = Literal["chat", "embed", "rerank", "count_tokens", "resource"]
"""What a call wants, whatever the dialect: an answer to a chat, vectors, an order, the size of a chat in tokens, or
something that a provider keeps (a stored response)."""
FREE: Final[frozenset[Operation]] = frozenset({"count_tokens", "resource"})
"""Operations that make nothing: no budget is asked for them, and they cost nothing."""
CacheTime = Literal["5m", "1h"]
"""How long a provider is asked to cache a prompt, where it lets itself be asked."""


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
    cache: CacheTime | None = None
    """The caller asks the provider to cache its prompt up to here (Anthropic `cache_control`, Bedrock `cachePoint`).
    A hint: who has no word for it leaves it out."""


class ImagePart(msgspec.Struct, frozen=True, tag="image", kw_only=True):
    """An image by `url`, or by `data` (base64) with its `media_type`. `detail` is low | high | auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: CacheTime | None = None


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
    citations: bool = False
    """The caller asks for citations of this document (Anthropic `citations.enabled`)."""
    cache: CacheTime | None = None


class JsonPart(msgspec.Struct, frozen=True, tag="json", kw_only=True):
    """What a tool answered, as a JSON value; providers without structured results are told its text."""

    value: msgspec.Raw
    cache: CacheTime | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag="refusal"):
    refusal: str


Signs = Literal["reasoning", "text", "call"]


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning", kw_only=True):
    """A piece of the model's reasoning that a provider may want back, unchanged, in the next turn.

    `signature`, `redacted` and `id` are opaque to everyone but `provider`, the type that made them.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    id: str | None = None
    """The provider's own name of this piece (OpenAI's reasoning items)."""
    signs: Signs = "reasoning"
    """What `signature` belongs to: this reasoning, the text of the message, or the tool call `call_id` (Gemini)."""
    call_id: str | None = None


Part = TextPart | ImagePart | AudioPart | FilePart | JsonPart | RefusalPart


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
    cache: CacheTime | None = None


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


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ReasoningRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model should think: by `effort` or by `budget_tokens`, whichever the caller gave."""

    effort: Effort | None = None
    budget_tokens: int | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    """How the provider sums its reasoning up for the reader, where it does. A hint."""


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat call. None everywhere means: the caller did not say, so the provider's own default holds."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
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
    purpose: str | None = None
    """What the vectors are for, in the words of Cohere's `input_type` (`search_document`, `search_query`,
    `classification`, `clustering`); None where the caller does not say."""
    provider_options: dict[str, dict[str, Any]] = {}
    unknown: tuple[str, ...] = ()


class Rerank(msgspec.Struct, frozen=True, kw_only=True):
    """Orders `documents` by how well they answer `query`; the best `top_n` of them, or all."""

    query: str
    documents: tuple[str, ...]
    top_n: int | None = None
    provider_options: dict[str, dict[str, Any]] = {}
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
    """A piece of reasoning; `signature` or `redacted` closes the block that it belongs to (see `ReasoningPart`).

    Where `signs` is not `reasoning`, the event holds a signature of something else, and no text.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    index: int = 0
    id: str | None = None
    signs: Signs = "reasoning"
    call_id: str | None = None


class Citation(msgspec.Struct, frozen=True, tag="citation", kw_only=True):
    """Where a piece of the answer comes from: a page by `url`, or a document that the caller sent.

    `start` and `end` bound the piece in characters of the choice's text so far, `quote` is what the source says there.
    """

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    document: int | None = None
    """Which of the caller's documents, from 0."""
    file_id: str | None = None
    start: int | None = None
    end: int | None = None
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


class Ranked(msgspec.Struct, frozen=True, tag="ranked"):
    """One document's place in the order: events come best first. `index` counts the documents as they were sent."""

    index: int
    score: float


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """How many input tokens a chat has, by the provider's count."""

    tokens: int


MOST_TOKENS: Final = 10**9
"""A number of tokens beyond this is a fault of whoever counted them, and must not become a bill."""


class Usage(msgspec.Struct, frozen=True, tag="usage", kw_only=True):
    """Tokens in disjoint classes, so that a sum over the priced ones counts nothing twice.

    `input` is text that was neither read from nor written to a cache. `output` contains `reasoning`, which is told
    apart but not priced apart. Sound and images have classes of their own where the provider counts them apart.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    images: int = 0
    """Images that were made: pieces, no tokens."""
    milliseconds: int = 0
    """Sound that was heard or made, where it is charged by its length: no tokens."""

    @property
    def believable(self) -> bool:
        """No number of it is below 0, or more than any answer can have."""
        numbers: tuple[int, ...] = msgspec.structs.astuple(self)
        return min(numbers) >= 0 and max(numbers) <= MOST_TOKENS

    @property
    def total_input(self) -> int:
        return (
            self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.audio_input + self.image_input
        )

    @property
    def total_output(self) -> int:
        return self.output + self.audio_output + self.image_output

    @property
    def total(self) -> int:
        return self.total_input + self.total_output


class Done(msgspec.Struct, frozen=True, tag="done"):
    reason: FinishReason
    index: int = 0
    stop_sequence: str | None = None
    """The caller's `stop` that the model met, where the provider tells which."""


Event = Start | Text | Reasoning | Citation | Refusal | ToolCall | Vector | Ranked | Counted | Usage | Done
