"""The same answers in OpenAI's protocols: chat completions, as many speak them, and responses.

Source: OpenAI's API reference; of DeepSeek and OpenRouter, how they tell a thought.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.harness import behaviours, responses
from tests.harness.behaviours import event
from tests.harness.tongue import SIGNATURE, Frames, Protocol, Said

# -- OpenAI's chat completions, and who follows them -----------------------------------------------------------------


def _finish(said: Said) -> str:
    return said.word("stop", "tool_calls", "length")


def tool_calls(said: Said) -> list[dict[str, Any]]:
    return [
        behaviours.tool_call(name, json.dumps(given, ensure_ascii=False), identifier=identifier)
        for identifier, name, given in said.calls
    ]


def _completion(thinks: Callable[[str], dict[str, Any]]) -> Callable[[Said], dict[str, Any]]:
    def whole(said: Said) -> dict[str, Any]:
        made = behaviours.completion(
            said.text or None, tokens=said.tokens, finish=_finish(said), tool_calls=tool_calls(said)
        )
        if said.thought:
            made["choices"][0]["message"] |= thinks(said.thought)
        return made

    return whole


def _chunks(thinks: Callable[[str], dict[str, Any]]) -> Frames:
    def frames(said: Said) -> Sequence[bytes]:
        chunk = behaviours.openai_chunk
        made = [chunk({"role": "assistant", "content": ""})]
        if said.thought:
            made.append(chunk({"content": None, **thinks(said.thought)}))
        made += [chunk({"content": text}) for text in said.texts]
        for slot, call in enumerate(tool_calls(said)):
            arguments: str = call["function"]["arguments"]
            begun = {**call, "index": slot, "function": {**call["function"], "arguments": ""}}
            made.append(chunk({"tool_calls": [begun]}))
            for piece in (arguments[:3], arguments[3:]):
                made.append(chunk({"tool_calls": [{"index": slot, "function": {"arguments": piece}}]}))
        made.append(chunk({}, finish=_finish(said)))
        made.append(chunk(None, usage=behaviours.openai_usage(*said.tokens)))
        return [*made, behaviours.OPENAI_DONE]

    return frames


def nothing(thought: str) -> dict[str, Any]:
    return {}


def reasoning_content(thought: str) -> dict[str, Any]:
    return {"reasoning_content": thought}


def details(thought: str) -> dict[str, Any]:
    detail = {"type": "reasoning.text", "text": thought, "signature": SIGNATURE, "format": "anthropic-claude-v1"}
    return {"reasoning": thought, "reasoning_details": [{**detail, "index": 0}]}


def chat(thinks: Callable[[str], dict[str, Any]] = nothing) -> Protocol:
    return Protocol(whole=_completion(thinks), frames=_chunks(thinks))


# -- OpenAI's Responses ----------------------------------------------------------------------------------------------


def _items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE})
    if said.texts:
        items.append(responses.message(said.text))
    for place, (identifier, name, given) in enumerate(said.calls):
        call = responses.function_call(name, json.dumps(given, ensure_ascii=False), call_id=identifier)
        items.append({**call, "id": f"fc_{place}"})
    return items


def _ended(said: Said) -> dict[str, Any]:
    if not said.cut:
        return {"usage": responses.usage(*said.tokens)}
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return {"usage": responses.usage(*said.tokens), **cut}


def _response(said: Said) -> dict[str, Any]:
    return responses.response(*_items(said), **_ended(said))


def _response_frames(said: Said) -> Sequence[bytes]:
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": responses.response(status="in_progress", usage=None)})
    ]
    for place, item in enumerate(_items(said)):
        at = {"output_index": place}
        inner = {**at, "item_id": item["id"]}
        match item["type"]:
            case "message":
                part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
                told.append(("response.output_item.added", {**at, "item": {**item, "content": []}}))
                told.append(("response.content_part.added", {**inner, "content_index": 0, "part": part}))
                told += [
                    ("response.output_text.delta", {**inner, "content_index": 0, "delta": text, "logprobs": []})
                    for text in said.texts
                ]
                told.append(("response.output_text.done", {**inner, "content_index": 0, "text": said.text}))
            case "function_call":
                told.append(("response.output_item.added", {**at, "item": {**item, "arguments": ""}}))
                told.append(("response.function_call_arguments.delta", {**inner, "delta": item["arguments"]}))
                told.append(("response.function_call_arguments.done", {**inner, "arguments": item["arguments"]}))
            case _:
                told.append(("response.output_item.added", {**at, "item": {**item, "summary": []}}))
                summed = {**inner, "summary_index": 0}
                told.append(("response.reasoning_summary_text.delta", {**summed, "delta": said.thought}))
                told.append(("response.reasoning_summary_text.done", {**summed, "text": said.thought}))
        told.append(("response.output_item.done", {**at, "item": item}))
    ends = "response.incomplete" if said.cut else "response.completed"
    told.append((ends, {"response": _response(said)}))
    return [event(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(told)]


RESPONSES: Final = Protocol(whole=_response, frames=_response_frames)
