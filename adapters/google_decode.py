"""Answers of Gemini's `generateContent` as canonical events, plain and streamed.

Source: Gemini API reference, "GenerateContentResponse"; guides "Thought signatures", "Function calling". A chunk of a
stream has the shape of a whole answer. Nothing in a stream says that it is over but its end; a finish reason may be
followed by more.

Parts that only Gemini reads (code that it ran, tools of its own and what came of them) are kept as they are, to be
given back in the next turn. A picture or a sound has no place in an answer and fails it, unless it came of code that
the model ran beside its text. What Gemini tells of a search besides its sources is passed over.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapters import google_failure
from adapters.counts import Size, tokens
from adapters.google_citations import CitationMetadata, Grounding, citations
from adapters.google_logprobs import Result, log_probs
from adapters.google_usage import usage
from adapters.wire import ABSENT, broken, check_unicode, decoded, given
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Done, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage

PROVIDER: Final = "google"


class _FunctionCall(msgspec.Struct, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = ABSENT
    partial_args: msgspec.Raw = ABSENT
    will_continue: bool | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None
    inline_data: msgspec.Raw = ABSENT
    executable_code: msgspec.Raw = ABSENT
    code_execution_result: msgspec.Raw = ABSENT


class _Content(msgspec.Struct):
    parts: list[msgspec.Raw] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: Result | None = None
    grounding_metadata: Grounding | None = None
    citation_metadata: CitationMetadata | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    """An answer, or one chunk of it."""

    response_id: str | None = None
    create_time: str | None = None
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: Size = None
    error: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)
_part: Final = msgspec.json.Decoder(_Part)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_count: Final = msgspec.json.Decoder(_Count)

_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_FAILURES: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Finish reasons by which the model says that its answer is none: another attempt may do better."""
_UNSAID: Final = frozenset({"FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_RESPONSE_ID: Final = 24


class _Progress:
    """One candidate while its pieces come."""

    __slots__ = ("calls", "grounded", "index", "quoted", "ran_code", "reason", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls = 0
        self.text: list[str] = []
        self.grounded: list[Grounding] = []
        self.quoted: list[CitationMetadata] = []
        self.ran_code = False
        self.reason: str | None = None


class Answer:
    """The state of one answer that both forms share."""

    __slots__ = ("_begun", "_candidates", "_id", "_most", "_usage")

    def __init__(self, candidates: int) -> None:
        self._most = candidates
        self._candidates: dict[int, _Progress] = {}
        self._usage: Usage | None = None
        self._id = ""
        self._begun = False

    def take(self, text: bytes) -> list[Event]:
        """What an answer, or one chunk of it, says; but its end. Raises GatewayError."""
        check_unicode(text)
        answer = decoded(_answer, text)
        if given(answer.error):
            raise google_failure.reported(text) or broken("an error without an error")
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and feedback.block_reason not in _UNSAID:
            raise google_failure.blocked(feedback.block_reason_message)
        found: list[Event] = []
        if not self._begun:
            self._begun = True
            self._id = answer.response_id or ""
            found.append(Start(self._id, _seconds(answer.create_time)))
        for place, candidate in enumerate(answer.candidates or ()):
            self._candidate(candidate, place, found)
        counted = usage(answer.usage_metadata)
        if counted is not None and counted != self._usage:
            self._usage = counted
            found.append(counted)
        return found

    @property
    def complete(self) -> bool:
        """Whether each candidate that was asked for has ended, though more may be said of it."""
        return len(self._candidates) == self._most and all(one.reason for one in self._candidates.values())

    def end(self) -> list[Event]:
        """The answer is whole: its sources, and how each candidate ended.

        Raises UPSTREAM_SHAPE_MISMATCH where one did not.
        """
        if not self._candidates:
            raise broken("no candidates")
        found: list[Event] = []
        for progress in self._candidates.values():
            if progress.reason is None:
                raise broken("a candidate without a finish reason")
            found += citations(progress.grounded, progress.quoted, "".join(progress.text), progress.index)
        for progress in self._candidates.values():
            # A word that is not known is at least an end.
            reason = _REASONS.get(progress.reason or "", "stop")
            found.append(Done("tool_calls" if progress.calls and reason == "stop" else reason, progress.index))
        return found

    def _candidate(self, candidate: _Candidate, place: int, found: list[Event]) -> None:
        index = place if candidate.index is None else candidate.index
        progress = self._candidates.get(index)
        if progress is None:
            if not 0 <= index < self._most:
                raise broken("a candidate that nobody asked for")
            progress = self._candidates[index] = _Progress(index)
        reason = candidate.finish_reason
        if reason in _FAILURES:
            raise GatewayError(Code.BACKEND_ERROR)
        said: list[Event] = []
        for raw in (candidate.content and candidate.content.parts) or ():
            self._part(raw, progress, said)
        if candidate.logprobs_result is not None:
            _annotate(said, log_probs(candidate.logprobs_result), index)
        found += said
        if candidate.grounding_metadata is not None:
            progress.grounded.append(candidate.grounding_metadata)
        if candidate.citation_metadata is not None:
            progress.quoted.append(candidate.citation_metadata)
        if reason and reason not in _UNSAID:
            progress.reason = reason

    def _part(self, raw: msgspec.Raw, progress: _Progress, found: list[Event]) -> None:
        part = decoded(_part, raw)
        index, signature = progress.index, part.thought_signature or None
        if part.function_call is not None:
            found += self._call(part.function_call, signature, progress)
        elif part.text is not None and part.thought:
            if part.text or signature:
                found.append(Reasoning(part.text, signature, provider=PROVIDER, index=index))
        elif part.text is not None or decoded(_members, raw).keys() <= _NOTHING:
            if part.text:
                progress.text.append(part.text)
                found.append(Text(part.text, index))
            if signature:
                found.append(Reasoning(signature=signature, provider=PROVIDER, index=index, signs="text"))
        else:
            if given(part.executable_code) or given(part.code_execution_result):
                progress.ran_code = True
            if given(part.inline_data) and not progress.ran_code:
                raise GatewayError(Code.UNSUPPORTED_BY_MODEL, "The model answered with a picture or a sound.")
            kept = msgspec.json.format(bytes(raw), indent=-1).decode()
            found.append(Reasoning(redacted=kept, provider=PROVIDER, index=index))

    def _call(self, call: _FunctionCall, signature: str | None, progress: _Progress) -> Sequence[Event]:
        if not call.name:
            raise broken("a function call without a name")
        if given(call.partial_args) or call.will_continue:
            raise broken("a function call in pieces")
        slot = progress.calls
        progress.calls += 1
        identifier = call.id or self._call_id(progress.index, slot)
        called = ToolCall(slot, identifier, call.name, _arguments(call.args), progress.index)
        if signature is None:
            return (called,)
        signed = Reasoning(
            signature=signature, provider=PROVIDER, index=progress.index, signs="call", call_id=identifier
        )
        return (signed, called)

    def _call_id(self, index: int, slot: int) -> str:
        """An id for a call that has none: the same one however often the answer is read."""
        answer = _NOT_IN_IDS.sub("", self._id)[-_LONGEST_RESPONSE_ID:]
        return "_".join(["call", *([answer] if answer else []), str(index), str(slot)])


_NOTHING: Final = frozenset({"thought", "thoughtSignature"})
"""A part of no more than these is an empty text."""


def _arguments(raw: msgspec.Raw) -> str:
    if not given(raw):
        return "{}"
    if bytes(raw)[:1] != b"{":
        raise broken("arguments that are no object")
    return msgspec.json.format(bytes(raw), indent=-1).decode()


def _annotate(said: list[Event], annotated: msgspec.Raw, index: int) -> None:
    """Puts the log probabilities to the first piece of text, or to an empty one."""
    for place, event in enumerate(said):
        if isinstance(event, Text):
            said[place] = msgspec.structs.replace(event, logprobs=annotated)
            return
    said.append(Text("", index, annotated))


def _seconds(text: str | None) -> int:
    """`createTime` in seconds since the epoch; 0 where it is none."""
    try:
        return max(int(datetime.fromisoformat(text).timestamp()), 0) if text and text.endswith("Z") else 0
    except (ValueError, OverflowError):
        return 0


class AnswerStream:
    """The reader of a streamed answer. It has no end mark, so `end` is for when the stream is over."""

    __slots__ = ("_answer", "ended")

    def __init__(self, candidates: int) -> None:
        self._answer = Answer(candidates)
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        try:
            return self._answer.take(data)
        except GatewayError as failure:
            if failure.code is not Code.UPSTREAM_SHAPE_MISMATCH or not self._answer.complete:
                raise
            # All has been said: what follows is of no protocol, and nothing after it is read.
            self.ended = True
            return ()

    def failure(self, body: bytes) -> GatewayError | None:
        return google_failure.reported(body)

    def end(self) -> Sequence[Event]:
        """What there is to say once nothing more can come. Raises UPSTREAM_SHAPE_MISMATCH where more was due."""
        if not self._answer.complete:
            raise broken("the stream ended too early")
        return self._answer.end()


def whole(candidates: int) -> Callable[[bytes], Sequence[Event]]:
    """The reader of a plain answer."""

    def read(body: bytes) -> Sequence[Event]:
        answer = Answer(candidates)
        return [*answer.take(body), *answer.end()]

    return read


def counted(body: bytes) -> Sequence[Event]:
    """What the counter of tokens says. Raises GatewayError."""
    said = decoded(_count, body)
    if given(said.error):
        raise google_failure.reported(body) or broken("an error without an error")
    if said.total_tokens is None:
        raise broken("no count")
    return (Counted(tokens(said.total_tokens)),)
