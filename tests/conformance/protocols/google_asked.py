"""Recorded calls of Gemini, asked in the native dialect."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.protocols.google_normal import UNSIGNED, camel
from tests.conformance.wire import said

PROVIDER: Final = "google"
_SCHEMA_NAME: Final = "answer"
"""Gemini's schemas have no name, those of the native dialect have to have one."""
_CONFIG: Final[Mapping[str, str]] = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "candidateCount": "n",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
_MODES: Final[Mapping[str, str]] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
_PURPOSES: Final[Mapping[str, str]] = {
    "RETRIEVAL_DOCUMENT": "search_document",
    "RETRIEVAL_QUERY": "search_query",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}


def chat(request: dict[str, Any], model: str) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`. Raises NotRun."""
    given = _camels(request)
    if "generateContentRequest" in given:
        given = _camels(given["generateContentRequest"])
        given.pop("model", None)
    asked: dict[str, Any] = {}
    config = _camels(given.pop("generationConfig", {}))
    _settings(config, asked, model)
    functions, others = _tools(given.pop("tools", []))
    if functions:
        asked["tools"] = functions
    chosen = _camels(given.pop("toolConfig", {}))
    if functions:
        _tool_choice(chosen, asked)
    begin = _system(given.pop("systemInstruction", None))
    asked["messages"] = [*begin, *(one for content in given.pop("contents") for one in _turn(_camels(content)))]
    options = {**given, "generationConfig": config, "tools": others, "toolConfig": chosen}
    if options := {name: value for name, value in options.items() if value}:
        asked["provider_options"] = {PROVIDER: options}
    return asked


def embed(request: dict[str, Any]) -> dict[str, Any]:
    """The native call for embeddings. Raises NotRun."""
    if "instances" in request:
        raise NotRun("a prediction, whose instances are read by the project's own tests alone")
    requests = [_camels(one) for one in request.get("requests", [request])]
    heads = [{name: value for name, value in one.items() if name not in ("model", "content")} for one in requests]
    if any(head != heads[0] for head in heads):
        raise NotRun("texts that are asked for in different ways")
    asked: dict[str, Any] = {"input": [_only_text(one["content"]) for one in requests]}
    head = heads[0]
    if "outputDimensionality" in head:
        asked["dimensions"] = head.pop("outputDimensionality")
    if head.get("taskType") in _PURPOSES:
        asked["purpose"] = _PURPOSES[head.pop("taskType")]
    if head:
        asked["provider_options"] = {PROVIDER: head}
    return asked


def _only_text(content: dict[str, Any]) -> str:
    (part,) = content["parts"]
    text: str = part["text"]
    return text


def _camels(members: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in said(members).items()}


# -- settings and tools ----------------------------------------------------------------------------------------------


def _settings(config: dict[str, Any], asked: dict[str, Any], model: str) -> None:
    """Takes what has a native word out of `config`."""
    for name, word in _CONFIG.items():
        if name in config:
            asked[word] = config.pop(name)
    if config.get("responseMimeType") == "application/json" and "responseSchema" not in config:
        del config["responseMimeType"]
        schema = config.pop("responseJsonSchema", None)
        asked["response_format"] = (
            {"type": "json_object"}
            if schema is None
            else {"type": "json_schema", "json_schema": {"name": _SCHEMA_NAME, "schema": schema}}
        )
    thinking = _camels(config.get("thinkingConfig", {}))
    reasoning = _reasoning(thinking, model)
    if reasoning:
        del config["thinkingConfig"]
        asked["reasoning"] = reasoning


def _reasoning(thinking: dict[str, Any], model: str) -> dict[str, Any] | None:
    """Thinking in the native word, if that can say it."""
    if thinking.get("thinkingBudget", 0) > 0 and thinking.keys() == {"includeThoughts", "thinkingBudget"}:
        return {"budget_tokens": thinking["thinkingBudget"]} if thinking["includeThoughts"] else None
    if thinking == {"thinkingBudget": 0} and "2.5-flash" in model:
        return {"effort": "none"}
    if thinking.keys() == {"includeThoughts", "thinkingLevel"} and thinking["includeThoughts"]:
        return {"effort": thinking["thinkingLevel"].lower()}
    return None


def _tools(tools: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Functions with schemas of JSON Schema, and all other tools."""
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in map(_camels, tools):
        declared = [_camels(one) for one in tool.get("functionDeclarations", ())]
        if declared and all(one.keys() <= {"name", "description", "parametersJsonSchema"} for one in declared):
            functions += [_function(one) for one in declared]
        else:
            others.append(tool)
    return functions, others


def _function(declared: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = {name: declared[name] for name in ("name", "description") if name in declared}
    if "parametersJsonSchema" in declared:
        function["parameters"] = declared["parametersJsonSchema"]
    return {"type": "function", "function": function}


def _tool_choice(config: dict[str, Any], asked: dict[str, Any]) -> None:
    """Takes a choice that has a native word out of `config`."""
    choice = _camels(config.get("functionCallingConfig", {}))
    match choice:
        case {"mode": mode, **rest} if mode in _MODES and not rest:
            asked["tool_choice"] = _MODES[mode]
        case {"mode": "ANY", "allowedFunctionNames": [name], **rest} if not rest:
            asked["tool_choice"] = {"type": "function", "function": {"name": name}}
        case _:
            return
    del config["functionCallingConfig"]


# -- messages --------------------------------------------------------------------------------------------------------


def _system(instruction: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [] if instruction is None else [{"role": "system", "content": [_part(one) for one in instruction["parts"]]}]


def _turn(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    parts = [_camels(part) for part in content["parts"]]
    if content["role"] == "model":
        yield _assistant(parts)
    else:
        yield from _user(parts)


def _user(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A message for each function's result, which have to come first, and one for the rest."""
    results = [part for part in parts if "functionResponse" in part]
    rest = [part for part in parts if "functionResponse" not in part]
    if [*results, *rest] != parts:
        raise NotRun("a function's result behind other parts")
    for part in results:
        yield _result(_camels(part["functionResponse"]))
    if rest:
        yield {"role": "user", "content": [_part(part) for part in rest]}


def _result(result: dict[str, Any]) -> dict[str, Any]:
    if not result.keys() <= {"id", "name", "response"}:
        raise NotRun("a result with parts of its own: only this provider can say it")
    message = {"role": "tool", "tool_call_id": result.get("id") or result["name"]}
    match result["response"]:
        case {"error": str() as text, **rest} if not rest:
            return {**message, "content": text, "error": True}
        case {"result": str() as text, **rest} if not rest:
            return {**message, "content": text}
        case value:
            return {**message, "content": json.dumps(value)}


def _assistant(parts: list[dict[str, Any]]) -> dict[str, Any]:
    ranks = [_rank(part) for part in parts]
    if ranks != sorted(ranks):
        raise NotRun("an earlier answer that goes on after its tool calls, or thinks after its text")
    texts = [part for part in parts if _rank(part) == _TEXT]
    if any("thoughtSignature" in part for part in texts[:-1]):
        raise NotRun("a signature of one text among several")
    calls = [part for part in parts if _rank(part) == _CALL]
    message: dict[str, Any] = {"role": "assistant", "content": [_part(part) for part in texts]}
    if state := provider_state.encode([kept for part in parts if (kept := _kept(part)) is not None]):
        message["provider_state"] = state
    if calls:
        message["tool_calls"] = [_call(part["functionCall"]) for part in calls]
    return message


_THOUGHT, _TEXT, _CALL = range(3)


def _rank(part: dict[str, Any]) -> int:
    if "functionCall" in part:
        return _CALL
    return _TEXT if "text" in part and not part.get("thought") else _THOUGHT


def _kept(part: dict[str, Any]) -> ReasoningPart | None:
    """What a provider wants back of a part beside what all providers understand of it."""
    signature = part.get("thoughtSignature")
    if "text" in part and part.get("thought"):
        if signature is None:
            raise NotRun("a thought that nobody signed: whose it is cannot be said")
        return ReasoningPart(text=part["text"], signature=signature, provider=PROVIDER)
    if _rank(part) == _THOUGHT:
        return ReasoningPart(redacted=json.dumps(part), provider=PROVIDER)
    if signature is None or signature in UNSIGNED:
        return None
    if "text" in part:
        return ReasoningPart(signature=signature, signs="text", provider=PROVIDER)
    call = part["functionCall"]
    return ReasoningPart(signature=signature, signs="call", call_id=call.get("id") or call["name"], provider=PROVIDER)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    """A call without an id is known by its name."""
    function = {"name": call["name"], "arguments": json.dumps(call.get("args", {}))}
    return {"id": call.get("id") or call["name"], "type": "function", "function": function}


def _part(given: dict[str, Any]) -> dict[str, Any]:
    part = {name: value for name, value in _camels(given).items() if name != "thoughtSignature"}
    match part:
        case {"text": text, **rest} if not rest:
            return {"type": "text", "text": text}
        case {"inlineData": data, **rest} if not rest:
            return _data(_camels(data))
        case {"fileData": data, **rest} if not rest:
            return _file(_camels(data))
        case _:
            raise NotRun(f"a part with {', '.join(sorted(part))}: only this provider can say it")


def _data(data: dict[str, Any]) -> dict[str, Any]:
    kind, _, form = data["mimeType"].partition("/")
    if kind == "audio":
        return {"type": "audio", "data": data["data"], "format": form}
    return {
        "type": "image" if kind == "image" else "file",
        "data": data["data"],
        "media_type": data["mimeType"],
    }


def _file(data: dict[str, Any]) -> dict[str, Any]:
    uri, kind = data["fileUri"], data.get("mimeType")
    typed = {"media_type": kind} if kind else {}
    if not uri.startswith(("http://", "https://")):
        return {"type": "file", "file_id": uri, **typed}
    return {"type": "image" if kind and kind.startswith("image/") else "file", "url": uri, **typed}
