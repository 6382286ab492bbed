"""What a recorded answer of Anthropic's Messages API says, and the same answer as a stream where it was recorded whole.

What tools of the provider's own did stands in blocks that no client of another protocol knows; they say nothing here.
"""

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
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_GROWS: Final[Mapping[str, tuple[str, str]]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("json", "partial_json"),
}
"""Kind of a delta -> the member of its block that grows, and the delta's own that it grows by."""


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if "/count_tokens" in recorded.uri:
        return Told(counted=decoded(text)["input_tokens"])
    message, failed = _put_together(text) if streamed(recorded) else (decoded(text), frozenset[Code]())
    choice = _choice(message["content"])
    if not failed:
        choice.finish = _FINISHES.get(message["stop_reason"], "stop")
        choice.stop_sequence = message.get("stop_sequence")
    return Told(choices={0: choice}, tokens=None if failed else tokens(message["usage"]), failed=failed)


def _put_together(stream: str) -> tuple[dict[str, Any], frozenset[Code]]:
    """The message that a stream makes, and what its failure may become."""
    message: dict[str, Any] = {"content": []}
    blocks: dict[int, dict[str, Any]] = {}
    for event in (frame.json for frame in frames(stream.encode())):
        match event["type"]:
            case "message_start":
                message |= {"usage": event["message"]["usage"]}
            case "content_block_start":
                block = blocks[event["index"]] = dict(event["content_block"])
                message["content"].append(block)
            case "content_block_delta":
                if event["delta"]["type"] == "citations_delta":
                    block = blocks[event["index"]]
                    block["citations"] = [*(block.get("citations") or ()), event["delta"]["citation"]]
                elif event["delta"]["type"] in _GROWS:
                    member, by = _GROWS[event["delta"]["type"]]
                    block = blocks[event["index"]]
                    block[member] = (block.get(member) or "") + event["delta"][by]
            case "message_delta":
                message["stop_reason"] = event["delta"]["stop_reason"]
                message["stop_sequence"] = event["delta"].get("stop_sequence")
                said = {name: value for name, value in event["usage"].items() if value is not None}
                message["usage"] = {**message["usage"], **said}
            case "message_stop":
                return message, frozenset()
            case "error":
                return message, refusals.codes(STATUS_OF.get(event["error"]["type"]), json.dumps(event))
            case _:
                pass
    return message, refusals.BROKEN


STATUS_OF: Final[Mapping[str, int]] = {"invalid_request_error": 400, "rate_limit_error": 429, "timeout_error": 504}


def _choice(content: list[dict[str, Any]]) -> Choice:
    choice = Choice()
    for block in content:
        match block["type"]:
            case "text":
                start, end = len(choice.text), len(choice.text) + len(block["text"])
                choice.text += block["text"]
                choice.citations += [_cited(one, start, end) for one in block.get("citations") or ()]
            case "thinking":
                choice.reasoning += block["thinking"]
                choice.thoughts.append(Thought(block["thinking"], signature=block["signature"]))
            case "redacted_thinking":
                choice.thoughts.append(Thought(redacted=block["data"]))
            case "tool_use":
                given = json.loads(block["json"]) if block.get("json") else block["input"]
                choice.tools.append(Called(block["id"], block["name"], given))
            case _:
                pass
    return choice


def _cited(source: dict[str, Any], start: int, end: int) -> Cited:
    """A source of the whole text of a block."""
    return Cited(
        url=source.get("url"),
        title=source.get("title") or source.get("document_title"),
        quote=source.get("cited_text") or None,
        document=source.get("document_index"),
        file_id=source.get("file_id"),
        start=start,
        end=end,
    )


def tokens(usage: dict[str, Any]) -> Tokens:
    """The classes of a `usage` object, whose `input_tokens` are those that no cache has seen."""
    read, written = (usage.get(f"cache_{name}_input_tokens") or 0 for name in ("read", "creation"))
    return Tokens(
        input=usage["input_tokens"] + read + written,
        output=usage["output_tokens"],
        cached=read,
        written=written,
        reasoning=inner(usage, "output_tokens_details").get("thinking_tokens") or 0,
    )


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded) or "/count_tokens" in recorded.uri:
        raise NotRun("a stream already, or no answer")
    events = _events(decoded(recorded.response_body))
    text = "".join(f"event: {one['type']}\ndata: {json.dumps(one, ensure_ascii=False)}\n\n" for one in events)
    return msgspec.structs.replace(
        recorded,
        request_json={**recorded.request_json, "stream": True},
        response_headers=(("content-type", "text/event-stream; charset=utf-8"),),
        response_body=text.encode(),
    )


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage = {**message["usage"], "output_tokens": 1}
    start: dict[str, Any] = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        first, deltas = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": first}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": message.get("stop_sequence")}
    yield {"type": "message_delta", "delta": end, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins in a stream, and the deltas that complete it."""
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": one} for one in block.get("citations") or ()]
            said = [{"type": "text_delta", "text": piece} for piece in cut(block["text"])]
            return {**block, "text": ""}, [*cited, *said]
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": piece} for piece in cut(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thought, signed]
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            pieces = cut(json.dumps(block["input"]))
            given = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return {**block, "input": {}}, given
        case _:
            return block, []
