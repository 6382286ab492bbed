"""The Anthropic dialect's public requests: what its clients send.

Source: Anthropic API reference, "Create a Message" and "Count tokens in a Message", version 2023-06-01. What it
documents and no other provider has a word for (tools that Anthropic runs by itself, containers, MCP servers, context
editing ...) has no field here: it passes through where the provider speaks this dialect too, and is refused by name
where it does not.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scaigrid.dialects.shapes import ModelName, NonEmpty, RequestShape
from scaigrid.types import CacheTime

Bound = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class AnthropicCacheControl(RequestShape):
    """Cache the prompt up to here, for `ttl` (`5m` where left out)."""

    type: Literal["ephemeral"]
    ttl: CacheTime | None = None


# -- what messages are made of ---------------------------------------------------------------------------------------


class AnthropicText(RequestShape, tag="text"):
    """A text. The citations of an answer may be sent back with it; they are not told to providers of another kind."""

    text: str
    cache_control: AnthropicCacheControl | None = None
    citations: tuple[dict[str, Any], ...] | None = None


class AnthropicInstruction(RequestShape, tag="text"):
    """A part of an instruction: a text, and nothing else."""

    text: str
    cache_control: AnthropicCacheControl | None = None
    citations: tuple[dict[str, Any], ...] | None = None


class AnthropicBase64(RequestShape, tag="base64"):
    """Base64 `data` of a media type."""

    media_type: NonEmpty
    data: NonEmpty


class AnthropicURL(RequestShape, tag="url"):
    """What is at an address."""

    url: NonEmpty


class AnthropicFileID(RequestShape, tag="file"):
    """A file that was uploaded to the provider."""

    file_id: NonEmpty


class AnthropicPlainText(RequestShape, tag="text"):
    """A text as a document."""

    data: str
    media_type: Literal["text/plain"] = "text/plain"


class AnthropicImage(RequestShape, tag="image"):
    """An image."""

    source: AnthropicBase64 | AnthropicURL | AnthropicFileID
    cache_control: AnthropicCacheControl | None = None


class AnthropicBlocksSource(RequestShape, tag="content"):
    """A document in pieces, each of which can be cited."""

    content: str | tuple[AnthropicText | AnthropicImage, ...]


class AnthropicCitationsWish(RequestShape):
    """Whether the answer is to cite the document."""

    enabled: bool | None = None


class AnthropicDocument(RequestShape, tag="document"):
    """A document: PDF or text."""

    source: AnthropicBase64 | AnthropicURL | AnthropicFileID | AnthropicPlainText | AnthropicBlocksSource
    title: str | None = None
    context: str | None = None
    """What the model is told about the document."""
    citations: AnthropicCitationsWish | None = None
    cache_control: AnthropicCacheControl | None = None


class AnthropicThinking(RequestShape, tag="thinking"):
    """The model's reasoning in an earlier answer. Send it back as it came, with its signature."""

    thinking: str
    signature: str | None = None


class AnthropicRedactedThinking(RequestShape, tag="redacted_thinking"):
    """Reasoning in an earlier answer that only the provider can read. Send it back as it came."""

    data: str


class AnthropicToolUse(RequestShape, tag="tool_use"):
    """A tool call in an earlier answer."""

    id: NonEmpty
    name: NonEmpty
    input: dict[str, Any]
    cache_control: AnthropicCacheControl | None = None


class AnthropicToolResult(RequestShape, tag="tool_result"):
    """What a tool answered."""

    tool_use_id: NonEmpty
    content: str | tuple[AnthropicText | AnthropicImage | AnthropicDocument, ...] | None = None
    is_error: bool | None = None
    cache_control: AnthropicCacheControl | None = None


AnthropicUserBlock = AnthropicText | AnthropicImage | AnthropicDocument | AnthropicToolResult
AnthropicAssistantBlock = AnthropicText | AnthropicThinking | AnthropicRedactedThinking | AnthropicToolUse


class AnthropicUserMessage(RequestShape, tag_field="role", tag="user"):
    content: str | tuple[AnthropicUserBlock, ...]


class AnthropicAssistantMessage(RequestShape, tag_field="role", tag="assistant"):
    """An earlier answer, or the beginning of the one that is asked for."""

    content: str | tuple[AnthropicAssistantBlock, ...]


