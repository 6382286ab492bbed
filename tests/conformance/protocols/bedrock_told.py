"""What a recorded answer of Bedrock says, and the same answer as a stream where it was recorded whole.

What tools of the provider's own did stands in blocks that no client of another protocol knows; they say nothing here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.protocols import bedrock_embed
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
from tests.conformance.wire import decoded, inner, is_object
from tests.harness import eventstreams
from tests.harness.recordings import Recorded

_FINISHES: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_STATUS_OF: Final[Mapping[str, int]] = {
    "!validationException": 400,
    "!throttlingException": 429,
    "!modelTimeoutException": 504,
}
_MODEL: Final = re.compile(r"model identifier is invalid|on-demand throughput", re.IGNORECASE)


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    if recorded.status != 200:
        return Told(failed=_codes(recorded.status, recorded.response_body.decode()))
    try:
        whole = None if streamed(recorded) else decoded(recorded.response_body)
    except ValueError:
        return Told(failed=refusals.BROKEN)
    answer, failed = _put_together(recorded.response_body) if whole is None else (whole, frozenset[Code]())
    if recorded.uri.endswith("/count-tokens"):
        return Told(counted=answer["inputTokens"])
    if recorded.uri.endswith("/invoke"):
        return bedrock_embed.told(answer)
    choice = _choice(answer["output"]["message"]["content"])
    if failed:
        return Told(choices={0: choice}, failed=failed)
    choice.finish = _FINISHES.get(answer["stopReason"], "stop")
    fields = answer.get("additionalModelResponseFields")
    if is_object(fields) and answer["stopReason"] == "stop_sequence":
        choice.stop_sequence = fields.get("stop_sequence")
    return Told(choices={0: choice}, tokens=_tokens(answer["usage"]))


def _codes(status: int | None, text: str) -> frozenset[Code]:
    return frozenset({Code.BACKEND_ERROR}) if _MODEL.search(text) else refusals.codes(status, text)


def _put_together(stream: bytes) -> tuple[dict[str, Any], frozenset[Code]]:
    """The answer that a stream makes, and what its failure may become."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    failed = refusals.BROKEN
    for kind, said in eventstreams.read(stream):
        if kind.startswith("!"):
            failed = _codes(_STATUS_OF.get(kind, 500), json.dumps(said))
            break
        match kind:
            case "contentBlockStart":
                blocks[said["contentBlockIndex"]] = dict(said["start"])
            case "contentBlockDelta":
                _grow(blocks.setdefault(said["contentBlockIndex"], {}), said["delta"])
            case "messageStop":
                answer |= said
            case "metadata":
                answer |= said
                failed = frozenset[Code]()
            case _:
                pass
    content = [blocks[index] for index in sorted(blocks)]
    return {**answer, "output": {"message": {"content": content}}}, failed


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """A block as it would stand in a plain answer, by one delta more."""
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    if "toolUse" in delta:
        block["toolUse"] = {**block["toolUse"], "json": block["toolUse"].get("json", "") + delta["toolUse"]["input"]}
    if "citation" in delta:
        block.setdefault("citations", []).append(delta["citation"])
    thought = delta.get("reasoningContent", {})
    if "redactedContent" in thought:
        block["reasoningContent"] = thought
    elif thought:
        content = block.setdefault("reasoningContent", {"reasoningText": {}})["reasoningText"]
        for name, piece in thought.items():
            content[name] = content.get(name, "") + piece


def _choice(content: list[dict[str, Any]]) -> Choice:
    choice = Choice()
    for block in content:
        written = block.get("citationsContent", {})
        text = block.get("text") or "".join(piece["text"] for piece in written.get("content", ()))
        start = len(choice.text)
        choice.text += text
        sources = [*block.get("citations", ()), *written.get("citations", ())]
        choice.citations += [_cited(source, start, len(choice.text)) for source in sources]
        if "reasoningContent" in block:
            _think(choice, block["reasoningContent"])
        tool = block.get("toolUse", {})
        if tool and tool.get("type") != "server_tool_use":
            given = json.loads(tool["json"]) if tool.get("json") else tool.get("input", {})
            choice.tools.append(Called(tool["toolUseId"], tool["name"], given))
    return choice


def _think(choice: Choice, content: dict[str, Any]) -> None:
    if "redactedContent" in content:
        choice.thoughts.append(Thought(redacted=content["redactedContent"]))
        return
    text = content["reasoningText"]
    choice.reasoning += text.get("text", "")
    if "signature" in text:
        choice.thoughts.append(Thought(text.get("text", ""), signature=text["signature"]))


def _cited(source: dict[str, Any], start: int, end: int) -> Cited:
    """A source of the whole text of a block."""
    places: dict[str, Any] = source.get("location", {})
    return Cited(
        url=inner(places, "web").get("url"),
        title=source.get("title"),
        quote="".join(piece["text"] for piece in source.get("sourceContent", ())) or None,
        document=next((place["documentIndex"] for place in places.values() if "documentIndex" in place), None),
        start=start,
        end=end,
    )


def _tokens(usage: dict[str, Any]) -> Tokens:
    """The classes of a `usage` object, whose `inputTokens` are those that no cache has seen."""
    read, written = (usage.get(f"cache{name}InputTokens", 0) for name in ("Read", "Write"))
    return Tokens(
        input=usage["inputTokens"] + read + written, output=usage["outputTokens"], cached=read, written=written
    )


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded) or not recorded.uri.endswith("/converse"):
        raise NotRun("a stream already, or no answer")
    events = _events(decoded(recorded.response_body))
    return msgspec.structs.replace(
        recorded,
        uri=f"{recorded.uri}-stream",
        response_headers=(("content-type", eventstreams.CONTENT_TYPE),),
        response_body=eventstreams.framed(eventstreams.described(events)),
    )


def _events(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(answer["output"]["message"]["content"]):
        start, deltas = _opened(block)
        if start is not None:
            yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
        for delta in deltas:
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        yield "contentBlockStop", {"contentBlockIndex": index}
    last = {"stopReason": answer["stopReason"]}
    if "additionalModelResponseFields" in answer:
        last["additionalModelResponseFields"] = answer["additionalModelResponseFields"]
    yield "messageStop", last
    yield "metadata", {"usage": answer["usage"], "metrics": answer.get("metrics", {})}


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """How a block begins in a stream, if it says so, and the deltas that complete it."""
    ((kind, held),) = block.items()
    match kind:
        case "text":
            return None, [{"text": piece} for piece in cut(held)]
        case "citationsContent":
            written = "".join(piece["text"] for piece in held["content"])
            cited = [{"citation": source} for source in held["citations"]]
            return None, [*({"text": piece} for piece in cut(written)), *cited]
        case "reasoningContent" if "redactedContent" in held:
            return None, [{"reasoningContent": held}]
        case "reasoningContent":
            text = held["reasoningText"]
            signed = [{"reasoningContent": {"signature": text["signature"]}}] if "signature" in text else []
            return None, [*({"reasoningContent": {"text": piece}} for piece in cut(text["text"])), *signed]
        case "toolUse":
            start = {"toolUse": {name: value for name, value in held.items() if name != "input"}}
            return start, [{"toolUse": {"input": piece}} for piece in cut(json.dumps(held["input"]))]
        case _:
            return {kind: {}}, [{kind: [held]}]
