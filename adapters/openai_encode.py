"""Canonical chats in the OpenAI protocol, in the words of the row that says what the provider does otherwise.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes
and the provider's prompt cache meets what it knows. What cannot be said is refused by name.
"""

from typing import Any, Final

from adapters.asked import merged, unsupported
from adapters.endpoints import Endpoint
from adapters.openai_messages import messages
from adapters.openai_reasoning import asking
from adapters.wire import present
from scaigrid.types import Chat, ResponseFormat, Tool, ToolChoice

RESERVED: Final = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "max_output_tokens"}
)
"""What `provider_options` may not set: routing and reservations rest on it."""


def chat(asked: Chat, row: Endpoint, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a chat completion, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked, row)
    body = present(
        {
            "model": model,
            row.output_field: asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_k": asked.top_k,
            "n": None if asked.n == 1 else asked.n,
            "stop": asked.stop or None,
            row.called("seed"): asked.seed,
            "presence_penalty": asked.presence_penalty,
            "frequency_penalty": asked.frequency_penalty,
            "logprobs": asked.logprobs or None,
            "top_logprobs": asked.top_logprobs,
            row.called("user"): asked.user,
            **asking(asked, row),
            "stream": stream or None,
            "stream_options": {"include_usage": True} if stream and row.stream_usage else None,
            "response_format": _response_format(asked.response_format),
            "parallel_tool_calls": None if "parallel_tool_calls" in row.unsaid else asked.parallel_tool_calls,
            "tool_choice": _tool_choice(asked.tool_choice, row),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, row.name, RESERVED)
    body["messages"] = messages(asked.messages, row)
    return body


def _refuse(asked: Chat, row: Endpoint) -> None:
    """Raises UNSUPPORTED_BY_MODEL for all that the provider has no word for, but for what stands in messages."""
    output = asked.response_format
    said = {
        "n": asked.n != 1,
        "logprobs": asked.logprobs,
        "top_logprobs": asked.top_logprobs is not None,
        "response_format": output is not None and output.kind == "json_schema",
        "tools": bool(asked.tools),
        "top_k": asked.top_k is not None,
        "seed": asked.seed is not None,
        "stop": bool(asked.stop),
        "user": asked.user is not None,
        # Calls side by side are what a provider without a word for it allows anyway.
        "parallel_tool_calls": asked.parallel_tool_calls is False and bool(asked.tools),
        # A penalty of nothing is none.
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
    }
    lacking = [name for name, given in said.items() if given and (name in row.unsaid or _needs(name) - row.can)]
    if lacking:
        raise unsupported(*lacking)


def _needs(field: str) -> frozenset[str]:
    return _FEATURES.get(field, frozenset())


_FEATURES: Final = {
    "n": frozenset({"n"}),
    "logprobs": frozenset({"logprobs"}),
    "top_logprobs": frozenset({"logprobs"}),
    "response_format": frozenset({"json_schema"}),
    "tools": frozenset({"tools"}),
}
"""What an adapter has to claim for a field to be said."""


def _response_format(asked: ResponseFormat | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    if asked.kind != "json_schema":
        return {"type": asked.kind}
    schema = {
        "name": asked.name or "response",
        "description": asked.description,
        "schema": asked.schema,
        "strict": asked.strict,
    }
    return {"type": "json_schema", "json_schema": present(schema)}


def _tool_choice(asked: ToolChoice | None, row: Endpoint) -> str | dict[str, Any] | None:
    if asked is None:
        return None
    if asked.name is not None and row.names_a_choice:
        return {"type": "function", "function": {"name": asked.name}}
    if asked.name is not None or asked.mode not in row.choices:
        raise unsupported("tool_choice")
    return row.choices[asked.mode]


def _tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": present(function)}
