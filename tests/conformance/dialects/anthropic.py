"""The Anthropic dialect, as its clients write and read it: messages, and their size."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from scaigrid import provider_state
from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.client import Asking, Client, Passing
from tests.conformance.dialects import anthropic_write, reading
from tests.conformance.dialects.anthropic_write import PREFIX
from tests.conformance.protocols.anthropic_told import STATUS_OF
from tests.conformance.told import Called, Choice, Cited, Reply, Thought, Tokens, Told
from tests.conformance.wire import Frame, decoded, frames, inner

_PATHS: Final = {"chat": "/anthropic/v1/messages", "count_tokens": "/anthropic/v1/messages/count_tokens"}
_FINISHES: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_BEGINNINGS: Final = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


def write(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Raises NotRun for what this dialect has no words for."""
    match operation:
        case "chat":
            return anthropic_write.message(asked)
        case "count_tokens":
            return anthropic_write.counted(asked)
        case _:
            raise NotRun(f"the Anthropic dialect has no {operation}")


@reading.soundly
def read(reply: Reply, asking: Asking) -> Told:
    if reply.status != 200:
        body = decoded(reply.body)
        assert body["type"] == "error", "an error that looks like a success"
        assert body["request_id"], "an error without its id"
        return reading.refused(reply, body["error"])
    if asking.stream:
        return _streamed(reply, asking)
    body = reading.plain(reply)
    if asking.operation == "count_tokens":
        assert body.keys() == {"input_tokens"}
        return Told(counted=body["input_tokens"])
    return Told(choices={0: _choice(_sound(body, asking))}, tokens=_tokens(body["usage"]))


def _streamed(reply: Reply, asking: Asking) -> Told:
    """Blocks one after the other, each begun, grown and ended; one end of the message, or one failure."""
    found = reading.stream(reply)
    for frame in found:
        assert frame.event == frame.json["type"], f"an event {frame.event} of type {frame.json['type']}"
    failed = frozenset(Code(frame.json["error"]["code"]) for frame in found if frame.event == "error")
    said = [frame.json for frame in found if frame.event != "ping"]
    assert [one["type"] for one in said].count("error") < 2, "more than one failure"
    assert said[0]["type"] == "message_start", "no message_start"
    message = said[0]["message"]
    assert message["content"] == []
    assert message["stop_reason"] is None
    blocks = _put_together(said[1 : -1 if failed else -2])
    message["content"] = blocks
    if failed:
        assert said[-1]["type"] == "error", "a failure that goes on"
        return Told(choices={0: _choice(message)} if blocks else {}, failed=failed)
    assert [one["type"] for one in said[-2:]] == ["message_delta", "message_stop"], "no end"
    message |= said[-2]["delta"]
    return Told(choices={0: _choice(_sound(message, asking))}, tokens=_tokens(said[-2]["usage"]))


