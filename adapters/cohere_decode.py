"""Chats as Cohere answers them, plain and streamed, as canonical events.

Source: Cohere API reference, "Chat" v2, "Chat with streaming"; guide "Citations". Events of types that are new are
passed over; but a new kind of content would be a hole in the answer, and is an error. A plan ahead of tool calls is
reasoning that the API wants back as a plan: it is signed so.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from adapters import cohere_failure
from adapters.cohere_cited import Cited, Cites
from adapters.cohere_encode import PLAN, PROVIDER, THOUGHT
from adapters.cohere_usage import Reported, of_chat
from adapters.wire import ABSENT, broken, decoded, given
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Done, Event, FinishReason, Reasoning, Start, Text, ToolCall


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Content(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _LogProbs(msgspec.Struct):
    """The log probability of each token of `text`."""

    text: str | None = None
    logprobs: list[float] | None = None


class _Message(msgspec.Struct):
    content: list[_Content] | str | None = None
    tool_plan: str | None = None
    tool_calls: list[_ToolCall] | None = None
    citations: list[Cited] | None = None


class _Answer(msgspec.Struct):
    id: str | None = None
    finish_reason: str | None = None
    message: msgspec.Raw = ABSENT
    usage: Reported | None = None
    logprobs: list[_LogProbs] | None = None


class _Said(msgspec.Struct):
    """The message of an event, of which each event has one member."""

    content: _Content | None = None
    tool_plan: str | None = None
    tool_calls: _ToolCall | None = None
    citations: Cited | None = None


class _Delta(msgspec.Struct):
    message: _Said | None = None
    finish_reason: str | None = None
    usage: Reported | None = None
    error: str | None = None


class _StreamEvent(msgspec.Struct):
    """An event of any type; what it holds is only read where the type is known."""

    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)
_message: Final = msgspec.json.Decoder(_Message)
_event: Final = msgspec.json.Decoder(_StreamEvent)
_delta: Final = msgspec.json.Decoder(_Delta)
_log_probs: Final = msgspec.json.Decoder(_LogProbs)

_REASONS: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
}
_FAILURES: Final[Mapping[str, Code]] = {"ERROR": Code.BACKEND_ERROR, "TIMEOUT": Code.BACKEND_TIMEOUT}
_KNOWN: Final = frozenset(
    {
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    }
)
_KINDS: Final = frozenset({"text", "thinking"})


class _Open:
    """One tool call while its pieces come."""

    __slots__ = ("arguments", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.arguments = False


class ChatStream:
    """The reader of a streamed chat, which `message-end` ends."""

    __slots__ = ("_begun", "_calls", "_cites", "_contents", "_planning", "_slots", "_thinking", "ended")

    def __init__(self) -> None:
        self._begun = False
        self._contents: set[int] = set()
        self._calls: dict[int, _Open] = {}
        self._slots = 0
        self._thinking = self._planning = False
        self._cites = Cites()
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        event = decoded(_event, data)
        kind = event.type or name or ""
        if kind == "message-start":
            return self._start(event)
        if kind not in _KNOWN:
            failure = cohere_failure.reported(data) if kind in ("", "error") else None
            if failure is not None or kind in ("", "error"):
                raise failure or broken("an event without a type")
            return ()
        if not self._begun:
            raise broken("an answer without its beginning")
        delta = decoded(_delta, event.delta) if given(event.delta) else _NO_DELTA
        said = delta.message or _NOTHING
        match kind:
            case "content-start" | "content-delta" | "content-end":
                return self._content(kind, event, said)
            case "tool-plan-delta":
                return self._plan(said.tool_plan) if said.tool_plan else ()
            case "tool-call-start" | "tool-call-delta" | "tool-call-end":
                return self._tool_call(kind, event, said)
            case "message-end":
                return self._end(delta)
            case _:
                return self._cites.read(said.citations) if kind == "citation-start" else ()

    def failure(self, body: bytes) -> GatewayError | None:
        return cohere_failure.reported(body)

    def _start(self, event: _StreamEvent) -> Sequence[Event]:
        if self._begun:
            raise broken("an answer that begins twice")
        self._begun = True
        return (Start(event.id or ""),)

    def _content(self, kind: str, event: _StreamEvent, said: _Said) -> Sequence[Event]:
        index = _index(event)
        if kind == "content-end":
            if index not in self._contents:
                raise broken("a content without its beginning")
            self._contents.discard(index)
            return ()
        content = said.content or _NO_CONTENT
        if kind == "content-start":
            if index in self._contents:
                raise broken("a content in the place of another")
            if content.type is not None and content.type not in _KINDS:
                raise broken("content of an unknown kind")
            self._contents.add(index)
            self._cites.opened(index)
        elif index not in self._contents:
            raise broken("a content without its beginning")
        log_probs = decoded(_log_probs, event.logprobs) if given(event.logprobs) else None
        return self._piece(content, None if log_probs is None else _converted([log_probs]))

    def _piece(self, content: _Content, log_probs: msgspec.Raw | None) -> Sequence[Event]:
        found: list[Event] = []
        if content.thinking:
            self._thinking = True
            found.append(Reasoning(content.thinking, provider=PROVIDER))
        if content.text or (log_probs is not None and not content.thinking):
            self._cites.grew(content.text or "")
            found.append(Text(content.text or "", logprobs=log_probs))
        return found

    def _tool_call(self, kind: str, event: _StreamEvent, said: _Said) -> Sequence[Event]:
        index = _index(event)
        call = said.tool_calls or _NO_CALL
        function = call.function or _NO_FUNCTION
        if kind == "tool-call-start":
            if index in self._calls:
                raise broken("a tool call in the place of another")
            opened = self._calls[index] = _Open(self._slots)
            self._slots += 1
            return [*self._planned(), _called(call, function, opened)]
        opened = self._calls.get(index, _OVER)
        if opened is _OVER:
            raise broken("a tool call without its beginning")
        if kind == "tool-call-end":
            self._calls[index] = _OVER
            return () if opened.arguments else (ToolCall(opened.slot, arguments="{}"),)
        if not function.arguments:
            return ()
        opened.arguments = True
        return (ToolCall(opened.slot, arguments=function.arguments),)

    def _plan(self, plan: str) -> Sequence[Event]:
        said = Reasoning(plan, provider=PROVIDER)
        thinking, self._thinking, self._planning = self._thinking, False, True
        return (Reasoning(signature=THOUGHT, provider=PROVIDER), said) if thinking else (said,)

    def _planned(self) -> Sequence[Event]:
        """Closes the plan, where there is one."""
        planning, self._planning = self._planning, False
        return (Reasoning(signature=PLAN, provider=PROVIDER),) if planning else ()

    def _end(self, delta: _Delta) -> Sequence[Event]:
        reason = delta.finish_reason
        if reason in _FAILURES or delta.error:
            raise _failed(reason, delta.error)
        if reason is None:
            raise broken("an answer without a finish reason")
        self.ended = True
        unsaid = [call.slot for call in self._calls.values() if call is not _OVER and not call.arguments]
        usage = of_chat(delta.usage)
        return [
            *self._planned(),
            *[ToolCall(slot, arguments="{}") for slot in unsaid],
            *(() if usage is None else (usage,)),
            _done(reason, self._slots),
        ]


_OVER: Final = _Open(-1)
_NO_DELTA: Final = _Delta()
_NOTHING: Final = _Said()
_NO_CONTENT: Final = _Content()
_NO_CALL: Final = _ToolCall()
_NO_FUNCTION: Final = _Function()


def whole_chat(body: bytes) -> Sequence[Event]:
    """What a plain chat says. Raises GatewayError."""
    answer = decoded(_answer, body)
    if bytes(answer.message)[:1] != b"{":
        raise cohere_failure.reported(body) or broken("no message")
    if answer.finish_reason in _FAILURES:
        raise _failed(answer.finish_reason, None)
    if answer.finish_reason is None:
        raise broken("an answer without a finish reason")
    usage = of_chat(answer.usage)
    message = decoded(_message, answer.message)
    return [
        Start(answer.id or ""),
        *_whole(message, None if answer.logprobs is None else _converted(answer.logprobs)),
        *(() if usage is None else (usage,)),
        _done(answer.finish_reason, len(message.tool_calls or ())),
    ]


def _whole(message: _Message, log_probs: msgspec.Raw | None) -> list[Event]:
    """What a message says, in the order in which it was made."""
    cites = Cites()
    found: list[Event] = []
    contents = [_Content("text", message.content)] if isinstance(message.content, str) else message.content or []
    for index, content in enumerate(contents):
        cites.opened(index)
        match content:
            case _Content(type="thinking", thinking=thinking):
                found += [Reasoning(thinking, provider=PROVIDER)] if thinking else []
            case _Content(type="text" | None, text=text):
                cites.grew(text or "")
                found += [Text(text or "", logprobs=log_probs)] if text or log_probs is not None else []
                log_probs = None
            case _:
                raise broken("content of an unknown kind")
    if message.tool_plan:
        if any(isinstance(event, Reasoning) for event in found):
            found.append(Reasoning(signature=THOUGHT, provider=PROVIDER))
        found.append(Reasoning(message.tool_plan, PLAN, provider=PROVIDER))
    for slot, call in enumerate(message.tool_calls or ()):
        function = call.function or _NO_FUNCTION
        opened = _called(call, function, _Open(slot))
        found.append(msgspec.structs.replace(opened, arguments=function.arguments or "{}"))
    found += [citation for cited in message.citations or () for citation in cites.read(cited)]
    return found


def _index(event: _StreamEvent) -> int:
    if event.index is None:
        raise broken("a piece without its place")
    return event.index


def _called(call: _ToolCall, function: _Function, opened: _Open) -> ToolCall:
    if not call.id or not function.name:
        raise broken("a tool call without an id or a name")
    opened.arguments = bool(function.arguments)
    return ToolCall(opened.slot, call.id, function.name, function.arguments or "")


def _failed(reason: str | None, sentence: str | None) -> GatewayError:
    if reason == "TIMEOUT":
        return GatewayError(Code.BACKEND_TIMEOUT)
    return cohere_failure.told(sentence)


def _done(reason: str, calls: int) -> Done:
    # A word that is not known is at least an end.
    known = _REASONS.get(reason, "stop")
    return Done("tool_calls" if calls and known == "stop" else known)


class _LogProb(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: tuple[()] = ()


def _converted(said: Sequence[_LogProbs]) -> msgspec.Raw:
    """Log probabilities in OpenAI's shape. Of a text of several tokens only the sum is known by its own text."""
    content = [
        _LogProb(one.text or "", sum(one.logprobs), list((one.text or "").encode())) for one in said if one.logprobs
    ]
    return msgspec.Raw(msgspec.json.encode({"content": content}))
