"""What the scripted backends say: the same words in the protocol that they are asked in, whole, failing or broken.

Sources: the API references of OpenAI (chat, completions, responses) and of Anthropic (messages, errors).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.harness import behaviours, responses
from tests.harness.behaviours import EVENTS, JSON, Step, Then, answer, compact, cut, data, stalled, stream
from tests.harness.provider import Behaviour, Conversation, Headers


class Words(msgspec.Struct, frozen=True):
    """What one backend answers: two pieces of text, and what it counts."""

    texts: tuple[str, str]
    tokens: tuple[int, int]

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Refusal(msgspec.Struct, frozen=True):
    """One way to refuse a call, in the words of both makers."""

    status: int
    openai: dict[str, Any]
    anthropic: dict[str, Any]


_openai = behaviours.openai_error
_anthropic = behaviours.anthropic_error
REFUSALS: Final[Mapping[str, Refusal]] = {
    "rate limited": Refusal(
        429,
        _openai("Slow down.", code="rate_limit_exceeded", kind="rate_limit_error"),
        _anthropic("rate_limit_error", "Slow down."),
    ),
    "broken": Refusal(500, _openai("Oops.", kind="server_error"), _anthropic("api_error", "Oops.")),
    "away": Refusal(503, _openai("Overloaded.", kind="server_error"), _anthropic("overloaded_error", "Overloaded.")),
    "too long": Refusal(
        400,
        _openai("This model's maximum context length is 8 tokens.", code="context_length_exceeded"),
        _anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
    ),
    "filtered": Refusal(
        400,
        _openai("The response was filtered.", code="content_filter"),
        _anthropic("invalid_request_error", "Output blocked by content filtering policy"),
    ),
    "not valid": Refusal(
        400,
        _openai("Unsupported value.", code="unsupported_value"),
        _anthropic("invalid_request_error", "Unsupported value."),
    ),
}

Whole = Callable[[Words], dict[str, Any]]
Frames = Callable[[Words], Sequence[bytes]]


class Protocol(msgspec.Struct, frozen=True):
    """One protocol: whole answers, and streams whose last frame is the mark of their end."""

    whole: Whole
    frames: Frames
    ours: bool = True
    """It is OpenAI's; else Anthropic's."""


def _chat(words: Words) -> dict[str, Any]:
    return behaviours.completion(words.text, tokens=words.tokens)


def _chat_frames(words: Words) -> Sequence[bytes]:
    return behaviours.openai_frames(*words.texts, tokens=words.tokens)


def _text(text: str, finish: str | None, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1_750_000_000, "model": "upstream-model"}
    return {**head, "choices": [choice], **more}


def _completion(words: Words) -> dict[str, Any]:
    return _text(words.text, "stop", usage=behaviours.openai_usage(*words.tokens))


def _completion_frames(words: Words) -> Sequence[bytes]:
    usage: dict[str, Any] = {**_text("", None), "choices": [], "usage": behaviours.openai_usage(*words.tokens)}
    pieces = [data(_text(text, None)) for text in words.texts]
    return [*pieces, data(_text("", "stop")), data(usage), behaviours.OPENAI_DONE]


def _response(words: Words) -> dict[str, Any]:
    return responses.response(responses.message(words.text), usage=responses.usage(*words.tokens))


def _response_frames(words: Words) -> Sequence[bytes]:
    return responses.frames(*words.texts, usage=responses.usage(*words.tokens))


def _message(words: Words) -> dict[str, Any]:
    return behaviours.anthropic_message(words.text, tokens=words.tokens)


def _message_frames(words: Words) -> Sequence[bytes]:
    return behaviours.anthropic_frames(*words.texts, tokens=words.tokens)


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "/chat/completions": Protocol(_chat, _chat_frames),
    "/completions": Protocol(_completion, _completion_frames),
    "/responses": Protocol(_response, _response_frames),
    "/messages": Protocol(_message, _message_frames, ours=False),
}
"""By how the path ends that a backend is asked at; the first that fits."""


def protocol_of(conversation: Conversation) -> Protocol:
    path = conversation.request.path
    return next(protocol for ending, protocol in PROTOCOLS.items() if path.endswith(ending))


def streams(conversation: Conversation) -> bool:
    return conversation.request.json.get("stream") is True


# -- behaviours: each speaks the protocol that it is asked in ---------------------------------------------------------


def says(words: Words) -> Behaviour:
    """The whole answer."""

    async def behave(conversation: Conversation) -> None:
        protocol = protocol_of(conversation)
        made = stream(*protocol.frames(words)) if streams(conversation) else answer(protocol.whole(words))
        await made(conversation)

    return behave


def refuses(how: str, *headers: tuple[str, str]) -> Behaviour:
    """A refusal of REFUSALS, ahead of any answer."""
    refusal = REFUSALS[how]

    async def behave(conversation: Conversation) -> None:
        body = refusal.openai if protocol_of(conversation).ours else refusal.anthropic
        await answer(body, status=refusal.status, headers=[*JSON, *headers])(conversation)

    return behave


def tells(how: str, words: Words, *, begun: bool) -> Behaviour:
    """A stream of which an event is a refusal: the first of all, or (`begun`) the one after the first text.

    A plain answer is refused at once.
    """

    async def behave(conversation: Conversation) -> None:
        if not streams(conversation):
            await refuses(how)(conversation)
            return
        protocol, refusal = protocol_of(conversation), REFUSALS[how]
        frames = protocol.frames(words)
        told = data(refusal.openai) if protocol.ours else behaviours.event(**_named(refusal.anthropic))
        await stream(*(frames[: _to_first_text(frames, words)] if begun else ()), told)(conversation)

    return behave


def _named(error: dict[str, Any]) -> dict[str, Any]:
    return {"kind": error["type"], "error": error["error"]}


def _to_first_text(frames: Sequence[bytes], words: Words) -> int:
    """The number of frames up to the first text."""
    return 1 + next(place for place, frame in enumerate(frames) if words.texts[0].encode() in frame)


def late(seconds: float, words: Words) -> Behaviour:
    """The whole answer after a while. A stream begins at once, with a comment, and its first token comes late."""

    async def behave(conversation: Conversation) -> None:
        if not streams(conversation):
            await _passes(seconds)
            await says(words)(conversation)
            return
        headers: Headers = [*EVENTS, ("transfer-encoding", "chunked")]
        await conversation.head(200, headers)
        await conversation.chunk(b": wait\n\n")
        await _passes(seconds)
        for frame in protocol_of(conversation).frames(words):
            await conversation.chunk(frame)
        await conversation.end()

    return behave


async def _passes(seconds: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


How = Callable[[Sequence[bytes], int], Sequence[Step]]
"""How a stream breaks: its frames and the number of those up to the first text, as what is sent instead."""
Short = Callable[[bytes], Behaviour]
"""How a plain answer breaks."""


def breaks(words: Words, how: How, short: Short) -> Behaviour:
    """An answer that breaks."""

    async def behave(conversation: Conversation) -> None:
        protocol = protocol_of(conversation)
        if not streams(conversation):
            await short(compact(protocol.whole(words)))(conversation)
            return
        frames = protocol.frames(words)
        await stream(*how(frames, _to_first_text(frames, words)))(conversation)

    return behave


def cut_off(body: bytes) -> Behaviour:
    """Fewer bytes than declared, then the end of the connection."""
    return cut(body[: len(body) // 2], declared=len(body))


def held_up(body: bytes) -> Behaviour:
    """Fewer bytes than declared, then nothing more."""
    return stalled(body[: len(body) // 2], declared=len(body))


def misshapen(body: bytes) -> Behaviour:
    """As many bytes as declared, and no JSON."""
    return answer(body.replace(b":", b";", 1))


def shortened(body: bytes) -> Behaviour:
    """A body whose end is missing, although as many bytes come as were declared."""
    return answer(body[: len(body) // 2])


def half(*then: Step, more: int = 0) -> How:
    """A stream up to its first text and `more` frames, and what follows instead of the rest: never its last frame."""
    return lambda frames, first: [*frames[: min(first + more, len(frames) - 1)], *then]


def whole(*then: Step) -> How:
    """All of a stream, the mark of its end too."""
    return lambda frames, first: [*frames, *then]


def nothing(*then: Step) -> How:
    """A stream without a single frame."""
    return lambda frames, first: [b": wait\n\n", *then]


def broken_chunk(frames: Sequence[bytes], first: int) -> Sequence[Step]:
    """A sound beginning, one chunk that is no JSON, and the rest as if nothing had been."""
    return [*frames[:first], torn(frames[first]), *frames[first + 1 :]]


def broken_first(frames: Sequence[bytes], first: int) -> Sequence[Step]:
    """The same with the very first chunk."""
    return [torn(frames[0]), *frames[1:]]


def torn(frame: bytes) -> bytes:
    """An event whose data ends too early."""
    return frame.rstrip()[:-3] + b"\n\n"


CLOSE: Final = Then.CLOSE
STALL: Final = Then.STALL
