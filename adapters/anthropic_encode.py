"""Canonical chats as calls of Anthropic's Messages API.

Source: Anthropic API reference, "Create a Message"; guides "Extended thinking", "Adaptive thinking", "Effort",
"Structured outputs", "Prompt caching". What the API has no words for is refused by name. Hints that change no answer
and have no counterpart are left out: the name and `strict` of a response format (it is always strict), and how
reasoning within a budget is summed up; `anthropic_turns` names those of messages.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes.
"""

import re
from typing import Any, Final

import msgspec

from adapters.anthropic_turns import PROVIDER, Block, marked, turns
from adapters.asked import invalid, merged, unsupported
from adapters.wire import present
from scaigrid.types import Chat, ReasoningRequest, ResponseFormat, Tool

RESERVED: Final = frozenset({"model", "messages", "system", "stream", "max_tokens"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_LEAST_BUDGET: Final = 1024
"""The smallest thinking budget that the API takes."""
_SHARES: Final = {"minimal": 0.0, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""How much of the output bound may be thought, by effort, for models that only know a budget."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?![\d])")
_FIRST_ADAPTIVE: Final = (4, 6)
COUNTED: Final = frozenset({"model", "thinking", "output_config", "tool_choice", "tools", "system", "messages"})
"""What of a message the counter takes."""
_COUNTED_BOUND: Final = 8192
"""Stands for the output bound of a chat that is only counted: a budget to think in has to be less than one."""


def chat(asked: Chat, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a message, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    if asked.max_tokens is None:
        raise invalid("max_tokens", "is required by this model's provider")
    thinking, effort = _thinking(asked.reasoning, model, asked.max_tokens)
    body = present(
        {
            "model": model,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_k": asked.top_k,
            "stop_sequences": asked.stop or None,
            "stream": stream or None,
            "thinking": thinking,
            "output_config": present({"effort": effort, "format": _format(asked.response_format)}) or None,
            "metadata": None if asked.user is None else {"user_id": asked.user},
            "tool_choice": _tool_choice(asked),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, PROVIDER, RESERVED)
    system, messages = turns(asked.messages)
    if system:
        body["system"] = system
    body["messages"] = messages
    return body


def counted(asked: Chat, model: str) -> dict[str, Any]:
    """The body of a question for the number of input tokens. Raises as `chat` does."""
    bound = asked.max_tokens or _COUNTED_BOUND
    said = chat(msgspec.structs.replace(asked, max_tokens=bound), model, stream=False)
    return {name: value for name, value in said.items() if name in COUNTED}


def settings(asked: Chat, model: str) -> dict[str, Any]:
    """What `asked` says beside its messages, for a message that has its own. Raises as `chat` does."""
    said = chat(msgspec.structs.replace(asked, max_tokens=asked.max_tokens or _COUNTED_BOUND), model, stream=False)
    return {name: value for name, value in said.items() if name not in RESERVED}


def _refuse(asked: Chat) -> None:
    said = {
        "n": asked.n != 1,
        "seed": asked.seed is not None,
        "logprobs": asked.logprobs,
        "top_logprobs": asked.top_logprobs is not None,
        # A penalty of nothing is none.
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
        "response_format": asked.response_format is not None and asked.response_format.kind == "json_object",
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


# -- thinking --------------------------------------------------------------------------------------------------------


def _thinking(asked: ReasoningRequest | None, model: str, max_tokens: int) -> tuple[Block | None, str | None]:
    """`thinking`, and the effort beside it.

    From version 4.6 on models decide how much they think, guided by an effort; before it they only know a budget of
    tokens, which has to be less than the output bound. The lowest effort is `low`.
    """
    if asked is None:
        return None, None
    if asked.budget_tokens is not None:
        return {"type": "enabled", "budget_tokens": asked.budget_tokens}, None
    if asked.effort is None:
        return None, None
    if asked.effort == "none":
        return {"type": "disabled"}, None
    if _is_adaptive(model):
        shown: Block = {"type": "adaptive"} if asked.summary is None else {"type": "adaptive", "display": "summarized"}
        return shown, "low" if asked.effort == "minimal" else asked.effort
    return _budget(_SHARES[asked.effort], max_tokens), None


def _budget(share: float, max_tokens: int) -> Block:
    if max_tokens <= _LEAST_BUDGET:
        raise invalid("max_tokens", f"must be more than {_LEAST_BUDGET} for this model to reason")
    return {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, int(max_tokens * share))}


def _is_adaptive(model: str) -> bool:
    """By the version in the name: `claude-3-7-sonnet-20250219`, `claude-opus-4-6`. A name without one is a new one."""
    version = _VERSION.search(model)
    return version is None or (int(version[1]), int(version[2] or 0)) >= _FIRST_ADAPTIVE


# -- output format and tools -----------------------------------------------------------------------------------------


def _format(asked: ResponseFormat | None) -> Block | None:
    if asked is None or asked.kind != "json_schema":
        return None
    schema = asked.schema or {}
    if asked.description is not None and "description" not in schema:
        schema = {**schema, "description": asked.description}
    return {"type": "json_schema", "schema": schema}


def _tool(tool: Tool) -> Block:
    said: Block = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    said["input_schema"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict:
        said["strict"] = True
    return marked(said, tool.cache)


def _tool_choice(asked: Chat) -> Block | None:
    choice = asked.tool_choice
    one_by_one = asked.parallel_tool_calls is False
    if choice is not None and choice.name is not None:
        said: Block = {"type": "tool", "name": choice.name}
    elif choice is not None and choice.mode == "required":
        said = {"type": "any"}
    elif not asked.tools:
        # Nothing to choose from: the API refuses a choice without tools.
        return None
    elif choice is not None and choice.mode == "none":
        return {"type": "none"}
    elif choice is not None or one_by_one:
        said = {"type": "auto"}
    else:
        return None
    if one_by_one:
        said["disable_parallel_tool_use"] = True
    return said
