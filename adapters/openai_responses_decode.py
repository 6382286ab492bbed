"""Answers of OpenAI's Responses API as canonical events, plain and streamed.

Source: OpenAI API reference, "The response object", "Streaming events". A plain answer is read as the stream that would
have told it: item by item, each whole. What tools of the provider's own did is passed over; what they found is cited.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from adapters import openai_failure
from adapters import openai_responses_shapes as shapes
from adapters.counts import tokens
from adapters.events import Streamed, Whole
from adapters.openai_usage import of_response
from adapters.wire import broken, decoded, given
from scaigrid.adapter import Decoder
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Counted, Done, Event, FinishReason, Reasoning, Refusal, Start, Text, ToolCall

_INCOMPLETE: Final[Mapping[str, FinishReason]] = {"content_filter": "content_filter"}
"""Why an answer stopped early, where that is not its length."""
_BETWEEN: Final = "\n\n"
"""What stands between two parts of one piece of reasoning."""


def decoder(provider: str, *, stream: bool) -> Decoder:
    """A decoder for the answer of `provider`."""
    return Streamed(ResponseStream(provider)) if stream else Whole(whole_response(provider))


def whole_response(provider: str) -> Callable[[bytes], Sequence[Event]]:
    """The reader of a plain answer."""

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(shapes.response, body)
        if given(answer.error) and (failure := openai_failure.reported(body)) is not None:
            raise failure
        if answer.output is None:
            raise broken("no output")
        telling = _Telling(provider)
        found = telling.start(answer)
        for place, item in enumerate(answer.output):
            found += telling.item(place, item)
        return found + telling.end(answer)

    return read


def size(body: bytes) -> Sequence[Event]:
    """How many tokens a chat has."""
    answer = decoded(shapes.size, body)
    if given(answer.error) and (failure := openai_failure.reported(body)) is not None:
        raise failure
    if answer.input_tokens is None:
        raise broken("no number of tokens")
    return (Counted(tokens(answer.input_tokens)),)


class _Progress:
    """One item of the output while its pieces come."""

    __slots__ = ("base", "kind", "part", "slot", "told")

    def __init__(self, base: int) -> None:
        self.base = base
        """Where the text of its current part begins in the text of the whole answer."""
        self.part: tuple[str, int] | None = None
        self.kind: str | None = None
        """The reasoning that is told, of a summary and a text: what comes first."""
        self.slot: int | None = None
        self.told = False


class _Telling:
    """The state of one answer that both forms share."""

    __slots__ = ("_calls", "_characters", "_items", "_provider", "begun")

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._items: dict[int, _Progress] = {}
        self._calls = 0
        self._characters = 0
        self.begun = False

    def start(self, answer: shapes.Response | None) -> list[Event]:
        if self.begun:
            return []
        self.begun = True
        if answer is None:
            return [Start("")]
        return [Start(answer.id or "", int(answer.created_at or 0))]

    def progress(self, place: int) -> _Progress:
        if place not in self._items:
            self._items[place] = _Progress(self._characters)
        return self._items[place]

    # -- pieces ------------------------------------------------------------------------------------------------------

    def text(self, place: int, part: int, text: str, logprobs: Sequence[shapes.LogProb] | None) -> list[Event]:
        progress = self.progress(place)
        progress.told = True
        self._turn_to(progress, "text", part)
        self._characters += len(text)
        return [Text(text, logprobs=_as_chat(logprobs))] if text or logprobs else []

    def refusal(self, place: int, text: str) -> list[Event]:
        self.progress(place).told = True
        return [Refusal(text)] if text else []

    def reasoning(self, place: int, kind: str, part: int, text: str) -> list[Event]:
        progress = self.progress(place)
        progress.kind = progress.kind or kind
        if not text or kind != progress.kind:
            return []
        further = progress.told and progress.part != (kind, part)
        progress.told, progress.part = True, (kind, part)
        return [Reasoning(_BETWEEN + text if further else text, provider=self._provider)]

    def call(self, place: int, item: shapes.Item) -> list[Event]:
        progress = self.progress(place)
        if progress.slot is not None:
            return []
        if not item.name:
            raise broken("a tool call without a name")
        progress.slot = self._calls
        self._calls += 1
        progress.told = bool(item.arguments)
        return [ToolCall(progress.slot, item.call_id or "", item.name, item.arguments or "")]

    def arguments(self, place: int, text: str) -> list[Event]:
        progress = self.progress(place)
        if progress.slot is None:
            raise broken("arguments of no tool call")
        progress.told = progress.told or bool(text)
        return [ToolCall(progress.slot, arguments=text)] if text else []

    def citation(self, place: int, part: int, annotation: shapes.Annotation) -> list[Event]:
        progress = self.progress(place)
        self._turn_to(progress, "text", part)
        if not (annotation.url or annotation.file_id or annotation.filename):
            return []
        return [
            Citation(
                url=annotation.url or None,
                title=annotation.title or annotation.filename or None,
                file_id=annotation.file_id or None,
                start=None if annotation.start_index is None else progress.base + annotation.start_index,
                end=None if annotation.end_index is None else progress.base + annotation.end_index,
            )
        ]

    def _turn_to(self, progress: _Progress, kind: str, part: int) -> None:
        if progress.part != (kind, part):
            progress.part, progress.base = (kind, part), self._characters

    # -- whole items -------------------------------------------------------------------------------------------------

    def item(self, place: int, item: shapes.Item) -> list[Event]:
        """What a whole item says that its pieces have not said."""
        tell = _ITEMS.get(item.type)
        return [] if tell is None else tell(self, place, item)

    def message(self, place: int, item: shapes.Item) -> list[Event]:
        found: list[Event] = []
        if not self.progress(place).told:
            for number, part in enumerate(item.content or ()):
                found += self.text(place, number, part.text or "", part.logprobs)
                found += self.refusal(place, part.refusal or "")
                for annotation in part.annotations or ():
                    found += self.citation(place, number, annotation)
        return found

    def thought(self, place: int, item: shapes.Item) -> list[Event]:
        found: list[Event] = []
        if not self.progress(place).told:
            for number, part in enumerate(item.summary or ()):
                found += self.reasoning(place, "summary", number, part.text or "")
            for number, part in enumerate(item.content or ()):
                found += self.reasoning(place, "content", number, part.text or "")
        if item.encrypted_content:
            found.append(Reasoning(signature=item.encrypted_content, provider=self._provider, id=item.id))
        return found

    def whole_call(self, place: int, item: shapes.Item) -> list[Event]:
        found = self.call(place, item)
        progress = self.progress(place)
        if not progress.told:
            found += self.arguments(place, item.arguments or "{}")
        return found

    # -- the end -----------------------------------------------------------------------------------------------------

    def end(self, answer: shapes.Response) -> list[Event]:
        """Usage, and how the answer ended. Raises GatewayError where it did not end well."""
        reason: FinishReason = "tool_calls" if self._calls else "stop"
        match answer.status:
            case "completed" | None:
                pass
            case "incomplete":
                why = answer.incomplete_details and answer.incomplete_details.reason
                reason = _INCOMPLETE.get(why or "", "length")
            case "failed" | "cancelled":
                raise GatewayError(Code.BACKEND_ERROR)
            case _:
                raise broken("an answer that is not ready")
        told = of_response(answer.usage)
        return [*([] if told is None else [told]), Done(reason)]


_ITEMS: Final[Mapping[str, Callable[[_Telling, int, shapes.Item], list[Event]]]] = {
    "message": _Telling.message,
    "reasoning": _Telling.thought,
    "function_call": _Telling.whole_call,
}


class ResponseStream:
    """The reader of a streamed answer, which `response.completed` or `response.incomplete` ends."""

    __slots__ = ("_telling", "ended")

    def __init__(self, provider: str) -> None:
        self._telling = _Telling(provider)
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        event = decoded(shapes.event, data)
        kind = event.type or name or ""
        if kind == "error":
            raise openai_failure.named_error(data)
        if not kind and (failure := openai_failure.reported(data)) is not None:
            raise failure
        if event.response is not None and given(event.response.error):
            raise openai_failure.named_error(b'{"error":%b}' % bytes(event.response.error))
        if kind in _ENDS:
            if event.response is None:
                raise broken("an end without its response")
            found = [*self._telling.start(event.response), *self._telling.end(event.response)]
            self.ended = True
            return found
        if kind in _STARTS:
            return self._telling.start(event.response)
        tell = _EVENTS.get(kind)
        return [] if tell is None else [*self._telling.start(None), *tell(self._telling, event)]

    def failure(self, body: bytes) -> GatewayError | None:
        return openai_failure.reported(body)


_STARTS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


def _added(telling: _Telling, event: shapes.Event) -> list[Event]:
    if event.item is None or event.item.type != "function_call":
        return []
    return telling.call(event.output_index, event.item)


def _done(telling: _Telling, event: shapes.Event) -> list[Event]:
    return [] if event.item is None else telling.item(event.output_index, event.item)


def _cited(telling: _Telling, event: shapes.Event) -> list[Event]:
    if event.annotation is None:
        return []
    return telling.citation(event.output_index, event.content_index, event.annotation)


_EVENTS: Final[Mapping[str, Callable[[_Telling, shapes.Event], list[Event]]]] = {
    "response.output_item.added": _added,
    "response.output_item.done": _done,
    "response.output_text.delta": lambda telling, event: telling.text(
        event.output_index, event.content_index, event.delta or "", event.logprobs
    ),
    "response.output_text.annotation.added": _cited,
    "response.refusal.delta": lambda telling, event: telling.refusal(event.output_index, event.delta or ""),
    "response.reasoning_summary_text.delta": lambda telling, event: telling.reasoning(
        event.output_index, "summary", event.summary_index, event.delta or ""
    ),
    "response.reasoning_text.delta": lambda telling, event: telling.reasoning(
        event.output_index, "content", event.content_index, event.delta or ""
    ),
    "response.function_call_arguments.delta": lambda telling, event: telling.arguments(
        event.output_index, event.delta or ""
    ),
}


class _ChatLogProbs(msgspec.Struct):
    content: Sequence[shapes.LogProb]
    refusal: None = None


def _as_chat(logprobs: Sequence[shapes.LogProb] | None) -> msgspec.Raw | None:
    """Log probabilities in the shape of chat completions; None for none."""
    return msgspec.Raw(msgspec.json.encode(_ChatLogProbs(logprobs))) if logprobs else None
