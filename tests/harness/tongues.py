"""What one answer sounds like from each type of provider: the same words, thoughts and calls, in its own protocol.

Sources: the API references of the providers named.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from tests.harness import behaviours, eventstreams
from tests.harness.behaviours import compact, data, event
from tests.harness.provider import Headers
from tests.harness.tongue import KEY, SIGNATURE, Protocol, Said, Tongue
from tests.harness.tongues_openai import RESPONSES, chat, details, nothing, reasoning_content, tool_calls

_NDJSON: Final[Headers] = (("content-type", "application/x-ndjson"),)
_AMAZON: Final[Headers] = (("content-type", eventstreams.CONTENT_TYPE),)

# -- Anthropic -------------------------------------------------------------------------------------------------------


def _blocks(said: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": SIGNATURE})
    if said.texts:
        blocks.append({"type": "text", "text": said.text})
    return blocks + [behaviours.tool_use(name, given, identifier=identifier) for identifier, name, given in said.calls]


def _stop(said: Said) -> str:
    return said.word("end_turn", "tool_use", "max_tokens")


def _message(said: Said) -> dict[str, Any]:
    made = behaviours.anthropic_message(None, tokens=said.tokens, stop=_stop(said))
    return {**made, "content": _blocks(said)}


def _message_frames(said: Said) -> Sequence[bytes]:
    start = {**behaviours.anthropic_message(None, tokens=(said.tokens[0], 1)), "stop_reason": None}
    made = [event("message_start", message=start), event("ping")]
    for place, block in enumerate(_blocks(said)):
        begun: dict[str, Any]
        deltas: list[dict[str, Any]]
        match block["type"]:
            case "text":
                begun, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": text} for text in said.texts]
            case "thinking":
                begun = {**block, "thinking": "", "signature": ""}
                deltas = [
                    {"type": "thinking_delta", "thinking": said.thought},
                    {"type": "signature_delta", "signature": SIGNATURE},
                ]
            case _:
                whole = json.dumps(block["input"], ensure_ascii=False)
                begun = {**block, "input": {}}
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", whole[:3], whole[3:])]
        made.append(event("content_block_start", index=place, content_block=begun))
        made += [event("content_block_delta", index=place, delta=delta) for delta in deltas]
        made.append(event("content_block_stop", index=place))
    end = {"stop_reason": _stop(said), "stop_sequence": None}
    made.append(event("message_delta", delta=end, usage={"output_tokens": said.tokens[1]}))
    return [*made, event("message_stop")]


def _anthropic_failure(message: str) -> dict[str, Any]:
    return behaviours.anthropic_error("invalid_request_error", message)


# -- Google ----------------------------------------------------------------------------------------------------------


def _google_parts(said: Said) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": said.thought, "thought": True}] if said.thought else []
    parts += [{"text": text} for text in said.texts]
    for place, (identifier, name, given) in enumerate(said.calls):
        called: dict[str, Any] = {"functionCall": {"id": identifier, "name": name, "args": given}}
        parts.append(called if place else {**called, "thoughtSignature": SIGNATURE})
    return parts


def _candidate(parts: Sequence[Mapping[str, Any]], finish: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return made if finish is None else {**made, "finishReason": finish}


def _generated(said: Said) -> dict[str, Any]:
    tokens_in, tokens_out = said.tokens
    finish = said.word("STOP", "STOP", "MAX_TOKENS")
    return {
        "candidates": [_candidate(_google_parts(said), finish)],
        "usageMetadata": {
            "promptTokenCount": tokens_in,
            "candidatesTokenCount": tokens_out,
            "totalTokenCount": tokens_in + tokens_out,
        },
        "modelVersion": "upstream-model",
        "responseId": "r1",
    }


def _generated_frames(said: Said) -> Sequence[bytes]:
    parts = _google_parts(said)
    last = {**_generated(said), "candidates": [_candidate(parts[-1:], said.word("STOP", "STOP", "MAX_TOKENS"))]}
    return [*(data({"candidates": [_candidate([part], None)], "responseId": "r1"}) for part in parts[:-1]), data(last)]


def _google_failure(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


# -- Bedrock ---------------------------------------------------------------------------------------------------------


def _converse_usage(said: Said) -> dict[str, int]:
    tokens_in, tokens_out = said.tokens
    return {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out}


def _conversed(said: Said) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if said.thought:
        content.append({"reasoningContent": {"reasoningText": {"text": said.thought, "signature": SIGNATURE}}})
    if said.texts:
        content.append({"text": said.text})
    content += [
        {"toolUse": {"toolUseId": identifier, "name": name, "input": given}} for identifier, name, given in said.calls
    ]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop(said),
        "usage": _converse_usage(said),
        "metrics": {"latencyMs": 1},
    }


def _converse_frames(said: Said) -> Sequence[bytes]:
    told: list[tuple[str, Any]] = [("messageStart", {"role": "assistant"})]
    blocks: list[tuple[Any, list[Any]]] = []
    if said.thought:
        thoughts = [{"text": said.thought}, {"signature": SIGNATURE}]
        blocks.append((None, [{"reasoningContent": one} for one in thoughts]))
    if said.texts:
        blocks.append((None, [{"text": text} for text in said.texts]))
    for identifier, name, given in said.calls:
        whole = json.dumps(given, ensure_ascii=False)
        begun = {"toolUse": {"toolUseId": identifier, "name": name}}
        blocks.append((begun, [{"toolUse": {"input": piece}} for piece in (whole[:3], whole[3:])]))
    for place, (start, deltas) in enumerate(blocks):
        at = {"contentBlockIndex": place}
        if start is not None:
            told.append(("contentBlockStart", {**at, "start": start}))
        told += [("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
        told.append(("contentBlockStop", at))
    told.append(("messageStop", {"stopReason": _stop(said)}))
    told.append(("metadata", {"usage": _converse_usage(said), "metrics": {"latencyMs": 1}}))
    return [eventstreams.event(kind, compact(payload)) for kind, payload in told]


def _bare_failure(message: str) -> dict[str, Any]:
    return {"message": message}


# -- Cohere ----------------------------------------------------------------------------------------------------------


def _cohere_usage(said: Said) -> dict[str, Any]:
    tokens_in, tokens_out = said.tokens
    counted = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    return {"billed_units": counted, "tokens": counted}


def _cohere_reason(said: Said) -> str:
    return said.word("COMPLETE", "TOOL_CALL", "MAX_TOKENS")


def _cohere(said: Said) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "thinking", "thinking": said.thought}] if said.thought else []
    if said.texts:
        content.append({"type": "text", "text": said.text})
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if said.calls:
        message["tool_calls"] = tool_calls(said)
    return {"id": "c1", "finish_reason": _cohere_reason(said), "message": message, "usage": _cohere_usage(said)}


def _cohere_frames(said: Said) -> Sequence[bytes]:
    made = [event("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}})]
    contents = [("thinking", [said.thought])] if said.thought else []
    contents += [("text", list(said.texts))] if said.texts else []
    for place, (kind, pieces) in enumerate(contents):
        begun = {"message": {"content": {"type": kind, kind: ""}}}
        made.append(event("content-start", index=place, delta=begun))
        made += [event("content-delta", index=place, delta={"message": {"content": {kind: one}}}) for one in pieces]
        made.append(event("content-end", index=place))
    for place, call in enumerate(tool_calls(said)):
        arguments: str = call["function"]["arguments"]
        begun_call = {**call, "function": {**call["function"], "arguments": ""}}
        made.append(event("tool-call-start", index=place, delta={"message": {"tool_calls": begun_call}}))
        for piece in (arguments[:3], arguments[3:]):
            delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            made.append(event("tool-call-delta", index=place, delta=delta))
        made.append(event("tool-call-end", index=place))
    ended = {"finish_reason": _cohere_reason(said), "usage": _cohere_usage(said)}
    return [*made, event("message-end", id="c1", delta=ended)]


# -- Ollama ----------------------------------------------------------------------------------------------------------


def _ollama_piece(message: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    head = {"model": "upstream-model", "created_at": "2026-01-01T00:00:00Z", "done": False}
    return {**head, "message": {"role": "assistant", "content": "", **message}, **more}


def _ollama_calls(said: Said) -> dict[str, Any]:
    calls = [{"function": {"name": name, "arguments": given}} for _, name, given in said.calls]
    return {"tool_calls": calls} if calls else {}


def _ollama_end(said: Said) -> dict[str, Any]:
    reason = said.word("stop", "stop", "length")
    counted = {"prompt_eval_count": said.tokens[0], "eval_count": said.tokens[1]}
    return {"done": True, "done_reason": reason, "total_duration": 5, **counted}


def _ollama(said: Said) -> dict[str, Any]:
    thought = {"thinking": said.thought} if said.thought else {}
    return _ollama_piece({"content": said.text, **thought, **_ollama_calls(said)}, **_ollama_end(said))


def _ollama_frames(said: Said) -> Sequence[bytes]:
    pieces = [_ollama_piece({"thinking": said.thought})] if said.thought else []
    pieces += [_ollama_piece({"content": text}) for text in said.texts]
    pieces += [_ollama_piece(_ollama_calls(said))] if said.calls else []
    pieces.append(_ollama_piece({}, **_ollama_end(said)))
    return [compact(piece) + b"\n" for piece in pieces]


def _ollama_failure(message: str) -> dict[str, Any]:
    return {"error": message}


# -- all of them -----------------------------------------------------------------------------------------------------

_AWS: Final = {
    "options": {"region": "eu-central-1"},
    "credentials": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "not-to-be-seen"},
}


def _alone(protocol: Protocol) -> Mapping[str, Protocol]:
    return MappingProxyType({"": protocol})


def _openai(
    kind: str,
    thinks: Callable[[str], dict[str, Any]] = nothing,
    *,
    path: str = "/v1",
    settings: Mapping[str, Any] = KEY,
) -> Tongue:
    return Tongue(
        type=kind,
        model="upstream-model",
        protocols={"/responses": RESPONSES, "": chat(thinks)},
        failure=behaviours.openai_error,
        path=path,
        settings=settings,
        thinks=thinks is not nothing,
    )


def _google(settings: Mapping[str, Any] = KEY) -> Tongue:
    spoken = Protocol(whole=_generated, frames=_generated_frames)
    return Tongue(
        type="google",
        model="gemini-2.5-flash",
        protocols=_alone(spoken),
        failure=_google_failure,
        path="/v1beta",
        settings=settings,
    )


TONGUES: Final[Mapping[str, Tongue]] = {
    "openai": _openai("openai"),
    "openai_responses": _openai("openai", reasoning_content, settings={**KEY, "options": {"api": "responses"}}),
    "azure": _openai("azure", path=""),
    "deepseek": _openai("deepseek", reasoning_content),
    "mistral": _openai("mistral"),
    "openrouter": _openai("openrouter", details),
    "anthropic": Tongue(
        type="anthropic",
        model="claude-sonnet-4-5",
        path="/v1",
        protocols=_alone(Protocol(whole=_message, frames=_message_frames)),
        failure=_anthropic_failure,
    ),
    "google": _google(),
    "vertex": _google({**KEY, "options": {"project": "acme", "location": "europe-west4"}}),
    "bedrock": Tongue(
        type="bedrock",
        model="anthropic.claude-sonnet-4-5-20250929-v1:0",
        settings=_AWS,
        protocols=_alone(Protocol(whole=_conversed, frames=_converse_frames, headers=_AMAZON)),
        failure=_bare_failure,
    ),
    "cohere": Tongue(
        type="cohere",
        model="command-a",
        protocols=_alone(Protocol(whole=_cohere, frames=_cohere_frames)),
        failure=_bare_failure,
    ),
    "ollama": Tongue(
        type="ollama",
        model="llama3.2",
        protocols={
            "/completions": chat(),
            "/responses": RESPONSES,
            "": Protocol(whole=_ollama, frames=_ollama_frames, headers=_NDJSON),
        },
        failure=_ollama_failure,
    ),
}
"""By a name of the tests; the type is the provider's in the registry."""
