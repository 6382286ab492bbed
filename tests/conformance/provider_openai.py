"""What a recorded answer of the OpenAI protocol says, and the same answer as a stream where it was recorded whole."""

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.told import Called, Choice, Tokens, Told
from tests.conformance.wire import DONE, Frame, decoded, frames, inner, is_list, is_object
from tests.harness.recordings import Recorded

_FINISHES: Final[Mapping[str, str]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_FAILED: Final = frozenset({"error"})
"""Finish reasons that say that the answer broke off."""
PIECES: Final = 3
"""Into how many deltas a text is cut where a whole answer is told as a stream."""


class _Tool(msgspec.Struct):
    id: str | None = None
    name: str = ""
    arguments: str = ""


class _Gathered(msgspec.Struct):
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: dict[int, _Tool] = {}
    finish: str | None = None


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if streams(recorded):
        return _streamed(text)
    if codes := fails(recorded):
        return Told(failed=codes)
    body = decoded(text)
    return _told([(one, one["message"]) for one in body["choices"]], body.get("usage"), frozenset())


def streams(recorded: Recorded) -> bool:
    return dict(recorded.response_headers).get("content-type", "").startswith("text/event-stream")


def fails(recorded: Recorded) -> frozenset[Code]:
    """What the failure of an exchange may become; empty where it succeeds."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return refusals.codes(recorded.status, text)
    if streams(recorded):
        broken = failure(frames(recorded.response_body))
        return frozenset() if broken is None else broken[1]
    try:
        body = decoded(text)
    except ValueError:
        return refusals.BROKEN
    if is_list(body.get("choices", body.get("data"))):
        return frozenset()
    return refusals.codes(None, text) if body.get("error") else refusals.BROKEN


def failure(found: Sequence[Frame]) -> tuple[int, frozenset[Code]] | None:
    """Where a stream tells its failure and what that is; None where it ends well."""
    for place, frame in enumerate(found):
        if frame.data != DONE and (frame.event == "error" or frame.json.get("error")):
            return place, refusals.codes(None, frame.data)
    if not found or found[-1].data != DONE:
        return len(found), refusals.BROKEN
    return None


def _streamed(text: str) -> Told:
    found = frames(text.encode())
    broken = failure(found)
    place, codes = broken if broken is not None else (len(found) - 1, frozenset[Code]())
    chunks = [frame.json for frame in found[:place]]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    choices = [(one, inner(one, "delta")) for chunk in chunks for one in chunk["choices"]]
    return _told(choices, usages[-1] if usages else None, codes)


def _told(
    choices: Sequence[tuple[dict[str, Any], dict[str, Any]]], usage: dict[str, Any] | None, codes: frozenset[Code]
) -> Told:
    gathered: dict[int, _Gathered] = {}
    for choice, said in choices:
        one = gathered.setdefault(choice.get("index", 0), _Gathered())
        _add(one, said)
        one.finish = choice.get("finish_reason") or one.finish
    if any(one.finish in _FAILED for one in gathered.values()):
        codes = codes or frozenset({Code.BACKEND_ERROR})
    return Told(
        choices={index: _choice(one, failed=bool(codes)) for index, one in gathered.items()},
        tokens=None if codes else tokens(usage),
        failed=codes,
    )


def _add(one: _Gathered, said: dict[str, Any]) -> None:
    one.reasoning += said.get("reasoning_content") or said.get("reasoning") or ""
    one.refusal += said.get("refusal") or ""
    for part in _parts(said.get("content")):
        one.text += part.get("text") or ""
        for thought in _parts(part.get("thinking")):
            one.reasoning += thought.get("text") or ""
    for place, piece in enumerate(said.get("tool_calls") or ()):
        tool = one.tools.setdefault(piece.get("index", place), _Tool())
        tool.id = tool.id or piece.get("id") or None
        tool.name += piece["function"].get("name") or ""
        tool.arguments += piece["function"].get("arguments") or ""


def _parts(content: object) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif is_list(content):
        yield from filter(is_object, content)


def _choice(one: _Gathered, *, failed: bool) -> Choice:
    tools = [Called(tool.id, tool.name, json.loads(tool.arguments or "{}")) for tool in one.tools.values()]
    finish = _FINISHES.get(one.finish or "", "stop")
    if tools and finish == "stop":
        # Some say `stop` beside tool calls; what a client has to do is to call the tools.
        finish = "tool_calls"
    return Choice(one.text, one.reasoning, one.refusal, tools, None if failed else finish)


def tokens(said: dict[str, Any] | None) -> Tokens | None:
    """The classes of a `usage` object.

    What the total has beyond prompt and completion has been made by the model, and is billed: reasoning that was left
    out of the completion (xAI and Gemini). Of embeddings some tell the total alone (Voyage).
    """
    if said is None:
        return None
    completion, total = said.get("completion_tokens") or 0, said.get("total_tokens") or 0
    prompt = total - completion if said.get("prompt_tokens") is None else said["prompt_tokens"]
    of_prompt, of_completion = inner(said, "prompt_tokens_details"), inner(said, "completion_tokens_details")
    cached = (of_prompt.get("cached_tokens"), said.get("cached_tokens"), said.get("num_cached_tokens"))
    return Tokens(
        input=prompt,
        output=max(completion, total - prompt),
        cached=next((count for count in (*cached, said.get("prompt_cache_hit_tokens")) if count), 0),
        written=of_prompt.get("cache_write_tokens") or 0,
        reasoning=of_completion.get("reasoning_tokens") or 0,
    )


def usage(recorded: Recorded) -> Tokens | None:
    """Those that an answer tells, the last ones of a stream."""
    if not streams(recorded):
        return tokens(decoded(recorded.response_body).get("usage"))
    said = [frame.json.get("usage") for frame in frames(recorded.response_body) if frame.data != DONE]
    return tokens(next((one for one in reversed(said) if one), None))


def vectors(recorded: Recorded) -> list[list[float]]:
    """The embeddings of an answer as numbers, in the order of their inputs."""
    data = sorted(decoded(recorded.response_body)["data"], key=lambda one: int(one["index"]))
    return [_numbers(one["embedding"]) for one in data]


def _numbers(embedding: Any) -> list[float]:
    if not isinstance(embedding, str):
        return list(map(float, embedding))
    raw = base64.b64decode(embedding)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream and for the usage at its end."""
    body = decoded(recorded.response_body)
    usage = body.pop("usage", None)
    head = {name: value for name, value in body.items() if name != "choices"} | {"object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = []
    for choice in body["choices"]:
        told: list[tuple[dict[str, Any], str | None]] = [(delta, None) for delta in _deltas(choice["message"])]
        chunks += [
            {**head, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": finish}]}
            for delta, finish in (*told, ({}, choice["finish_reason"]))
        ]
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    lines = [*(json.dumps(chunk, ensure_ascii=False) for chunk in chunks), DONE]
    return msgspec.structs.replace(
        recorded,
        request_json={**recorded.request_json, "stream": True, "stream_options": {"include_usage": True}},
        response_headers=(("content-type", "text/event-stream"),),
        response_body="".join(f"data: {line}\n\n" for line in lines).encode(),
    )


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": message.get("role", "assistant")}
    for name in ("reasoning", "reasoning_content", "content", "refusal"):
        said = message.get(name)
        if isinstance(said, str):
            yield from ({name: piece} for piece in cut(said))
        elif said:
            yield {name: said}
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        start = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{"index": place, "id": call.get("id"), "type": "function", "function": start}]}
        for piece in cut(function.get("arguments") or ""):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def cut(text: str) -> list[str]:
    """At most PIECES pieces of nearly equal length; none of an empty text."""
    size = -(-len(text) // PIECES)
    return [text[start : start + size] for start in range(0, len(text), size)] if size else []
