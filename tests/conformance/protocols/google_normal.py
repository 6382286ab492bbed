"""When two calls of Gemini ask the same: their normal form. Every difference that is overlooked is named."""

import base64
from typing import Any, Final

from tests.conformance.wire import is_list, is_object, said

UNSIGNED: Final = frozenset(
    {"skip_thought_signature_validator", base64.b64encode(b"skip_thought_signature_validator").decode()}
)
"""What stands for the signature of a call that no Gemini model has made; some write it in base64."""


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a call for content, for a count of it or for embeddings.

    Overlooked: null and an empty object for nothing said; `snake_case` of members, which the API takes as well; a count
    that names the whole call or only its contents; the order of tools; the role of the system instruction; texts
    without a character beside other parts; ids of calls, so long as results stand to the same calls; what stands for a
    signature of nobody; capital letters of a level; a schema's `const`, which is an `enum` of one value. Neighbouring
    contents of one role are one, which is how the API reads them.
    """
    made = _camels(body)
    if "generateContentRequest" in made:
        made = {name: value for name, value in _camels(made["generateContentRequest"]).items() if name != "model"}
    if "contents" not in made:
        return _embeddings(made)
    if "generationConfig" in made:
        made["generationConfig"] = _config(_camels(made["generationConfig"]))
    if "tools" in made:
        made["tools"] = sorted((_tool(_camels(tool)) for tool in made["tools"]), key=sorted)
    if "systemInstruction" in made:
        made["systemInstruction"] = made["systemInstruction"]["parts"]
    ids = _Ids()
    turns: list[dict[str, Any]] = []
    for content in made.pop("contents"):
        parts = [_part(_camels(part), ids) for part in content["parts"]]
        if turns and turns[-1]["role"] == content["role"]:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": content["role"], "parts": parts})
    for turn in turns:
        turn["parts"] = [part for part in turn["parts"] if part != {"text": ""}] or [{"text": ""}]
    return {**{name: value for name, value in made.items() if value not in ({}, [])}, "contents": turns}


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def _camels(members: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in said(members).items()}


class _Ids:
    """Calls by their number in the conversation, under whatever ids, and results by the number of their call."""

    def __init__(self) -> None:
        self._calls: list[tuple[str | None, str]] = []
        self._answered: set[int] = set()

    def call(self, call: dict[str, Any]) -> int:
        self._calls.append((call.get("id"), call["name"]))
        return len(self._calls) - 1

    def result(self, result: dict[str, Any]) -> int:
        wanted = (result.get("id"), result["name"])
        number = next(
            number for number, call in enumerate(self._calls) if call == wanted and number not in self._answered
        )
        self._answered.add(number)
        return number


def _part(part: dict[str, Any], ids: _Ids) -> dict[str, Any]:
    made = {name: _camels(value) if is_object(value) else value for name, value in part.items()}
    if "functionCall" in made:
        call = made["functionCall"]
        made["functionCall"] = {"args": {}, **call, "id": ids.call(call)}
        if made.get("thoughtSignature") in UNSIGNED:
            del made["thoughtSignature"]
    if "functionResponse" in made:
        made["functionResponse"] = {**made["functionResponse"], "id": ids.result(made["functionResponse"])}
    return made


def _config(config: dict[str, Any]) -> dict[str, Any]:
    if "thinkingConfig" in config:
        thinking = _camels(config["thinkingConfig"])
        if "thinkingLevel" in thinking:
            thinking["thinkingLevel"] = thinking["thinkingLevel"].lower()
        config["thinkingConfig"] = thinking
    if "responseJsonSchema" in config:
        config["responseJsonSchema"] = _schema(config["responseJsonSchema"])
    return config


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "functionDeclarations" not in tool:
        return tool
    declared = [_camels(one) for one in tool["functionDeclarations"]]
    for one in declared:
        if "parametersJsonSchema" in one:
            one["parametersJsonSchema"] = _schema(one["parametersJsonSchema"])
    return {"functionDeclarations": declared}


def _schema(value: Any) -> Any:
    if is_list(value):
        return [_schema(one) for one in value]
    if not is_object(value):
        return value
    made = {name: _schema(one) for name, one in value.items() if name != "const"}
    return {**made, "enum": [value["const"]]} if "const" in value and "properties" not in value else made


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "requests": [_camels(one) for one in body["requests"]]} if "requests" in body else body
