"""Recorded calls of Cohere's API, asked in the native dialect."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.wire import said

PROVIDER: Final = "cohere"
_SAME: Final[Mapping[str, str]] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "p": "top_p",
    "k": "top_k",
    "seed": "seed",
    "stop_sequences": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "stream": "stream",
}
"""Cohere's word -> the native one for the same value."""
_ELSEWHERE: Final = frozenset({"model", "messages", "tools", "strict_tools"})
_SCHEMA_NAME: Final = "answer"
"""Cohere's schemas have no name, the native ones have to have one."""
_PURPOSES: Final = frozenset({"search_document", "search_query", "classification", "clustering"})


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`. Raises NotRun."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in said(request).items():
        if name in _SAME:
            asked[_SAME[name]] = value
        elif name in _OWN:
            asked |= _OWN[name](value)
        elif name not in _ELSEWHERE:
            options[name] = value
    if options:
        asked["provider_options"] = {PROVIDER: options}
    strict = {"strict": True} if request.get("strict_tools") else {}
    if tools := request.get("tools"):
        asked["tools"] = [{"type": "function", "function": {**said(tool["function"]), **strict}} for tool in tools]
    asked["messages"] = [_message(message) for message in request["messages"]]
    return asked


def _thinking(value: dict[str, Any]) -> dict[str, Any]:
    if value["type"] == "disabled":
        return {"reasoning": {"effort": "none"}}
    budget = value.get("token_budget")
    return {"reasoning": {"effort": "max"} if budget is None else {"budget_tokens": budget}}


def _format(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("json_schema") is None:
        return {"response_format": {"type": value["type"]}}
    schema = {"name": _SCHEMA_NAME, "schema": value["json_schema"]}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


_OWN: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    "thinking": _thinking,
    "response_format": _format,
    "tool_choice": lambda value: {"tool_choice": value.lower()},
}


# -- messages --------------------------------------------------------------------------------------------------------


def _message(message: dict[str, Any]) -> dict[str, Any]:
    role: str = message["role"]
    content: Any = message.get("content")
    if role != "assistant":
        named = {"tool_call_id": message["tool_call_id"]} if role == "tool" else {}
        return {"role": role, "content": _content(content), **named}
    if message.get("citations"):
        raise NotRun("citations of an earlier answer: only this provider can say them")
    put: dict[str, Any] = {"role": role}
    parts: list[dict[str, Any]] = [] if isinstance(content, str) else content or []
    thoughts = [ReasoningPart(text=part["thinking"], provider=PROVIDER) for part in parts if part["type"] == "thinking"]
    if plan := message.get("tool_plan"):
        signed = ReasoningPart(text=plan, signature="tool_plan", provider=PROVIDER)
        put["provider_state"] = provider_state.encode([*thoughts, signed])
    elif len(thoughts) > 1:
        raise NotRun("several thoughts of an earlier answer: the native dialect has one text for them")
    elif thoughts:
        put["reasoning"] = thoughts[0].text
    if content is not None:
        told: Any = content if isinstance(content, str) else [part for part in parts if part["type"] != "thinking"]
        if told:
            put["content"] = _content(told)
    if calls := message.get("tool_calls"):
        put["tool_calls"] = calls
    return put


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            detail = {"detail": image["detail"]} if image.get("detail") else {}
            head, comma, data = image["url"].partition(";base64,")
            if comma:
                return {"type": "image", "data": data, "media_type": head.removeprefix("data:"), **detail}
            return {"type": "image", "url": image["url"], **detail}
        case "document" if part["document"].keys() == {"data"}:
            return {"type": "json", "value": part["document"]["data"]}
        case kind:
            raise NotRun(f"a part of type {kind}: only this provider can say it")


# -- embeddings and rerankings ---------------------------------------------------------------------------------------


def embed(request: dict[str, Any]) -> dict[str, Any]:
    """Raises NotRun for what is no embedding of texts as numbers."""
    rest = said(request)
    if rest.pop("embedding_types", None) != ["float"]:
        raise NotRun("the native dialect asks for vectors of floats")
    purpose = rest.pop("input_type")
    if purpose not in _PURPOSES or "texts" not in rest:
        raise NotRun("the native dialect embeds texts")
    asked = {"input": rest.pop("texts"), "purpose": purpose}
    if "output_dimension" in rest:
        asked["dimensions"] = rest.pop("output_dimension")
    return asked | _options(rest)


def rerank(request: dict[str, Any]) -> dict[str, Any]:
    rest = said(request)
    asked = {name: rest.pop(name) for name in ("query", "documents", "top_n") if name in rest}
    return asked | _options(rest)


def _options(rest: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in rest.items() if name != "model"}
    return {"provider_options": {PROVIDER: options}} if options else {}


ASKED: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "chat": chat,
    "embed": embed,
    "rerank": rerank,
}