class AnthropicSystemMessage(RequestShape, tag_field="role", tag="system"):
    """An instruction in the midst of a conversation."""

    content: str | tuple[AnthropicInstruction, ...]


AnthropicMessage = AnthropicUserMessage | AnthropicAssistantMessage | AnthropicSystemMessage


# -- how they are to be answered -------------------------------------------------------------------------------------


class AnthropicTool(RequestShape, tag="custom"):
    """A tool that the caller runs."""

    name: NonEmpty
    input_schema: dict[str, Any]
    """A JSON Schema object."""
    description: str | None = None
    strict: bool | None = None
    """Have the input follow the schema exactly."""
    cache_control: AnthropicCacheControl | None = None
    eager_input_streaming: bool | None = None
    """Stream the input as it is made. A hint."""


class AnthropicChoiceAuto(RequestShape, tag="auto"):
    """The model decides."""

    disable_parallel_tool_use: bool | None = None


class AnthropicChoiceAny(RequestShape, tag="any"):
    """Call a tool, whichever."""

    disable_parallel_tool_use: bool | None = None


class AnthropicChoiceTool(RequestShape, tag="tool"):
    """Call this tool."""

    name: NonEmpty
    disable_parallel_tool_use: bool | None = None


class AnthropicChoiceNone(RequestShape, tag="none"):
    """Call no tool."""


AnthropicToolChoice = AnthropicChoiceAuto | AnthropicChoiceAny | AnthropicChoiceTool | AnthropicChoiceNone
Display = Literal["summarized", "omitted"]


class AnthropicThinkingEnabled(RequestShape, tag="enabled"):
    """Think, within a budget of tokens."""

    budget_tokens: Bound
    display: Display | None = None


class AnthropicThinkingAdaptive(RequestShape, tag="adaptive"):
    """Think as much as it takes, guided by `output_config.effort`."""

    display: Display | None = None


class AnthropicThinkingDisabled(RequestShape, tag="disabled"):
    """Do not think."""


AnthropicThinkingWish = AnthropicThinkingEnabled | AnthropicThinkingAdaptive | AnthropicThinkingDisabled


class AnthropicJsonFormat(RequestShape, tag="json_schema"):
    """JSON that follows a schema."""

    schema: dict[str, Any]


class AnthropicOutputConfig(RequestShape):
    """How much effort the answer is worth, and its format."""

    effort: str | None = None
    format: AnthropicJsonFormat | None = None


class AnthropicMetadata(RequestShape):
    user_id: str | None = None
    """Who asks, in an opaque word: providers look for abuse by it."""


class AnthropicCounted(RequestShape):
    """What has a size in tokens."""

    model: ModelName
    messages: Annotated[tuple[AnthropicMessage, ...], Meta(min_length=1)]
    system: str | tuple[AnthropicInstruction, ...] | None = None
    tools: tuple[AnthropicTool, ...] | None = None
    tool_choice: AnthropicToolChoice | None = None
    thinking: AnthropicThinkingWish | None = None
    output_config: AnthropicOutputConfig | None = None
    output_format: AnthropicJsonFormat | None = None
    """The predecessor of `output_config.format`."""
    cache_control: AnthropicCacheControl | None = None
    """Cache the whole prompt."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Opaque settings by provider type, handed on as they are. Not Anthropic's."""


class AnthropicRequest(AnthropicCounted, kw_only=True):
    """A message. Fields that are not listed are sent on to providers of this dialect."""

    max_tokens: Bound
    """The most tokens of the answer, thinking included."""
    stream: bool | None = None
    metadata: AnthropicMetadata | None = None
    stop_sequences: tuple[str, ...] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


# -- what governance reads of them -----------------------------------------------------------------------------------


class _AnyObject(msgspec.Struct, frozen=True, gc=False):
    """An object whose fields are looked at later."""


class _AnyTool(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None


class MessagesHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads of a message, by the same types as in `AnthropicRequest`."""

    model: ModelName
    messages: Annotated[list[_AnyObject], Meta(min_length=1)]
    max_tokens: Bound
    stream: bool | None = None
    tools: list[_AnyTool] | None = None

    @property
    def own_tools(self) -> bool:
        """Whether all tools are the caller's; what Anthropic's own find becomes input too."""
        return all(tool.type in (None, "custom") for tool in self.tools or ())


class CountHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads of a question for a number of tokens."""

    model: ModelName
    messages: Annotated[list[_AnyObject], Meta(min_length=1)]
