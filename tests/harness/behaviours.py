"""What scripted providers say: behaviours, and answers in the shapes of OpenAI and Anthropic, built here.

Shapes: https://platform.openai.com/docs/api-reference/chat, https://docs.anthropic.com/en/api/messages
"""

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from tests.harness.provider import Behaviour, Conversation, Gate, Headers

JSON: Headers = (("content-type", "application/json"),)
EVENTS: Headers = (("content-type", "text/event-stream; charset=utf-8"),)


class Then(Enum):
    """What can end a stream instead of its end."""

    RESET = "RST"
    CLOSE = "FIN in the middle of the body"
    STALL = "nothing more, until the caller goes"


Step = bytes | Gate | Then

# -- behaviours ------------------------------------------------------------------------------------------------------


def answer(body: Any, *, status: int = 200, headers: Headers = JSON) -> Behaviour:
    """A whole answer: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else compact(body)

    async def behave(conversation: Conversation) -> None:
        await conversation.answer(status, headers, raw)

    return behave


def gated(gate: Gate, then: Behaviour) -> Behaviour:
    """Nothing, until the gate opens."""

    async def behave(conversation: Conversation) -> None:
        await gate.passed()
        await then(conversation)

    return behave


def stream(*steps: Step, status: int = 200, headers: Headers = EVENTS) -> Behaviour:
    """A streamed answer: bytes are sent as one chunk each, a gate is waited for, and Then ends it its own way."""

    async def behave(conversation: Conversation) -> None:
        await conversation.head(status, [*headers, ("transfer-encoding", "chunked")])
        for step in steps:
            match step:
                case bytes():
                    await conversation.chunk(step)
                case Gate():
                    await step.passed()
                case Then.RESET:
                    conversation.reset()
                    return
                case Then.CLOSE:
                    conversation.close()
                    return
                case Then.STALL:
                    await conversation.silence()
        await conversation.end()

    return behave


def cut(body: bytes, *, declared: int, headers: Headers = JSON) -> Behaviour:
    """An answer of which fewer bytes come than it declared."""

    async def behave(conversation: Conversation) -> None:
        await conversation.head(200, [*headers, ("content-length", str(declared))])
        await conversation.write(body)
        conversation.close()

    return behave


def stalled(body: bytes, *, declared: int, headers: Headers = JSON) -> Behaviour:
    """An answer of which fewer bytes come than it declared, and then nothing more."""

    async def behave(conversation: Conversation) -> None:
        await conversation.head(200, [*headers, ("content-length", str(declared))])
        await conversation.write(body)
        await conversation.silence()

    return behave


def raw(data: bytes) -> Behaviour:
    """Bytes instead of HTTP, then the end of the connection."""

    async def behave(conversation: Conversation) -> None:
        await conversation.write(data)
        conversation.close()

    return behave


async def reset(conversation: Conversation) -> None:
    """RST before a single byte."""
    conversation.reset()


async def silence(conversation: Conversation) -> None:
    """Never an answer."""
    await conversation.silence()


def redirect(to: str) -> Behaviour:
    return answer(b"", status=307, headers=[("location", to)])


# -- OpenAI ----------------------------------------------------------------------------------------------------------


def openai_usage(tokens_in: int, tokens_out: int, *, cached: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def completion(
    text: str | None = "Hello.",
    *,
    tokens: tuple[int, int] = (9, 3),
    finish: str = "stop",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    model: str = "upstream-model",
) -> dict[str, Any]:
    """A plain chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": openai_usage(*tokens),
    }


def tool_call(name: str, arguments: str, *, identifier: str = "call_1") -> dict[str, Any]:
    """A tool call as it stands in an OpenAI message."""
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def compact(payload: Any) -> bytes:
    """JSON as most providers write it, without a space."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def data(payload: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + compact(payload) + b"\n\n"


def openai_chunk(delta: Mapping[str, Any] | None, *, finish: str | None = None, **more: Any) -> bytes:
    """One frame of a streamed chat completion; `delta` None for one without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "upstream-model"}
    return data({**head, "choices": choices, **more})


OPENAI_DONE = b"data: [DONE]\n\n"


def openai_frames(*texts: str, tokens: tuple[int, int] | None = (9, 3), finish: str = "stop") -> list[bytes]:
    """Every frame of a streamed chat completion, one for each text, with usage unless `tokens` is None."""
    frames = [openai_chunk({"role": "assistant", "content": ""})]
    frames += [openai_chunk({"content": text}) for text in texts]
    frames.append(openai_chunk({}, finish=finish))
    if tokens is not None:
        frames.append(openai_chunk(None, usage=openai_usage(*tokens)))
    return [*frames, OPENAI_DONE]


def openai_tool_frames(name: str, pieces: Sequence[str], *, identifier: str = "call_1") -> list[bytes]:
    """A streamed tool call whose arguments come in `pieces`."""
    first = {"index": 0, "id": identifier, "type": "function", "function": {"name": name, "arguments": ""}}
    frames = [openai_chunk({"role": "assistant", "content": None, "tool_calls": [first]})]
    frames += [openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    frames += [openai_chunk({}, finish="tool_calls"), openai_chunk(None, usage=openai_usage(9, 3)), OPENAI_DONE]
    return frames


def embeddings(*vectors: Sequence[float], tokens: int = 5) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": place, "embedding": list(one)} for place, one in enumerate(vectors)],
        "model": "upstream-embed",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def openai_error(message: str, *, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# -- Anthropic -------------------------------------------------------------------------------------------------------


def anthropic_message(
    text: str | None = "Hello.",
    *,
    tokens: tuple[int, int] = (9, 3),
    stop: str = "end_turn",
    tool_uses: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A plain message."""
    content: list[Any] = [{"type": "text", "text": text}] if text is not None else []
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "upstream-model",
        "content": [*content, *tool_uses],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": anthropic_usage(*tokens),
    }


def anthropic_usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {
        "input_tokens": tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens_out,
    }


def tool_use(name: str, given: Mapping[str, Any], *, identifier: str = "toolu_1") -> dict[str, Any]:
    """A tool call as it stands in an Anthropic message."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": dict(given)}


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event, named as Anthropic names them."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact({"type": kind, **fields}))


def anthropic_frames(*texts: str, tokens: tuple[int, int] = (9, 3), stop: str = "end_turn") -> list[bytes]:
    """Every event of a streamed message, one delta for each text."""
    return [
        _message_start(tokens[0]),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        event("content_block_stop", index=0),
        _message_delta(stop, tokens[1]),
        event("message_stop"),
    ]


def anthropic_tool_frames(name: str, pieces: Sequence[str], *, identifier: str = "toolu_1") -> list[bytes]:
    """A streamed tool call whose input comes in `pieces`."""
    block = tool_use(name, {}, identifier=identifier)
    return [
        _message_start(9),
        event("content_block_start", index=0, content_block=block),
        *(
            event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece})
            for piece in pieces
        ),
        event("content_block_stop", index=0),
        _message_delta("tool_use", 3),
        event("message_stop"),
    ]


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _message_start(tokens_in: int) -> bytes:
    message = anthropic_message(None, tokens=(tokens_in, 1))
    return event("message_start", message={**message, "stop_reason": None})


def _message_delta(stop: str, tokens_out: int) -> bytes:
    return event(
        "message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": tokens_out}
    )
