"""What scripted providers say in OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.behaviours import event


def usage(tokens_in: int = 9, tokens_out: int = 3, *, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": tokens_in + tokens_out,
    }


def message(text: str, *, status: str = "completed", identifier: str = "msg_1") -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"id": identifier, "type": "message", "status": status, "role": "assistant", "content": content}


def function_call(name: str, arguments: str, *, call_id: str = "call_1") -> dict[str, Any]:
    return {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "name": name,
        "arguments": arguments,
        "call_id": call_id,
    }


def response(*output: Mapping[str, Any], identifier: str = "resp_own1", **more: Any) -> dict[str, Any]:
    """A response that is complete, with what every one of them has."""
    return {
        "id": identifier,
        "object": "response",
        "created_at": 1_750_000_000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "upstream-model",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage(),
        "metadata": {},
        **more,
    }


def frames(*texts: str, identifier: str = "resp_own1", **more: Any) -> list[bytes]:
    """Every event of a streamed response of one message, one delta for each text."""
    whole = "".join(texts)
    begun = response(identifier=identifier, status="in_progress", usage=None)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    said: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**message("", status="in_progress"), "content": []}},
        ),
        ("response.content_part.added", {**place, "part": part}),
        *(("response.output_text.delta", {**place, "delta": text, "logprobs": []}) for text in texts),
        ("response.output_text.done", {**place, "text": whole, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**part, "text": whole}}),
        ("response.output_item.done", {"output_index": 0, "item": message(whole)}),
        ("response.completed", {"response": response(message(whole), identifier=identifier, **more)}),
    ]
    return numbered(said)


def numbered(said: Sequence[tuple[str, Mapping[str, Any]]]) -> list[bytes]:
    return [event(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(said)]


def failed(code: str, text: str) -> list[bytes]:
    """A stream that begins and fails at once."""
    begun = response(status="in_progress", usage=None)
    broken = response(status="failed", usage=None, error={"code": code, "message": text})
    return numbered([("response.created", {"response": begun}), ("response.failed", {"response": broken})])
