"""Canonical chats as calls of Gemini's `generateContent`, and what of them its counter of tokens takes.

Source: Gemini API reference, "Generating content", "Counting tokens"; Vertex AI API reference. What the API has no
words for is refused by name. Hints that change no answer and have no counterpart are left out: the name and `strict`
of a response format, and a tool's `strict` (Gemini holds to schemas as far as it ever does).

Members stand in a fixed order with the contents last, so that two turns of one conversation begin with the same bytes.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters import google_schema, google_thinking
from adapters.asked import invalid, merged, unsupported
from adapters.google_turns import PROVIDER, Block, turns
from adapters.wire import is_list, is_object, present
from scaigrid.adapter import Target
from scaigrid.types import Chat, ResponseFormat, Tool, ToolChoice

_RESERVED: Final = frozenset({"model", "contents", "systemInstruction"})
_RESERVED_CONFIG: Final = frozenset({"maxOutputTokens", "candidateCount"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_COUNTED: Final = ("systemInstruction", "tools", "generationConfig", "contents")
"""What Vertex AI's counter takes."""


def chat(asked: Chat, target: Target, *, cloud: bool) -> dict[str, Any]:
    """The body of a call, for msgspec; `cloud` for Vertex AI. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    declared = [_tool(tool) for tool in asked.tools]
    body = present(
        {
            "generationConfig": _config(asked, target.model) or None,
            "toolConfig": _tool_config(asked),
            "tools": [{"functionDeclarations": declared}] if declared else None,
        }
    )
    merged(body, _with_options(asked), PROVIDER, _RESERVED)
    system, contents = turns(asked.messages, target, cloud=cloud)
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = contents
    return body


def count(asked: Chat, target: Target, path: str, *, cloud: bool) -> dict[str, Any]:
    """The body of a call that counts the tokens of the chat; `path` is the model's, as the Gemini API names it."""
    body = chat(asked, target, cloud=cloud)
    if cloud:
        return {name: body[name] for name in _COUNTED if name in body}
    return {"generateContentRequest": {"model": path, **body}}


def _refuse(asked: Chat) -> None:
    said = {
        "user": asked.user is not None,
        "parallel_tool_calls": asked.parallel_tool_calls is False and bool(asked.tools),
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


# -- generation ------------------------------------------------------------------------------------------------------


def _config(asked: Chat, model: str) -> Block:
    kind, schema = _format(asked.response_format)
    return present(
        {
            "maxOutputTokens": asked.max_tokens,
            "temperature": asked.temperature,
            "topP": asked.top_p,
            "topK": asked.top_k,
            "candidateCount": None if asked.n == 1 else asked.n,
            "stopSequences": asked.stop or None,
            "seed": asked.seed,
            "presencePenalty": asked.presence_penalty,
            "frequencyPenalty": asked.frequency_penalty,
            "responseLogprobs": asked.logprobs or None,
            "logprobs": asked.top_logprobs,
            "thinkingConfig": google_thinking.config(asked.reasoning, model),
            "responseMimeType": kind,
            "responseJsonSchema": schema,
        }
    )


def _format(asked: ResponseFormat | None) -> tuple[str | None, Block | None]:
    if asked is None or asked.kind == "text":
        return None, None
    if asked.kind == "json_object" or asked.schema is None:
        return _JSON, None
    return _JSON, google_schema.described(google_schema.schema(asked.schema), asked.description)


_JSON: Final = "application/json"


# -- tools -----------------------------------------------------------------------------------------------------------


def _tool(tool: Tool) -> Block:
    schema = google_schema.schema(tool.parameters) if tool.parameters else None
    return present({"name": tool.name, "description": tool.description, "parametersJsonSchema": schema})


def _tool_config(asked: Chat) -> Block | None:
    choice = asked.tool_choice
    if choice is None or not (asked.tools or _must_call(choice)):
        # Nothing to choose from: the API refuses a choice without functions.
        return None
    if choice.name is not None:
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [choice.name]}}
    return {"functionCallingConfig": {"mode": _MODES[choice.mode]}}


def _must_call(choice: ToolChoice) -> bool:
    return choice.name is not None or choice.mode == "required"


# -- the caller's own options ----------------------------------------------------------------------------------------


def _with_options(asked: Chat) -> Chat:
    """The chat with the provider's options by one spelling: the API takes `generation_config` as well.

    Raises VALIDATION_ERROR for what the gateway sets, UNSUPPORTED_BY_MODEL for answers that are not read here: with
    pictures or sound, or with arguments that come as paths into an object.
    """
    given = asked.provider_options.get(PROVIDER)
    if not given:
        return asked
    options = {_camel(name): value for name, value in given.items()}
    config = options.get("generationConfig")
    where = f"provider_options.{PROVIDER}"
    if "generationConfig" in options:
        if not is_object(config):
            raise invalid(f"{where}.generationConfig", "is no object")
        options["generationConfig"] = config = {_camel(name): value for name, value in config.items()}
        for name in config.keys() & _RESERVED_CONFIG:
            raise invalid(f"{where}.generationConfig.{name}", "is set by the gateway")
        kinds = config.get("responseModalities")
        if is_list(kinds) and any(kind not in ("TEXT", "text") for kind in kinds):
            raise unsupported(f"{where}.generationConfig.responseModalities")
    chosen = options.get("toolConfig")
    calling = chosen.get("functionCallingConfig") if is_object(chosen) else None
    if is_object(calling) and calling.get("streamFunctionCallArguments"):
        raise unsupported(f"{where}.toolConfig.functionCallingConfig.streamFunctionCallArguments")
    return msgspec.structs.replace(asked, provider_options={PROVIDER: options})


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)
