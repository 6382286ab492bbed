"""What clients of OpenAI's Responses API are answered: the response, its items, and the events of a stream.

Source: OpenAI's API reference, "Responses" and "Streaming events".
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.dialects.shapes import OPEN, AnswerShape

Status = Literal["in_progress", "completed", "incomplete"]

# -- content ---------------------------------------------------------------------------------------------------------


class ResponseUrlCitation(AnswerShape, tag="url_citation", kw_only=True):
    """A page, and the piece of the text that comes from it, in characters."""

    start_index: int
    end_index: int
    url: str
    title: str


class ResponseFileCitation(AnswerShape, tag="file_citation", kw_only=True):
    """A document that the caller sent: the one at `index`, from 0."""

    file_id: str
    """Empty for a document that was sent without one."""
    filename: str
    index: int


ResponseAnnotation = ResponseUrlCitation | ResponseFileCitation


class ResponseText(AnswerShape, tag="output_text", kw_only=True):
    annotations: tuple[ResponseAnnotation, ...] = ()
    logprobs: tuple[msgspec.Raw, ...] = ()
    text: str


class ResponseRefusal(AnswerShape, tag="refusal"):
    refusal: str


class ResponseSummary(AnswerShape, tag="summary_text"):
    text: str


ResponseContent = ResponseText | ResponseRefusal

# -- items -----------------------------------------------------------------------------------------------------------


class ResponseMessage(AnswerShape, tag="message", kw_only=True):
    """What the model says. Send it back as it is in the next turn."""

    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: tuple[ResponseContent, ...]


class ResponseFunctionCall(AnswerShape, tag="function_call", kw_only=True):
    """A call that the model makes. Send it back as it is, then its result under `call_id`."""

    id: str
    status: Status
    arguments: str
    """JSON text, as the model wrote it."""
    call_id: str
    name: str


class ResponseReasoning(AnswerShape, tag="reasoning", kw_only=True):
    """What the model thought. Send it back as it is in the next turn."""

    id: str
    summary: tuple[ResponseSummary, ...]
    encrypted_content: str | UnsetType = UNSET
    """What the provider needs back in the next turn, opaque."""


ResponseItem = ResponseMessage | ResponseFunctionCall | ResponseReasoning

# -- the response ----------------------------------------------------------------------------------------------------


class ResponseInputDetails(AnswerShape):
    cached_tokens: int
    cache_write_tokens: int


class ResponseOutputDetails(AnswerShape):
    reasoning_tokens: int


class ResponseUsage(AnswerShape):
    """Tokens. The details are parts of the totals beside them."""

    input_tokens: int
    input_tokens_details: ResponseInputDetails
    output_tokens: int
    output_tokens_details: ResponseOutputDetails
    total_tokens: int


class ResponseIncomplete(AnswerShape):
    """Why an answer ends before its end."""

    reason: Annotated[Literal["max_output_tokens", "content_filter"], OPEN]


class ResponseObject(AnswerShape, kw_only=True):
    """An answer. What the caller asked is told back as it was asked."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    background: bool = False
    completed_at: int | None = None
    error: None = None
    incomplete_details: ResponseIncomplete | None = None
    instructions: Any = None
    max_output_tokens: Any = None
    max_tool_calls: None = None
    model: str
    output: tuple[ResponseItem, ...] = ()
    parallel_tool_calls: Any = True
    previous_response_id: None = None
    prompt_cache_key: Any = None
    reasoning: Any = None
    safety_identifier: Any = None
    service_tier: Literal["default"] = "default"
    store: bool = False
    """False: no provider keeps this answer, and its id names nothing."""
    temperature: Any = None
    text: Any = None
    tool_choice: Any = "auto"
    tools: Any = ()
    top_logprobs: Any = 0
    top_p: Any = None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    user: Any = None
    metadata: Any = None


class ResponseInputTokens(AnswerShape, kw_only=True):
    """The size of a call."""

    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


