"""Answers of Ollama's own API as canonical events: chats, plain and streamed, and embeddings.

Source: Ollama API documentation, "Generate a chat message", "Generate embeddings"; guides "Streaming", "Thinking".
A stream is one object a line, each of the shape of a plain answer, until one says `done`. Tool calls come whole, some
servers give them no id.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapters import openai_failure
from adapters.counts import Count, tokens
from adapters.ollama_encode import PROVIDER
from adapters.wire import ABSENT, broken, check_unicode, decoded, given
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.types import Done, Embed, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage, Vector


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = ABSENT


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Answer(msgspec.Struct):
    """A chat, or one piece of it."""

    created_at: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Count = None
    eval_count: Count = None
    logprobs: list[msgspec.Raw] | None = None
    error: msgspec.Raw = ABSENT


class _Embeddings(msgspec.Struct):
    embeddings: list[msgspec.Raw] | None = None
    prompt_eval_count: Count = None
    error: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)
_embeddings: Final = msgspec.json.Decoder(_Embeddings)
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_REASONS: Final[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length"}


class ChatStream:
    """The reader of a streamed chat, which `done` ends."""

    __slots__ = ("_begun", "_calls", "ended")

    def __init__(self) -> None:
        self._begun = False
        self._calls = 0
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        check_unicode(data)
        answer = decoded(_answer, data)
        if given(answer.error):
            raise openai_failure.reported(data) or broken("an error without an error")
        if answer.message is None and not answer.done:
            raise broken("no message")
        found: list[Event] = []
        if not self._begun:
            self._begun = True
            found.append(Start("", _seconds(answer.created_at)))
        if answer.message is not None:
            self._said(answer.message, _log_probs(answer.logprobs), found)
        if answer.done:
            self.ended = True
            usage = _usage(answer)
            found += [] if usage is None else [usage]
            found.append(self._done(answer.done_reason))
        return found

    def failure(self, body: bytes) -> GatewayError | None:
        """Never met: what is no JSON is read, and refused, as a line."""
        return openai_failure.reported(body)

    def _said(self, message: _Message, log_probs: msgspec.Raw | None, found: list[Event]) -> None:
        if message.thinking:
            found.append(Reasoning(message.thinking, provider=PROVIDER))
        if message.content or (log_probs is not None and not message.thinking):
            found.append(Text(message.content or "", logprobs=log_probs))
        for call in message.tool_calls or ():
            function = call.function
            if function is None or not function.name:
                raise broken("a tool call without a name")
            found.append(ToolCall(self._calls, call.id or "", function.name, _arguments(function)))
            self._calls += 1

    def _done(self, reason: str | None) -> Done:
        # A word that is not known is at least an end.
        known = _REASONS.get(reason or "", "stop")
        return Done("tool_calls" if self._calls and known == "stop" else known)


def whole_chat(body: bytes) -> Sequence[Event]:
    """What a plain chat says. Raises GatewayError."""
    reader = ChatStream()
    found = reader.read(None, body)
    if not reader.ended:
        raise broken("an answer without its end")
    return found


def embeddings(call: Call) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the embeddings that `call` asks for."""
    asked = call.canonical()
    wanted = len(asked.input) if isinstance(asked, Embed) else 0

    def read(body: bytes) -> Sequence[Event]:
        check_unicode(body)
        answer = decoded(_embeddings, body)
        if given(answer.error):
            raise openai_failure.reported(body) or broken("an error without an error")
        if answer.embeddings is None:
            raise broken("no embeddings")
        if len(answer.embeddings) != wanted or any(bytes(one)[:1] != b"[" for one in answer.embeddings):
            raise broken("other embeddings than were asked for")
        found: list[Event] = [Start("")]
        found += [Vector(index, value) for index, value in enumerate(answer.embeddings)]
        if answer.prompt_eval_count is not None:
            found.append(Usage(input=tokens(answer.prompt_eval_count)))
        return found

    return read


def _usage(answer: _Answer) -> Usage | None:
    """A prompt that the server still had is not counted by all of its versions."""
    if answer.prompt_eval_count is None and answer.eval_count is None:
        return None
    return Usage(input=tokens(answer.prompt_eval_count), output=tokens(answer.eval_count))


def _arguments(function: _Function) -> str:
    """As the model wrote them, on one line; those of a tool without parameters are an empty object."""
    if not given(function.arguments):
        return "{}"
    decoded(_object, function.arguments)
    return msgspec.json.format(bytes(function.arguments), indent=-1).decode()


def _log_probs(said: list[msgspec.Raw] | None) -> msgspec.Raw | None:
    """OpenAI's shape, whose entries Ollama has taken over."""
    if not said:
        return None
    return msgspec.Raw(msgspec.json.format(msgspec.json.encode({"content": said}), indent=-1))


def _seconds(moment: str | None) -> int:
    """Since the epoch; 0 where it is not told, or not as a moment of some zone."""
    try:
        read = datetime.fromisoformat(moment) if moment else None
        return max(int(read.timestamp()), 0) if read is not None and read.tzinfo is not None else 0
    except (ValueError, OverflowError):
        return 0
