"""What clients of OpenAI's Responses API send.

Source: OpenAI's API reference, "Responses". What it documents and no other provider has a word for (`conversation`,
`background`, hosted tools ...) has no field here: such fields pass through where the provider speaks this API too, and
are refused by name where it does not.
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from scaigrid.dialects.shapes import Metadata, ModelName, NonEmpty, RequestShape, Tokens, ToolMode

# -- what a message is made of ---------------------------------------------------------------------------------------


class ResponsesCacheBreakpoint(RequestShape):
    """Where a reusable prompt ends."""

    mode: Literal["explicit"]
    ttl: str | None = None


class InputTextPart(RequestShape, tag="input_text"):
    text: str
    prompt_cache_breakpoint: ResponsesCacheBreakpoint | None = None


class InputImagePart(RequestShape, tag="input_image"):
    """An image by its address, or itself as a `data:` URL; by `file_id` for OpenAI alone."""

    image_url: NonEmpty | None = None
    file_id: NonEmpty | None = None
    detail: str | None = None
    prompt_cache_breakpoint: ResponsesCacheBreakpoint | None = None


class InputFilePart(RequestShape, tag="input_file"):
    """A document: `file_data` (a `data:` URL or plain base64), `file_url` or `file_id`, one of them."""

    file_data: NonEmpty | None = None
    file_url: NonEmpty | None = None
    file_id: NonEmpty | None = None
    filename: str | None = None
    detail: str | None = None
    """How closely to look at its pages. A hint."""
    prompt_cache_breakpoint: ResponsesCacheBreakpoint | None = None


class InputSound(RequestShape):
    """Base64 `data` in `format` (wav, mp3)."""

    data: NonEmpty
    format: NonEmpty


class InputAudioPart(RequestShape, tag="input_audio"):
    input_audio: InputSound


class SentTextPart(RequestShape, tag="output_text"):
    """Text of an earlier answer."""

    text: str
    annotations: tuple[Any, ...] | None = None
    """As the answer gave them; providers of other APIs are not sent them."""
    logprobs: tuple[Any, ...] | None = None
    """Likewise."""
    parsed: Any = None
    """Ignored: clients that read the text for their caller leave it behind."""


class SentRefusalPart(RequestShape, tag="refusal"):
    refusal: str


ResponsesPart = InputTextPart | InputImagePart | InputFilePart | InputAudioPart | SentTextPart | SentRefusalPart
ItemStatus = Literal["in_progress", "completed", "incomplete"]

# -- what a conversation is made of ----------------------------------------------------------------------------------


class ResponsesMessage(RequestShape, tag="message"):
    """A message. `type` may be left out."""

    tagless: ClassVar[bool] = True
    """What an item is that does not say what it is; the document says so too."""
    role: Literal["user", "assistant", "system", "developer"]
    content: str | tuple[ResponsesPart, ...]
    id: str | None = None
    """Of an earlier answer, as are `status` and `phase`: providers of other APIs are not sent them."""
    status: ItemStatus | None = None
    phase: str | None = None


class SentFunctionCall(RequestShape, tag="function_call"):
    """A call that the model made, as the answer gave it."""

    call_id: NonEmpty
    name: NonEmpty
    arguments: str
    parsed_arguments: Any = None
    """Ignored: clients that read the arguments for their caller leave it behind."""
    id: str | None = None
    status: ItemStatus | None = None


class FunctionCallOutput(RequestShape, tag="function_call_output"):
    """What came of a call."""

    call_id: NonEmpty
    output: str | tuple[ResponsesPart, ...]
    id: str | None = None
    status: ItemStatus | None = None


class SentSummary(RequestShape, tag="summary_text"):
    text: str


class SentReasoningText(RequestShape, tag="reasoning_text"):
    text: str


class SentReasoning(RequestShape, tag="reasoning"):
    """Reasoning of an earlier answer. Send it back as it is: the provider may want it."""

    id: str | None = None
    summary: tuple[SentSummary, ...] = ()
    content: tuple[SentReasoningText, ...] | None = None
    encrypted_content: str | None = None
    status: ItemStatus | None = None


ResponsesItem = ResponsesMessage | SentFunctionCall | FunctionCallOutput | SentReasoning

# -- what is asked ---------------------------------------------------------------------------------------------------


class ResponsesFunctionTool(RequestShape, tag="function"):
    """A function that the model may call."""

    name: NonEmpty
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON Schema object; left out: the function takes no arguments."""
    strict: bool | None = None
    """Have the arguments follow the schema exactly. Left out: yes, where the schema is one that allows it (every object
    closed, every property required)."""


