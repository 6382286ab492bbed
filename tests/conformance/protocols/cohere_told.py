"""What a recorded answer of Cohere's API says, and the same chat as a stream where it was recorded whole."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
from tests.conformance.wire import decoded, frames, inner
from tests.harness.recordings import Recorded

_FINISHES: Final[Mapping[str, str]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
_FAILURES: Final[Mapping[str, Code]] = {"ERROR": Code.BACKEND_ERROR, "TIMEOUT": Code.BACKEND_TIMEOUT}
_BLOCKED: Final = 498


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status == _BLOCKED and "blocked" in text:
        return Told(failed=frozenset({Code.CONTENT_REFUSED}))
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if streamed(recorded):
        return _streamed(text)
    body = decoded(text)
    if "embeddings" in body:
        return Told(vectors=body["embeddings"]["float"], tokens=_billed(body))
    if "results" in body:
        ranked = [(one["index"], one["relevance_score"]) for one in body["results"]]
        return Told(ranked=ranked, tokens=_billed(body))
    if not isinstance(body.get("message"), dict):
        return Told(failed=refusals.codes(None, text))
    failed = _failed(body["finish_reason"])
    return _whole(body["message"], body, failed)


def _whole(message: dict[str, Any], body: dict[str, Any], failed: frozenset[Code]) -> Told:
    choice = _choice(message)
    for item in body.get("logprobs") or ():
        choice.tokens.append((item["text"], sum(item["logprobs"])))
    if not failed:
        choice.finish = _FINISHES.get(body["finish_reason"], "stop")
    return Told(choices={0: choice}, tokens=None if failed else _tokens(body.get("usage")), failed=failed)


def _failed(reason: str | None) -> frozenset[Code]:
    code = _FAILURES.get(reason or "")
    return frozenset() if code is None else frozenset({code})


def _choice(message: dict[str, Any]) -> Choice:
    choice = Choice()
    for part in message.get("content") or ():
        choice.text += part.get("text") or ""
        choice.reasoning += part.get("thinking") or ""
    if plan := message.get("tool_plan"):
        if choice.reasoning:
            choice.thoughts.append(Thought(choice.reasoning, signature="thinking"))
        choice.thoughts.append(Thought(plan, signature="tool_plan"))
        choice.reasoning += plan
    for call in message.get("tool_calls") or ():
        function = call["function"]
        choice.tools.append(Called(call["id"], function["name"], json.loads(function["arguments"] or "{}")))
    for cited in message.get("citations") or ():
        if cited.get("type", "TEXT_CONTENT") == "TEXT_CONTENT":
            choice.citations += [_cited(source, cited) for source in cited["sources"]]
    return choice


def _cited(source: dict[str, Any], cited: dict[str, Any]) -> Cited:
    found = inner(source, "document") or inner(source, "tool_output")
    place = source["id"].removeprefix("doc:").split(":")[0] if source["type"] == "document" else ""
    return Cited(
        url=found.get("url"),
        title=found.get("title"),
        quote=found.get("snippet") or found.get("text") or found.get("content"),
        document=int(place) if place.isdigit() else None,
        start=cited["start"],
        end=cited["end"],
    )


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if usage is None:
        return None
    counted = usage.get("tokens") or usage["billed_units"]
    cached = usage.get("cached_tokens") or 0
    return Tokens(input=int(counted["input_tokens"]), output=int(counted["output_tokens"]), cached=int(cached))


def _billed(body: dict[str, Any]) -> Tokens:
    units = inner(inner(body, "meta"), "billed_units")
    return Tokens(input=int(units.get("input_tokens") or 0) + int(units.get("image_tokens") or 0), output=0)


# -- a stream --------------------------------------------------------------------------------------------------------


def _streamed(text: str) -> Told:
    gathered = _Gathered()
    for event in (frame.json for frame in frames(text.encode())):
        delta = inner(event, "delta")
        if "type" not in event:
            return _whole(gathered.message, {"finish_reason": None}, refusals.codes(None, json.dumps(event)))
        if event["type"] == "message-end":
            body = {**delta, "logprobs": gathered.log_probs}
            return _whole(gathered.message, body, _failed(delta["finish_reason"]))
        gathered.add(event, inner(delta, "message"))
    for call in gathered.message["tool_calls"]:
        # Of arguments that broke off nothing can be read.
        call["function"]["arguments"] = "{}"
    return _whole(gathered.message, {"finish_reason": None}, refusals.BROKEN)


class _Gathered:
    """The message that the events of a stream make."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        self.log_probs: list[dict[str, Any]] = []

    def add(self, event: dict[str, Any], said: dict[str, Any]) -> None:
        message = self.message
        match event["type"]:
            case "content-start":
                message["content"].append(dict(said["content"]))
            case "content-delta":
                part = message["content"][event["index"]]
                for name, piece in said["content"].items():
                    part[name] = part.get(name, "") + piece
                self.log_probs += [event["logprobs"]] if event.get("logprobs") else []
            case "tool-plan-delta":
                message["tool_plan"] += said["tool_plan"]
            case "tool-call-start":
                message["tool_calls"].append(json.loads(json.dumps(said["tool_calls"])))
            case "tool-call-delta":
                function = message["tool_calls"][event["index"]]["function"]
                function["arguments"] += said["tool_calls"]["function"]["arguments"]
            case "citation-start":
                message["citations"].append(said["citations"])
            case _:
                pass


def as_stream(recorded: Recorded) -> Recorded:
    """The same chat, had its client asked for a stream. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded):
        raise NotRun("a stream already, or no answer")
    body = decoded(recorded.response_body)
    if "message" not in body:
        raise NotRun("no chat")
    text = "".join(f"event: {one['type']}\ndata: {json.dumps(one, ensure_ascii=False)}\n\n" for one in _events(body))
    return msgspec.structs.replace(
        recorded,
        request_json={**recorded.request_json, "stream": True},
        response_headers=(("content-type", "text/event-stream"),),
        response_body=text.encode(),
    )


def _events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message: dict[str, Any] = body["message"]
    yield {"type": "message-start", "id": body["id"], "delta": {"message": {"role": "assistant", "content": []}}}
    parts: list[dict[str, Any]] = message.get("content") or []
    for index, part in enumerate(parts):
        yield from _part_events(index, part, body.get("logprobs") or [])
    for piece in cut(message.get("tool_plan") or ""):
        yield _event("tool-plan-delta", tool_plan=piece)
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    for index, call in enumerate(calls):
        named = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield _event("tool-call-start", index, tool_calls=named)
        for piece in cut(call["function"]["arguments"]):
            yield _event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})
        yield {"type": "tool-call-end", "index": index}
    for index, cited in enumerate(message.get("citations") or ()):
        yield _event("citation-start", index, citations=cited)
        yield {"type": "citation-end", "index": index}
    end = {"finish_reason": body["finish_reason"], "usage": body.get("usage")}
    yield {"type": "message-end", "id": body["id"], "delta": end}


def _part_events(index: int, part: dict[str, Any], log_probs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    name: str = part["type"]
    yield _event("content-start", index, content={"type": name, name: ""})
    if log_probs:
        # Where each token has its probability, each comes by itself.
        for one in log_probs:
            yield {**_event("content-delta", index, content={name: one["text"]}), "logprobs": one}
    else:
        yield from (_event("content-delta", index, content={name: piece}) for piece in cut(part[name]))
    yield {"type": "content-end", "index": index}


def _event(kind: str, index: int | None = None, **said: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": said}}
