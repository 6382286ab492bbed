"""Recorded calls of OpenAI's Responses API, asked in the native dialect."""

from collections.abc import Iterator
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.wire import said

_SAME: Final = frozenset({"parallel_tool_calls", "stream", "temperature", "top_logprobs", "top_p", "user"})
_ELSEWHERE: Final = frozenset({"model", "input", "instructions", "tools", "tool_choice", "stream_options", "store"})
_GOVERNED: Final = frozenset({"background", "conversation", "previous_response_id", "prompt"})
"""What rests on something that the provider keeps, or comes back for."""
_FUNCTION: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_ASKED_ANYWAY: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"


def chat(request: dict[str, Any], provider: str) -> dict[str, Any]:
    """The native call, without its model. What only the provider knows goes into `provider_options`. Raises NotRun."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in said(request).items():
        if name in _GOVERNED:
            if value:
                raise NotRun(f"{name}: only the provider itself can say it")
        elif name not in _ELSEWHERE:
            _member(name, value, asked, options)
    functions, others = _tools(request.get("tools") or [])
    if functions:
        asked["tools"] = functions
    if others:
        options["tools"] = others
    if (choice := request.get("tool_choice")) is not None:
        if functions and (native := _tool_choice(choice)) is not None:
            asked["tool_choice"] = native
        else:
            options["tool_choice"] = choice
    if options:
        asked["provider_options"] = {provider: options}
    begin = [{"role": "system", "content": request["instructions"]}] if request.get("instructions") else []
    given = request["input"]
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else list(_turns(given, provider))
    asked["messages"] = [*begin, *turns]
    return asked


def _member(name: str, value: Any, asked: dict[str, Any], options: dict[str, Any]) -> None:
    match name:
        case "max_output_tokens":
            asked["max_tokens"] = value
        case "reasoning":
            native = {key: value[key] for key in ("effort", "summary") if value.get(key) is not None}
            rest = {key: one for key, one in said(value).items() if key not in native}
            asked |= {"reasoning": native} if native else {}
            options |= {"reasoning": rest} if rest else {}
        case "text":
            rest = dict(value)
            if (form := rest.pop("format", None)) is not None:
                asked["response_format"] = _format(form)
            options |= {"text": rest} if rest else {}
        case "include":
            if _LOGPROBS in value:
                asked["logprobs"] = True
            if rest_of := [one for one in value if one not in (_ASKED_ANYWAY, _LOGPROBS)]:
                options["include"] = rest_of
        case _ if name in _SAME:
            asked[name] = value
        case _:
            options[name] = value


def _format(form: dict[str, Any]) -> dict[str, Any]:
    if form["type"] != "json_schema":
        return form
    return {"type": "json_schema", "json_schema": {name: value for name, value in form.items() if name != "type"}}


def _tools(tools: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Functions, and from the first tool on that is none, all the others as they are: so the order stays."""
    place = next((place for place, one in enumerate(tools) if not _is_function(one)), len(tools))
    return [_function(one) for one in tools[:place]], tools[place:]


def _is_function(tool: dict[str, Any]) -> bool:
    return tool["type"] == "function" and tool.keys() <= _FUNCTION


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in said(tool).items() if name != "type"}
    # Where nothing is said it is strict here, and nowhere else.
    return {"type": "function", "function": {"strict": True, **function}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if choice.keys() == {"type", "name"} and choice["type"] == "function":
        return {"type": "function", "function": {"name": choice["name"]}}
    return None


# -- the conversation ------------------------------------------------------------------------------------------------


def _turns(items: list[dict[str, Any]], provider: str) -> Iterator[dict[str, Any]]:
    """The messages; neighbouring items of the assistant's are one, as long as they stand in the order of one."""
    answer: dict[str, Any] = {}
    thoughts: list[ReasoningPart] = []
    for item in items:
        kind = item.get("type", "message")
        ours = kind in _RANKS and (kind != "message" or item["role"] == "assistant")
        if answer and (not ours or _RANKS[kind] < answer["rank"] or (kind == "message" and "content" in answer)):
            yield _answer(answer, thoughts)
            answer, thoughts = {}, []
        if not ours:
            yield _other(item)
            continue
        answer["rank"] = _RANKS[kind]
        if kind == "reasoning":
            thoughts.append(_thought(item, provider))
        elif kind == "message":
            answer["content"] = _content(item["content"])
        else:
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            answer.setdefault("tool_calls", []).append(call)
    if answer:
        yield _answer(answer, thoughts)


_RANKS: Final = {"reasoning": 0, "message": 1, "function_call": 2}


def _answer(answer: dict[str, Any], thoughts: list[ReasoningPart]) -> dict[str, Any]:
    if "content" not in answer and "tool_calls" not in answer:
        raise NotRun("reasoning without anything that it led to")
    message = {name: value for name, value in answer.items() if name != "rank"}
    state = provider_state.encode(thoughts)
    return {"role": "assistant", **message, **({} if state is None else {"provider_state": state})}


def _thought(item: dict[str, Any], provider: str) -> ReasoningPart:
    if not item.get("encrypted_content"):
        raise NotRun("reasoning that the provider keeps itself")
    text = "\n\n".join(part["text"] for part in item.get("summary") or ())
    return ReasoningPart(text=text, signature=item["encrypted_content"], provider=provider, id=item.get("id"))


def _other(item: dict[str, Any]) -> dict[str, Any]:
    match item.get("type", "message"):
        case "message":
            return {"role": item["role"], "content": _content(item["content"])}
        case "function_call_output":
            return {"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])}
        case kind:
            raise NotRun(f"an item of type {kind}: only this provider can say it")


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    given = said(part)
    match given.pop("type"):
        case "input_text" | "output_text":
            return {"type": "text", "text": given["text"]}
        case "refusal":
            return {"type": "refusal", "refusal": given["refusal"]}
        case "input_image" if "image_url" in given:
            detail = {"detail": given["detail"]} if "detail" in given else {}
            return {"type": "image", **_source(given["image_url"]), **detail}
        case "input_file":
            named: dict[str, Any] = {name: given[name] for name in ("filename", "file_id") if name in given}
            source = {"url": given["file_url"]} if "file_url" in given else {}
            if "file_data" in given:
                source = _source(given["file_data"])
            return {"type": "file", **named, **source}
        case kind:
            raise NotRun(f"a part of type {kind}: only this provider can say it")


def _source(url: str) -> dict[str, Any]:
    """An address, or what a `data:` URL holds."""
    if not url.startswith("data:"):
        return {"url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    if encoding != "base64":
        raise NotRun("a data URL that is not base64")
    return {"data": data, "media_type": media_type}