class ResponsesFunctionChoice(RequestShape, tag="function"):
    """Call this one function."""

    name: NonEmpty


class ResponsesTextFormat(RequestShape, tag="text"):
    """Any text."""


class ResponsesJsonObjectFormat(RequestShape, tag="json_object"):
    """Any JSON object."""


class ResponsesJsonSchemaFormat(RequestShape, tag="json_schema"):
    """JSON that follows a schema."""

    name: NonEmpty
    schema: dict[str, Any]
    """A JSON Schema object."""
    description: str | None = None
    strict: bool | None = None


class ResponsesText(RequestShape):
    """What the answer's text is like."""

    format: ResponsesTextFormat | ResponsesJsonObjectFormat | ResponsesJsonSchemaFormat | None = None


class ResponsesReasoning(RequestShape):
    """How much the model should think."""

    effort: str | None = None
    summary: str | None = None
    """How the reasoning is summed up, by providers that do. A hint."""
    generate_summary: str | None = None
    """The predecessor of `summary`."""


class ResponsesStreamOptions(RequestShape):
    include_obfuscation: bool | None = None
    """Answers of other providers are not obfuscated."""


class ResponsesRequest(RequestShape):
    """A call of the Responses API. Fields that are not listed are sent on to providers that speak it."""

    model: ModelName
    input: str | tuple[ResponsesItem, ...] | None = None
    instructions: str | None = None
    """Put ahead of the input."""
    previous_response_id: str | None = None
    """The id of an answer that the provider keeps: the call goes to the backend that keeps it."""
    stream: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
    max_output_tokens: Tokens | None = None
    """The most tokens, reasoning included."""
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: tuple[str, ...] | None = None
    """`message.output_text.logprobs` is heeded whoever answers; the rest concerns what only OpenAI's answers have, or
    (`reasoning.encrypted_content`) what they always have here."""
    tools: tuple[ResponsesFunctionTool, ...] | None = None
    tool_choice: ToolMode | ResponsesFunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: ResponsesText | None = None
    reasoning: ResponsesReasoning | None = None
    store: bool | None = None
    """Whether the provider keeps the answer. Providers of other APIs keep none, and their answers say so."""
    user: str | None = None
    safety_identifier: str | None = None
    """The successor of `user`."""
    prompt_cache_key: str | None = None
    """A hint, as is `prompt_cache_retention`: providers of other APIs are not sent them."""
    prompt_cache_retention: str | None = None
    client_metadata: dict[str, Any] | None = None
    """What a client says of itself. Providers of other APIs are not sent it."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Ours: settings of one type of provider that speaks another API, handed on as they are."""


class InputTokensRequest(RequestShape):
    """Asks how many input tokens a call would have."""

    model: ModelName
    input: str | tuple[ResponsesItem, ...] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: tuple[ResponsesFunctionTool, ...] | None = None
    tool_choice: ToolMode | ResponsesFunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: ResponsesText | None = None
    reasoning: ResponsesReasoning | None = None


class AnyItem(msgspec.Struct, frozen=True, gc=False):
    """An item, or a tool, whose fields are looked at later."""

    type: str | None = None


class ResponsesHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads of a call, by the same types as in `ResponsesRequest`."""

    model: ModelName
    input: str | list[AnyItem] | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    max_output_tokens: Tokens | None = None
    metadata: Metadata | None = None
    tools: list[AnyItem] | None = None
