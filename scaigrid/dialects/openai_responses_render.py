"""Writes answers for clients of OpenAI's Responses API."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects import openai_responses_answers as shapes
from scaigrid.dialects.gathering import Gathered, created
from scaigrid.dialects.openai_responses_output import Output, stem
from scaigrid.errors import Code, GatewayError
from scaigrid.sse import frame
from scaigrid.types import Event, Usage

_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": (),
    "top_logprobs": 0,
    "top_p": None,
    "user": None,
    "metadata": {},
}
"""What an answer tells back of the question, and what it tells where the caller did not say."""
_NOTHING: Final = (b"", b"null")
_INCOMPLETE: Final[Mapping[str, shapes.ResponseIncomplete]] = {
    "length": shapes.ResponseIncomplete("max_output_tokens"),
    "content_filter": shapes.ResponseIncomplete("content_filter"),
}
_encode = msgspec.json.Encoder().encode


class _Response:
    """The response of one call: what was asked, and what there is of the answer."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._echoed: dict[str, Any] = {
            name: raw if (raw := call.members.get(name)) is not None and bytes(raw) not in _NOTHING else otherwise
            for name, otherwise in _ECHOED.items()
        }

    def begun(self, output: Output) -> shapes.ResponseObject:
        return self._made(output, status="in_progress")

    def ended(self, output: Output) -> shapes.ResponseObject:
        finish = output.finish
        return self._made(
            output,
            status=output.status,
            incomplete_details=None if finish is None else _INCOMPLETE.get(finish.reason),
            items=output.items(),
            usage=None if output.usage is None else response_usage(output.usage),
        )

    def _made(
        self,
        output: Output,
        status: shapes.Status,
        items: tuple[shapes.ResponseItem, ...] = (),
        incomplete_details: shapes.ResponseIncomplete | None = None,
        usage: shapes.ResponseUsage | None = None,
    ) -> shapes.ResponseObject:
        return shapes.ResponseObject(
            id=f"resp_{stem(self._answered)}",
            created_at=created(output.start, self._answered),
            status=status,
            incomplete_details=incomplete_details,
            model=self._call.model,
            output=items,
            usage=usage,
            **self._echoed,
        )


class ResponsePlain:
    """One response, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._response = _Response(call, answered)
        self._output = Output(answered)

    def render(self, events: Sequence[Event]) -> bytes:
        self._output.add(events)
        return b""

    def close(self) -> bytes:
        self._output.end()
        return _encode(self._response.ended(self._output))


class ResponseStream:
    """Events, each as soon as it is due; those that say that all is well when the call is on record."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._response = _Response(call, answered)
        self._output = Output(answered)
        self._begun = False

    def render(self, events: Sequence[Event]) -> bytes:
        told = self._output.add(events)
        return self._beginning() + _frames(told) if told else b""

    def close(self) -> bytes:
        output = self._output
        ahead = self._beginning()
        told = output.end()
        response = self._response.ended(output)
        kind = shapes.ResponseCompleted if output.status == "completed" else shapes.ResponseCutShort
        return ahead + _frames([*told, kind(sequence_number=output.number(), response=response)])

    def _beginning(self) -> bytes:
        """The first two events, ahead of the first content."""
        if self._begun:
            return b""
        self._begun = True
        response = self._response.begun(self._output)
        return _frames(
            [
                shapes.ResponseCreated(sequence_number=0, response=response),
                shapes.ResponseInProgress(sequence_number=1, response=response),
            ]
        )


class InputTokens:
    """The size of a call."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        if self._gathered.counted is None:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        return _encode(shapes.ResponseInputTokens(input_tokens=self._gathered.counted))


def response_usage(usage: Usage) -> shapes.ResponseUsage:
    """Usage in OpenAI's terms: cached and written tokens are parts of the input's, reasoning is part of the output."""
    return shapes.ResponseUsage(
        input_tokens=usage.total_input,
        input_tokens_details=shapes.ResponseInputDetails(usage.cache_read, usage.cache_write + usage.cache_write_1h),
        output_tokens=usage.total_output,
        output_tokens_details=shapes.ResponseOutputDetails(usage.reasoning),
        total_tokens=usage.total,
    )


def _frames(events: Sequence[shapes.ResponseEvent]) -> bytes:
    return b"".join([frame(_encode(event), _name(event)) for event in events])


def _name(event: shapes.ResponseEvent) -> str:
    return str(event.__struct_config__.tag)
