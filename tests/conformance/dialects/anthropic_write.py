"""A call in native words, written as a message of the Anthropic dialect."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.client import BOUND
from tests.conformance.dialects.openai_write import SILENT

PREFIX: Final = "scaigrid."
"""What stands ahead of another provider's state in the place of a signature."""
_SAME: Final = frozenset({"provider_options", "stream", "temperature", "top_k", "top_p"})
_ELSEWHERE: Final = frozenset({"max_tokens", "messages", "parallel_tool_calls", "reasoning", "tool_choice", "tools"})
_MADE_UP: Final = ("answer", "response")
"""Names of schemas that nobody gave: where a schema has to have one, and the call that was recorded has none."""
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


def message(asked: dict[str, Any]) -> dict[str, Any]:
    """A message, its turns last. Raises NotRun."""
    said = counted(asked)
    turns = said.pop("messages")
    return {"max_tokens": asked.get("max_tokens", BOUND), **said, "messages": turns}


def counted(asked: dict[str, Any]) -> dict[str, Any]:
    """A message without an output bound, as its size is asked for. Raises NotRun."""
    said: dict[str, Any] = {}
    for name, value in asked.items():
        if (name, value) in SILENT:
            continue
        if name in _SAME:
            said[name] = value
        elif name not in _ELSEWHERE:
            said |= _member(name, value)
    said |= _reasoning(asked.get("reasoning") or {}, said)
    if asked.get("tools"):
        said["tools"] = [_tool(tool) for tool in asked["tools"]]
    if choice := _tool_choice(asked):
        said["tool_choice"] = choice
    messages = list(asked["messages"])
    if messages and messages[0]["role"] == "system":
        said["system"] = _system(messages.pop(0)["content"])
    return {**said, "messages": [_turn(one) for one in messages]}


def _member(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "stop":
            return {"stop_sequences": [value] if isinstance(value, str) else value}
        case "user":
            return {"metadata": {"user_id": value}}
        case "response_format":
            return {"output_config": {"format": _format(value)}}
        case _:
            raise NotRun(f"{name} has no word in the Anthropic dialect")


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    schema = wanted.get("json_schema", {})
    if wanted["type"] != "json_schema":
        raise NotRun(f"response_format {wanted['type']} has no word in the Anthropic dialect")
    if schema.get("name") not in _MADE_UP or "description" in schema or schema.get("strict") is False:
        raise NotRun("a schema's own name, description or laxness has no word in the Anthropic dialect")
    return {"type": "json_schema", "schema": schema["schema"]}


def _reasoning(wish: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    if wish.get("summary") not in (None, "auto"):
        raise NotRun(f"a {wish['summary']} summary of reasoning has no word in the Anthropic dialect")
    if "budget_tokens" in wish:
        shown = {} if "summary" in wish else {"display": "omitted"}
        return {"thinking": {"type": "enabled", "budget_tokens": wish["budget_tokens"], **shown}}
    effort = wish.get("effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    config = {"output_config": {**said.get("output_config", {}), "effort": effort}}
    return {**config, "thinking": {"type": "adaptive"}} if "summary" in wish else config


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    if function.get("parameters") is None:
        raise NotRun("a tool without parameters has no word in the Anthropic dialect")
    said = {name: function[name] for name in ("name", "description", "strict") if function.get(name) is not None}
    return {**said, "input_schema": function["parameters"], **_cached(tool)}


def _tool_choice(asked: dict[str, Any]) -> dict[str, Any]:
    choice, parallel = asked.get("tool_choice"), asked.get("parallel_tool_calls")
    alone = {"disable_parallel_tool_use": True} if parallel is False else {}
    if isinstance(choice, dict):
        return {"type": "tool", "name": choice["function"]["name"], **alone}
    if choice == "none" and alone:
        raise NotRun("parallel_tool_calls beside tool_choice none has no word in the Anthropic dialect")
    return {"type": _CHOICES[choice or "auto"], **alone} if choice or alone else {}


# -- messages --------------------------------------------------------------------------------------------------------


def _system(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _turn(said: dict[str, Any]) -> dict[str, Any]:
    if said.get("name") is not None:
        raise NotRun("messages[].name has no word in the Anthropic dialect")
    match said["role"]:
        case "user" | "system":
            content = said["content"]
            return {"role": said["role"], "content": _system(content)}
        case "assistant":
            blocks = list(_answer(said))
            if not blocks:
                raise NotRun("an empty answer has no word in the Anthropic dialect")
            return {"role": "assistant", "content": blocks}
        case "tool":
            failed = {"is_error": True} if said.get("error") else {}
            result = {"type": "tool_result", "tool_use_id": said["tool_call_id"], "content": _system(said["content"])}
            return {"role": "user", "content": [{**result, **failed}]}
        case role:
            raise NotRun(f"a message of role {role} has no word in the Anthropic dialect")


def _answer(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if said.get("refusal"):
        raise NotRun("an earlier refusal has no word in the Anthropic dialect")
    if said.get("reasoning") and not said.get("provider_state"):
        yield {"type": "thinking", "thinking": said["reasoning"], "signature": ""}
    for part in provider_state.decode(said["provider_state"]) if said.get("provider_state") else ():
        yield thinking(part)
    content = said.get("content")
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
    else:
        yield from (_part(part) for part in content or () if part.get("text") != "")
    for call in said.get("tool_calls") or ():
        function = call["function"]
        given = json.loads(function["arguments"] or "{}")
        if not isinstance(given, dict):
            raise NotRun("arguments of a tool that are no object have no word in the Anthropic dialect")
        yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}


def thinking(part: ReasoningPart) -> dict[str, Any]:
    """A piece of reasoning: Anthropic's own as it is, that of others with their state for a signature."""
    if part.provider == "anthropic" and part.signs == "reasoning":
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    state = provider_state.encode([part])
    return {"type": "thinking", "thinking": part.text, "signature": "" if state is None else PREFIX + state}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    write = _PARTS.get(part["type"])
    if write is None:
        raise NotRun(f"a part of type {part['type']} has no word in the Anthropic dialect")
    return {**write(part), **_cached(part)}


def _cached(part: dict[str, Any]) -> dict[str, Any]:
    wish = part.get("cache")
    return {"cache_control": {"type": "ephemeral", **({"ttl": wish} if wish == "1h" else {})}} if wish else {}


def _text(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part["text"]}


def _image(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("detail"):
        raise NotRun("an image's detail has no word in the Anthropic dialect")
    return {"type": "image", "source": _source(part)}


def _file(part: dict[str, Any]) -> dict[str, Any]:
    named = {"title": part["filename"]} if "filename" in part else {}
    cited = {"citations": {"enabled": True}} if part.get("citations") else {}
    return {"type": "document", "source": _source(part), **named, **cited}


def _source(part: dict[str, Any]) -> dict[str, Any]:
    if "url" in part:
        if "media_type" in part:
            raise NotRun("an address with a media type has no word in the Anthropic dialect")
        return {"type": "url", "url": part["url"]}
    if "file_id" in part:
        return {"type": "file", "file_id": part["file_id"]}
    if "media_type" not in part:
        raise NotRun("data without a media type has no word in the Anthropic dialect")
    return {"type": "base64", "media_type": part["media_type"], "data": part["data"]}


_PARTS: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "text": _text,
    "image": _image,
    "file": _file,
}
