"""OpenAI's Responses API: calls to models, and the answers that providers keep."""

from collections.abc import Mapping
from typing import Final

import msgspec

from scaigrid.api.operation import Area, Operation
from scaigrid.api.operations.inference import CALL
from scaigrid.dialects import openai_responses_answers as answers
from scaigrid.dialects.openai_responses_shapes import InputTokensRequest, ResponsesRequest
from scaigrid.errors import Code

_NAME: Final = "resp_AZT_example-of-a-name-that-the-gateway-made"
_ABOUT: Final[Mapping[str, str]] = {"response_id": "The id of a response, as its answer gave it."}
_ABOUT_EXAMPLES: Final[Mapping[str, str]] = {"response_id": _NAME}
_KEPT: Final = (
    Code.NOT_FOUND,
    *(code for code in CALL if code not in (Code.BUDGET_EXCEEDED, Code.CONTEXT_TOO_LONG, Code.CONTENT_REFUSED)),
)
_FRAMES: Final = (
    answers.ResponseCreated,
    answers.ResponseInProgress,
    answers.ResponseItemAdded,
    answers.ResponseItemDone,
    answers.ResponsePartAdded,
    answers.ResponsePartDone,
    answers.ResponseTextDelta,
    answers.ResponseTextDone,
    answers.ResponseAnnotationAdded,
    answers.ResponseRefusalDelta,
    answers.ResponseRefusalDone,
    answers.ResponseArgumentsDelta,
    answers.ResponseArgumentsDone,
    answers.ResponseSummaryAdded,
    answers.ResponseSummaryDelta,
    answers.ResponseSummaryTextDone,
    answers.ResponseSummaryDone,
    answers.ResponseCompleted,
    answers.ResponseCutShort,
    answers.ResponseError,
)
_EXAMPLE: Final = answers.ResponseObject(
    id=_NAME,
    created_at=1_769_860_800,
    status="completed",
    model="openai/gpt-4o",
    output=(answers.ResponseMessage(id="msg_1", status="completed", content=(answers.ResponseText(text="Hello!"),)),),
    store=True,
    tools=[],
    usage=answers.ResponseUsage(10, answers.ResponseInputDetails(0, 0), 2, answers.ResponseOutputDetails(0), 12),
)
_ITEMS: Final = answers.ResponseItemList(
    data=(
        {
            "id": "msg_1",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "Say hello."}],
        },
    ),
    first_id="msg_1",
    last_id="msg_1",
    has_more=False,
)


class ReadQuery(msgspec.Struct, frozen=True):
    """What of a stored response is told, and how."""

    stream: bool | None = None
    """Tell it as a stream again, for one that is made in the background or was cut."""
    starting_after: int | None = None
    """With `stream`: begin behind the event of this number."""


class ItemsQuery(msgspec.Struct, frozen=True):
    """Which of the items, by OpenAI's own parameters."""

    limit: int | None = None
    """The most items of one page."""
    order: str | None = None
    """`asc` or `desc`."""
    after: str | None = None
    """The id of the item behind which to begin."""


AREA = Area(
    "Responses",
    "OpenAI's Responses API: calls to models, and the answers that providers keep.",
    (
        Operation(
            method="post",
            path="/oai/v1/responses",
            name="createResponse",
            summary="Call a model",
            description="For OpenAI's SDKs. Fields that are not listed go on to providers that speak this API as they "
            "are; for any other they are refused by name. A provider that keeps answers does so, and "
            "`previous_response_id` leads to the backend that has the answer; elsewhere nothing is kept.",
            call="chat",
            body=ResponsesRequest,
            answer=answers.ResponseObject,
            frames=_FRAMES,
            framing="Each frame is an event with the name of its type. `response.completed` or `response.incomplete` "
            "is the last; a failure after the first frame is an event `error`, with which the stream ends.",
            permission="models:use",
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/oai/v1/responses/input_tokens",
            name="countInputTokens",
            summary="Count the input tokens of a call",
            description="By the provider's own count, where it has one. It costs nothing.",
            call="count_tokens",
            body=InputTokensRequest,
            answer=answers.ResponseInputTokens,
            permission="models:use",
            codes=CALL,
        ),
        Operation(
            path="/oai/v1/responses/{response_id}",
            name="getResponse",
            summary="A stored response",
            description="As its provider has it. The query goes to the provider as it is.",
            parameters=_ABOUT,
            parameter_examples=_ABOUT_EXAMPLES,
            query=ReadQuery,
            answer=answers.ResponseObject,
            example=_EXAMPLE,
            permission="models:use",
            codes=_KEPT,
        ),
        Operation(
            method="delete",
            path="/oai/v1/responses/{response_id}",
            name="deleteResponse",
            summary="Delete a stored response",
            parameters=_ABOUT,
            parameter_examples=_ABOUT_EXAMPLES,
            answer=answers.ResponseDeleted,
            example=answers.ResponseDeleted(id=_NAME),
            permission="models:use",
            codes=_KEPT,
        ),
        Operation(
            method="post",
            path="/oai/v1/responses/{response_id}/cancel",
            name="cancelResponse",
            summary="Stop a response that is made in the background",
            parameters=_ABOUT,
            parameter_examples=_ABOUT_EXAMPLES,
            answer=answers.ResponseObject,
            example=_EXAMPLE,
            permission="models:use",
            codes=_KEPT,
        ),
        Operation(
            path="/oai/v1/responses/{response_id}/input_items",
            name="listInputItems",
            summary="What was asked in a stored response",
            description="The query goes to the provider as it is.",
            parameters=_ABOUT,
            parameter_examples=_ABOUT_EXAMPLES,
            query=ItemsQuery,
            answer=answers.ResponseItemList,
            example=_ITEMS,
            permission="models:use",
            codes=_KEPT,
        ),
    ),
)
