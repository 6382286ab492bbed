"""What a recorded answer of the Responses API says, and the same answer as a stream where it was recorded whole.

A stream tells each item whole when it is done, so it is read by those: what the deltas say has to come to the same.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
from tests.conformance.wire import decoded, frames, inner
from tests.harness.recordings import Recorded

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_FINISHES: Final = {"content_filter": "content_filter"}


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=refusals.codes(recorded.status, text))
    if not streamed(recorded):
        answer = decoded(text)
        return Told(counted=answer["input_tokens"]) if "input_tokens" in answer else _told(answer)
    items: dict[int, dict[str, Any]] = {}
    for frame in frames(recorded.response_body):
        if frame.json.get("type") == "response.output_item.done":
            items[frame.json["output_index"]] = frame.json["item"]
        if frame.event == "error" or frame.json.get("type") == "error":
            return Told(failed=_failed(frame.json))
        if frame.json.get("type") in _ENDS:
            return _told({**frame.json["response"], "output": [items[place] for place in sorted(items)]})
    return Told(failed=refusals.BROKEN)


def _failed(error: dict[str, Any]) -> frozenset[Code]:
    inside = error.get("error", error)
    if inside.get("code") == "rate_limit_exceeded":
        return frozenset({Code.BACKEND_RATE_LIMITED})
    return refusals.codes(None, json.dumps(error))


def _told(answer: dict[str, Any]) -> Told:
    if answer.get("error"):
        return Told(failed=_failed({"error": answer["error"]}))
    if answer["status"] not in ("completed", "incomplete"):
        return Told(failed=refusals.BROKEN)
    choice = Choice()
    for item in answer["output"]:
        _add(choice, item)
    choice.finish = "tool_calls" if choice.tools else "stop"
    if answer["status"] == "incomplete":
        choice.finish = _FINISHES.get(inner(answer, "incomplete_details").get("reason", ""), "length")
    return Told(choices={0: choice}, tokens=tokens(answer.get("usage")))


def _add(choice: Choice, item: dict[str, Any]) -> None:
    match item["type"]:
        case "reasoning":
            parts = item.get("summary") or item.get("content") or ()
            text = "\n\n".join(part["text"] for part in parts)
            choice.reasoning += text
            if item.get("encrypted_content"):
                choice.thoughts.append(Thought(text, signature=item["encrypted_content"], id=item.get("id")))
        case "message":
            for part in item["content"]:
                _say(choice, part)
        case "function_call":
            choice.tools.append(Called(item["call_id"], item["name"], json.loads(item["arguments"] or "{}")))
        case _:
            pass


def _say(choice: Choice, part: dict[str, Any]) -> None:
    before = len(choice.text)
    choice.text += part.get("text") or ""
    choice.refusal += part.get("refusal") or ""
    choice.tokens += [(token["token"], token["logprob"]) for token in part.get("logprobs") or ()]
    for note in part.get("annotations") or ():
        if note["type"] == "url_citation":
            start, end = before + note["start_index"], before + note["end_index"]
            choice.citations.append(Cited(url=note["url"], title=note.get("title"), start=start, end=end))


def tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Those of an answer; None where it has not said."""
    if usage is None:
        return None
    of_input, of_output = inner(usage, "input_tokens_details"), inner(usage, "output_tokens_details")
    return Tokens(
        input=usage["input_tokens"],
        output=usage["output_tokens"],
        cached=of_input.get("cached_tokens") or 0,
        written=of_input.get("cache_write_tokens") or 0,
        reasoning=of_output.get("reasoning_tokens") or 0,
    )


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream."""
    answer = decoded(recorded.response_body)
    if answer.get("status") not in ("completed", "incomplete"):
        raise NotRun("an answer that is not there yet")
    lines = [
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n" for event in _numbered(answer)
    ]
    return msgspec.structs.replace(
        recorded,
        request_json={**recorded.request_json, "stream": True},
        response_headers=(("content-type", "text/event-stream"),),
        response_body="".join(lines).encode(),
    )


def _numbered(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(_events(answer)):
        yield {**event, "sequence_number": number}


def _events(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun: dict[str, Any] = {**answer, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for place, item in enumerate(answer["output"]):
        at = {"output_index": place, "item_id": item.get("id")}
        yield {"type": "response.output_item.added", "output_index": place, "item": _empty(item)}
        for event in _pieces(item):
            yield {**event, **at}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    yield {"type": f"response.{answer['status']}", "response": answer}


_EMPTY: Final[dict[str, Any]] = {"content": [], "summary": [], "arguments": ""}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it begins."""
    return {name: _EMPTY.get(name, value) for name, value in item.items() if name != "encrypted_content"}


def _pieces(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match item["type"]:
        case "reasoning":
            for number, part in enumerate(item.get("summary") or ()):
                yield {"type": "response.reasoning_summary_part.added", "summary_index": number, "part": part}
                for piece in cut(part["text"]):
                    yield {"type": "response.reasoning_summary_text.delta", "summary_index": number, "delta": piece}
        case "message":
            for number, part in enumerate(item["content"]):
                yield from ({**event, "content_index": number} for event in _said(part))
        case "function_call":
            for piece in cut(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", "delta": piece}
        case _:
            pass


def _said(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if part["type"] == "refusal":
        yield from ({"type": "response.refusal.delta", "delta": piece} for piece in cut(part["refusal"]))
        return
    yield {"type": "response.content_part.added", "part": {"type": "output_text", "text": "", "annotations": []}}
    if part.get("logprobs"):
        for token in part["logprobs"]:
            yield {"type": "response.output_text.delta", "delta": token["token"], "logprobs": [token]}
    else:
        yield from ({"type": "response.output_text.delta", "delta": piece} for piece in cut(part["text"]))
    for place, note in enumerate(part.get("annotations") or ()):
        yield {"type": "response.output_text.annotation.added", "annotation_index": place, "annotation": note}
