"""What both dialects spell alike: tools, tool calls, response formats, tags, and the deltas of a streamed answer.

The Structs of `shapes`, `openai_shapes` and `native_shapes` are public: the OpenAPI document is made from them, and the
docstrings here are its text.
"""

from typing import Annotated, Any, Literal, dataclass_transform

import msgspec
from msgspec import UNSET, Meta, UnsetType

from scaigrid.types import FinishReason

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
OPEN = Meta(extra_json_schema={"x-scaigrid-open": True})
"""Marks a set of words in answers that a later version may add to. Any other set is as long as it was released."""
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Choices = Annotated[int, Meta(ge=1, le=128)]
NonEmpty = Annotated[str, Meta(min_length=1)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class RequestShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object of a request. Whether an unknown field is refused or kept is the dialect's affair (see `forms`)."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class AnswerShape(msgspec.Struct, frozen=True):
    """An object of an answer."""


# -- requests --------------------------------------------------------------------------------------------------------


class FunctionDefinition(RequestShape):
    """A function that the model may call."""

    name: NonEmpty
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON Schema object; left out: the function takes no arguments."""
    strict: bool | None = None
    """Have the arguments follow the schema exactly."""


class FunctionTool(RequestShape, tag="function"):
    """A tool of type `function`."""

    function: FunctionDefinition


class CalledFunction(RequestShape):
    """The function that the model called."""

    name: NonEmpty
    arguments: str
    """JSON text, as the model wrote it."""
    parsed_arguments: Any = None
    """Ignored: clients that read the arguments for their caller leave it behind."""


class FunctionToolCall(RequestShape, tag="function"):
    """A call that the assistant made, as the answer gave it."""

    id: NonEmpty
    function: CalledFunction
    index: int | None = None
    """Ignored: clients that put a streamed answer together leave it behind."""


class FunctionName(RequestShape):
    name: NonEmpty


class FunctionChoice(RequestShape, tag="function"):
    """Call this one function."""

    function: FunctionName


class TextFormat(RequestShape, tag="text"):
    """Any text."""


class JsonObjectFormat(RequestShape, tag="json_object"):
    """Any JSON object."""


class JsonSchema(RequestShape):
    """The schema that the answer follows."""

    name: NonEmpty
    schema: dict[str, Any]
    """A JSON Schema object."""
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(RequestShape, tag="json_schema"):
    """JSON that follows a schema."""

    json_schema: JsonSchema


Format = TextFormat | JsonObjectFormat | JsonSchemaFormat
ToolMode = Literal["auto", "none", "required"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


# -- answers ---------------------------------------------------------------------------------------------------------


class AnsweredFunction(AnswerShape):
    """The function that the model calls; `arguments` is JSON text."""

    name: str
    arguments: str


class AnsweredToolCall(AnswerShape, tag="function"):
    """A call that the model makes. Send it back as it is, then its result under `tool_call_id`."""

    id: str
    function: AnsweredFunction


class FunctionDelta(AnswerShape):
    """The name comes once; the pieces of `arguments` are put together."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallDelta(AnswerShape, kw_only=True):
    """A piece of the tool call at `index`; the first carries `id`, `type` and the name."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta


class ChoiceDelta(AnswerShape, kw_only=True):
    """What is added to one choice."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: tuple[ToolCallDelta, ...] | UnsetType = UNSET
    provider_state: str | UnsetType = UNSET
    """In the last delta of a choice, where the provider needs something back in the next turn."""


class ChunkChoice(AnswerShape, kw_only=True):
    """One choice in a chunk; `finish_reason` is set in its last one."""

    index: int
    delta: ChoiceDelta
    logprobs: msgspec.Raw | UnsetType = UNSET
    """`{"content": [...], "refusal": [...]}` with the log probability of each token, where they were asked for."""
    finish_reason: Annotated[FinishReason, OPEN] | None = None
