"""What a recorded chat completion says, and the same answer as a stream where it was recorded whole."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
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


class _Tool(msgspec.Struct):
    id: str | None = None
    name: str = ""
    arguments: str = ""


class _Gathered(msgspec.Struct):
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: dict[int, _Tool] = {}
    thoughts: list[Thought] = []
    thinking: str = ""
    """Reasoning that nothing has closed yet."""
    details: list[dict[str, Any]] = []
    citations: list[Cited] = []
    tokens: list[tuple[str, float]] = []
    finish: str | None = None


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if streamed(recorded):
        return _streamed(text)
    if codes := fails(recorded):
        return Told(failed=codes)
    body = decoded(text)
    return _told([(one, one["message"]) for one in body["choices"]], body.get("usage"), frozenset())


def fails(recorded: Recorded) -> frozenset[Code]:
    """What the failure of an exchange may become; empty where it succeeds."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return refusals.codes(recorded.status, text)
    if streamed(recorded):
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
        one.tokens += [(token["token"], token["logprob"]) for token in inner(choice, "logprobs").get("content") or ()]
        one.finish = choice.get("finish_reason") or one.finish
    if any(one.finish in _FAILED for one in gathered.values()):
        codes = codes or frozenset({Code.BACKEND_ERROR})
    return Told(
        choices={index: _choice(one, failed=bool(codes)) for index, one in gathered.items()},
        tokens=None if codes else tokens(usage),
        failed=codes,
    )


def _add(one: _Gathered, said: dict[str, Any]) -> None:
    thought = said.get("reasoning_content") or said.get("reasoning") or ""
    one.reasoning += thought
    one.thinking += thought
    one.refusal += said.get("refusal") or ""
    for piece in said.get("reasoning_details") or ():
        _detail(one, piece)
    if said.get("content") or said.get("tool_calls"):
        _closed(one)
    for part in _parts(said.get("content")):
        one.text += part.get("text") or ""
        for piece in _parts(part.get("thinking")):
            one.reasoning += piece.get("text") or ""
    for note in said.get("annotations") or ():
        if note.get("type") == "url_citation":
            one.citations.append(_cited(note["url_citation"]))
    for place, piece in enumerate(said.get("tool_calls") or ()):
        tool = one.tools.setdefault(piece.get("index", place), _Tool())
        tool.id = tool.id or piece.get("id") or None
        tool.name += piece["function"].get("name") or ""
        tool.arguments += piece["function"].get("arguments") or ""
        if signature := _signature(piece):
            one.thoughts.append(Thought(signature=signature, signs="call", call_id=tool.id))
    if signature := _signature(said):
        one.thoughts.append(Thought(signature=signature, signs="text"))


def _detail(one: _Gathered, piece: dict[str, Any]) -> None:
    """OpenRouter's `reasoning_details`: in a stream, pieces of one type and index belong together."""
    last = one.details[-1] if one.details else {}
    if "index" not in piece or any(last.get(name) != piece.get(name) for name in ("type", "index")):
        one.details.append(dict(piece))
        return
    for name, value in piece.items():
        if name in _GROWS and isinstance(last.get(name), str) and value is not None:
            last[name] += value
        elif value is not None:
            last[name] = value


_GROWS: Final = ("text", "summary", "data")


def _closed(one: _Gathered) -> None:
    """The reasoning so far is over; it has to come back where a detail of it is signed or encrypted."""
    if any(detail.get(name) for detail in one.details for name in ("signature", "data")):
        kept = json.dumps(one.details, ensure_ascii=False, separators=(",", ":"))
        one.thoughts.append(Thought(one.thinking, redacted=kept))
        one.thinking = ""
    one.details = []


def _signature(said: dict[str, Any]) -> str | None:
    """Gemini's, where it speaks this protocol."""
    found: str | None = inner(inner(said, "extra_content"), "google").get("thought_signature")
    return found


def _cited(source: dict[str, Any]) -> Cited:
    return Cited(
        url=source["url"],
        title=source.get("title") or None,
        start=source.get("start_index"),
        end=source.get("end_index"),
    )


def _parts(content: object) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif is_list(content):
        yield from filter(is_object, content)


def _choice(one: _Gathered, *, failed: bool) -> Choice:
    _closed(one)
    tools = [Called(tool.id, tool.name, json.loads(tool.arguments or "{}")) for tool in one.tools.values()]
    finish = _FINISHES.get(one.finish or "", "stop")
    if tools and finish == "stop":
        # Some say `stop` beside tool calls; what a client has to do is to call the tools.
        finish = "tool_calls"
    return Choice(
        one.text,
        one.reasoning,
        one.refusal,
        tools,
        None if failed else finish,
        one.thoughts,
        citations=one.citations,
        tokens=one.tokens,
    )


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
    if not streamed(recorded):
        return tokens(decoded(recorded.response_body).get("usage"))
    said = [frame.json.get("usage") for frame in frames(recorded.response_body) if frame.data != DONE]
    return tokens(next((one for one in reversed(said) if one), None))


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream and for the usage at its end. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded) or fails(recorded):
        raise NotRun("a stream already, or no answer")
    body = decoded(recorded.response_body)
    usage = body.pop("usage", None)
    head = {name: value for name, value in body.items() if name != "choices"} | {"object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = []
    for choice in body["choices"]:
        told: list[tuple[dict[str, Any], str | None]] = [(delta, None) for delta in _deltas(choice["message"])]
        if choice.get("logprobs"):
            told.append(({"content": ""}, None))
        chunks += [
            {**head, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": finish}]}
            for delta, finish in (*told, ({}, choice["finish_reason"]))
        ]
        if choice.get("logprobs"):
            chunks[-2]["choices"][0]["logprobs"] = choice["logprobs"]
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
    for name in ("reasoning", "reasoning_content", "reasoning_details", "content", "refusal", "extra_content"):
        said = message.get(name)
        if isinstance(said, str):
            yield from ({name: piece} for piece in cut(said))
        elif said:
            yield {name: said}
    if message.get("annotations"):
        yield {"annotations": message["annotations"]}
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        start = {"name": function["name"], "arguments": ""}
        extra = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
        yield {"tool_calls": [{"index": place, "id": call.get("id"), "type": "function", "function": start, **extra}]}
        for piece in cut(function.get("arguments") or ""):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