def _put_together(said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    grown: dict[str, str] | None = None
    for one in said:
        match one["type"]:
            case "content_block_start":
                assert grown is None, "a block begins inside of another"
                assert one["index"] == len(blocks), "blocks out of order"
                block = one["content_block"]
                assert block == _BEGINNINGS.get(block["type"], block), "a block that does not begin empty"
                blocks.append(dict(block))
                grown = {"input": ""}
            case "content_block_delta":
                assert grown is not None, "a delta of no block"
                assert one["index"] == len(blocks) - 1, "a delta of another block"
                _grow(blocks[-1], one["delta"], grown)
            case "content_block_stop":
                assert grown is not None, "a block ends twice"
                assert one["index"] == len(blocks) - 1
                if blocks[-1]["type"] == "tool_use":
                    assert blocks[-1]["input"] == {}
                    blocks[-1]["input"] = json.loads(grown["input"] or "{}")
                grown = None
            case kind:
                raise AssertionError(f"a {kind} in the middle")
    return blocks if grown is None else [one for one in blocks if one["type"] != "tool_use"]


def _grow(block: dict[str, Any], delta: dict[str, Any], grown: dict[str, str]) -> None:
    match delta["type"], block["type"]:
        case "text_delta", "text":
            block["text"] += delta["text"]
        case "citations_delta", "text":
            block["citations"] = [*block.get("citations", ()), delta["citation"]]
        case "thinking_delta", "thinking":
            assert not block["signature"], "reasoning behind its signature"
            block["thinking"] += delta["thinking"]
        case "signature_delta", "thinking":
            block["signature"] += delta["signature"]
        case "input_json_delta", "tool_use":
            grown["input"] += delta["partial_json"]
        case kinds:
            raise AssertionError(f"a {kinds[0]} in a block of type {kinds[1]}")


def _sound(message: dict[str, Any], asking: Asking) -> dict[str, Any]:
    assert message["model"] == asking.slug, message["model"]
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["id"].startswith("msg_")
    return message


def _choice(message: dict[str, Any]) -> Choice:
    choice = Choice(finish=_FINISHES[message["stop_reason"]] if message.get("stop_reason") else None)
    choice.stop_sequence = message.get("stop_sequence")
    for block in message["content"]:
        match block["type"]:
            case "text":
                choice.text += block["text"]
                choice.citations += [_cited(one) for one in block.get("citations") or ()]
            case "thinking":
                choice.reasoning += block["thinking"]
                choice.thoughts += _thoughts(block)
            case "redacted_thinking":
                choice.thoughts.append(Thought(redacted=block["data"]))
            case "tool_use":
                choice.tools.append(Called(block["id"], block["name"], block["input"]))
            case kind:
                raise AssertionError(f"a block of type {kind}")
    return choice


def _thoughts(block: dict[str, Any]) -> list[Thought]:
    text, signature = block["thinking"], block["signature"]
    if not signature:
        return []
    if not signature.startswith(PREFIX):
        return [Thought(text, signature=signature)]
    parts = provider_state.decode(signature.removeprefix(PREFIX))
    return [
        Thought(
            text if part.signs == "reasoning" else "",
            part.signature,
            part.redacted,
            part.id,
            part.signs,
            part.call_id,
        )
        for part in parts
    ]


def _cited(source: dict[str, Any]) -> Cited:
    if source["type"] == "web_search_result_location":
        return Cited(url=source["url"], title=source["title"], quote=source["cited_text"] or None)
    return Cited(
        document=source["document_index"],
        title=source["document_title"],
        quote=source["cited_text"] or None,
        file_id=source.get("file_id"),
    )


def _tokens(usage: dict[str, Any]) -> Tokens:
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    kept = usage["cache_creation"]
    assert written == kept["ephemeral_5m_input_tokens"] + kept["ephemeral_1h_input_tokens"], "writes do not add up"
    return reading.sound(
        Tokens(
            input=usage["input_tokens"] + read + written,
            output=usage["output_tokens"],
            cached=read,
            written=written,
            reasoning=inner(usage, "output_tokens_details").get("thinking_tokens", 0),
        )
    )


# -- what it has words for -------------------------------------------------------------------------------------------


def tells(told: Told, streamed: bool) -> Told:
    """A refusal is a text with an end of its own; usage that is not known is none; sources say no place in the text."""
    choices = {index: _said(choice) for index, choice in told.choices.items()}
    is_chat = not (told.failed or told.vectors or told.ranked or told.counted is not None)
    tokens = Tokens(input=0, output=0) if is_chat and told.tokens is None else told.tokens
    return msgspec.structs.replace(told, choices=choices, tokens=tokens)


def _said(choice: Choice) -> Choice:
    refused = bool(choice.refusal) and choice.finish == "stop"
    stopped = choice.finish == "stop" and not refused
    return msgspec.structs.replace(
        choice,
        text=choice.text + choice.refusal,
        refusal="",
        finish="content_filter" if refused else choice.finish,
        citations=[_source(one) for one in choice.citations],
        stop_sequence=choice.stop_sequence if stopped else None,
        tokens=[],
    )


def _source(one: Cited) -> Cited:
    if one.url is not None or one.document is None:
        return Cited(url=one.url or "", title=one.title, quote=one.quote or None)
    return Cited(document=one.document, title=one.title, quote=one.quote or None, file_id=one.file_id)


def turn(asked: dict[str, Any], reply: Reply, streamed: bool) -> dict[str, Any]:
    if streamed:
        said = [frame.json for frame in frames(reply.body) if frame.event and frame.event.startswith("content_block")]
        content = _put_together(said)
    else:
        content = decoded(reply.body)["content"]
    calls = [block["id"] for block in content if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": "done"} for call in calls]
    goes_on = results or [{"type": "text", "text": "Go on."}]
    messages = [{"role": "assistant", "content": content}, {"role": "user", "content": goes_on}]
    return {**asked, "messages": [*asked["messages"], *messages]}


# -- passed through --------------------------------------------------------------------------------------------------


def renamed(said: dict[str, Any], slug: str) -> dict[str, Any]:
    if said.get("type") == "message_start":
        return {**said, "message": {**said["message"], "model": slug}}
    return {**said, "model": slug} if "model" in said else said


def same(said: dict[str, Any]) -> dict[str, Any]:
    return said


def ends(frame: Frame) -> bool:
    return frame.event == "message_stop"


def failure(found: Sequence[Frame]) -> tuple[int, frozenset[Code]] | None:
    for place, frame in enumerate(found):
        if frame.event == "error":
            return place, refusals.codes(STATUS_OF.get(frame.json["error"]["type"]), frame.data)
    return None if found and ends(found[-1]) else (len(found), refusals.BROKEN)


_PASSING: Final = Passing(renamed=renamed, same=same, ends=ends, failure=failure)

CLIENT: Final = Client(
    name="anthropic",
    title="Anthropic messages",
    surfaces={"anthropic/messages": _PATHS["chat"], "anthropic/count_tokens": _PATHS["count_tokens"]},
    operations=_PATHS,
    write=write,
    read=read,
    tells=tells,
    turn=turn,
    passing={"anthropic/messages": _PASSING, "anthropic/count_tokens": _PASSING},
)