class ResponseDeleted(AnswerShape, kw_only=True):
    """An answer is no longer kept."""

    id: str
    object: Literal["response", "response.deleted"] = "response"
    deleted: bool = True


class ResponseItemList(AnswerShape, kw_only=True):
    """What was asked in a stored response, as the provider tells it."""

    object: Literal["list"] = "list"
    data: tuple[Any, ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool


# -- the events of a stream ------------------------------------------------------------------------------------------


class ResponseCreated(AnswerShape, tag="response.created", kw_only=True):
    sequence_number: int
    response: ResponseObject


class ResponseInProgress(AnswerShape, tag="response.in_progress", kw_only=True):
    sequence_number: int
    response: ResponseObject


class ResponseItemAdded(AnswerShape, tag="response.output_item.added", kw_only=True):
    sequence_number: int
    output_index: int
    item: ResponseItem


class ResponseItemDone(AnswerShape, tag="response.output_item.done", kw_only=True):
    sequence_number: int
    output_index: int
    item: ResponseItem


class ResponsePartAdded(AnswerShape, tag="response.content_part.added", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: ResponseContent


class ResponsePartDone(AnswerShape, tag="response.content_part.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: ResponseContent


class ResponseTextDelta(AnswerShape, tag="response.output_text.delta", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: tuple[msgspec.Raw, ...] = ()


class ResponseTextDone(AnswerShape, tag="response.output_text.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: tuple[msgspec.Raw, ...] = ()


class ResponseAnnotationAdded(AnswerShape, tag="response.output_text.annotation.added", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    annotation_index: int
    annotation: ResponseAnnotation


class ResponseRefusalDelta(AnswerShape, tag="response.refusal.delta", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseRefusalDone(AnswerShape, tag="response.refusal.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    refusal: str


class ResponseArgumentsDelta(AnswerShape, tag="response.function_call_arguments.delta", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    delta: str


class ResponseArgumentsDone(AnswerShape, tag="response.function_call_arguments.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    name: str
    arguments: str


class ResponseSummaryAdded(AnswerShape, tag="response.reasoning_summary_part.added", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    part: ResponseSummary


class ResponseSummaryDelta(AnswerShape, tag="response.reasoning_summary_text.delta", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    delta: str


class ResponseSummaryTextDone(AnswerShape, tag="response.reasoning_summary_text.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    text: str


class ResponseSummaryDone(AnswerShape, tag="response.reasoning_summary_part.done", kw_only=True):
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    part: ResponseSummary


class ResponseCompleted(AnswerShape, tag="response.completed", kw_only=True):
    sequence_number: int
    response: ResponseObject


class ResponseCutShort(AnswerShape, tag="response.incomplete", kw_only=True):
    """The end of an answer that ends before its end."""

    sequence_number: int
    response: ResponseObject


class ResponseFailure(AnswerShape, kw_only=True):
    """What failed. `code` is the gateway's own."""

    type: str
    code: str
    message: str
    param: str | None
    request_id: str


class ResponseError(AnswerShape, tag="error", kw_only=True):
    """A failure, with which the stream ends. `error` says the same again, where SDKs look for it."""

    sequence_number: int
    code: str
    message: str
    param: str | None
    error: ResponseFailure


ResponseEvent = (
    ResponseCreated
    | ResponseInProgress
    | ResponseItemAdded
    | ResponseItemDone
    | ResponsePartAdded
    | ResponsePartDone
    | ResponseTextDelta
    | ResponseTextDone
    | ResponseAnnotationAdded
    | ResponseRefusalDelta
    | ResponseRefusalDone
    | ResponseArgumentsDelta
    | ResponseArgumentsDone
    | ResponseSummaryAdded
    | ResponseSummaryDelta
    | ResponseSummaryTextDone
    | ResponseSummaryDone
    | ResponseCompleted
    | ResponseCutShort
    | ResponseError
)
