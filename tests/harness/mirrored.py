"""Requests that say all that their dialect can say: every field of every shape, in as few bodies as that takes."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from scaigrid.dialects.anthropic_shapes import AnthropicCounted, AnthropicRequest
from scaigrid.dialects.native_generate import GenerateRequest
from scaigrid.dialects.native_rerank import RerankRequest
from scaigrid.dialects.native_shapes import ChatRequest, EmbedRequest
from scaigrid.dialects.openai_completions import CompletionRequest
from scaigrid.dialects.openai_responses_shapes import InputTokensRequest, ResponsesRequest
from scaigrid.dialects.openai_shapes import ChatCompletionRequest, EmbeddingsRequest
from scaigrid.provider_state import encode
from scaigrid.types import ReasoningPart

Body = dict[str, Any]
STATE: Final = encode([ReasoningPart(text="so", signature="c2ln", provider="google")]) or ""
_SCHEMA: Final[Body] = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
_PNG: Final = "iVBORw0KGgo="
_TAGS: Final = {"team": "owls"}
_OPTIONS: Final = {"anthropic": {"inference_geo": "eu"}}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked at one path: the shape of it, and bodies that say all of it between them."""

    shape: type[msgspec.Struct]
    bodies: tuple[Body, ...]


def _function(**more: Any) -> Body:
    return {"name": "look", "description": "Looks.", "parameters": _SCHEMA, "strict": True, **more}


def _named_format() -> Body:
    schema = {"name": "seen", "schema": _SCHEMA, "description": "What was seen.", "strict": True}
    return {"type": "json_schema", "json_schema": schema}


# -- native ----------------------------------------------------------------------------------------------------------

_NATIVE_SHOWN: Final[list[Body]] = [
    {"type": "text", "text": "look", "cache": True},
    {"type": "image", "url": "https://pictures.example/owl.png", "detail": "low", "cache": "1h"},
    {"type": "image", "data": _PNG, "media_type": "image/png"},
    {"type": "audio", "data": "UklGRg==", "format": "wav"},
    {"type": "file", "file_id": "file_1", "filename": "owls.pdf", "citations": True, "cache": "5m"},
    {"type": "file", "url": "https://documents.example/owls.pdf"},
    {"type": "file", "data": "JVBERi0=", "media_type": "application/pdf"},
]
_CALLED: Final[Body] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"at":"tree"}', "parsed_arguments": "tree"},
    "index": 0,
}
_NATIVE: Final[Body] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "house"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}], "name": "dev"},
        {"role": "user", "content": _NATIVE_SHOWN, "name": "ada"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}, {"type": "refusal", "refusal": "Not there."}],
            "name": "bot",
            "refusal": "Nor there.",
            "tool_calls": [_CALLED],
            "citations": [{"url": "https://pages.example/owls"}],
            "reasoning": "so",
            "provider_state": STATE,
        },
        {
            "role": "tool",
            "content": [{"type": "json", "value": {"owls": 2}, "cache": True}],
            "tool_call_id": "call_1",
            "name": "look",
            "error": True,
        },
        {"role": "assistant", "content": "Two.", "reasoning": "counted"},
        {"role": "user", "content": "And now?"},
    ],
    "max_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "stop": ["END"],
    "seed": 7,
    "n": 2,
    "stream": True,
    "tools": [{"type": "function", "function": _function(), "cache": True}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": _named_format(),
    "reasoning": {"effort": "low", "summary": "concise"},
    "logprobs": True,
    "top_logprobs": 2,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "user": "ada",
    "metadata": _TAGS,
    "provider_options": _OPTIONS,
}
_NATIVE_BRIEF: Final[Body] = {
    "model": "m",
    "messages": [{"role": "user", "content": "owls?"}],
    "stop": "END",
    "tool_choice": "required",
    "response_format": {"type": "json_object"},
    "reasoning": {"budget_tokens": 2048},
}
_NATIVE_LEAST: Final[Body] = {**_NATIVE_BRIEF, "response_format": {"type": "text"}}
_GENERATE: Final[Body] = {
    "model": "m",
    "prompt": "Owls are",
    "max_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "stream": True,
    "metadata": _TAGS,
}
_EMBED: Final[Body] = {
    "model": "m",
    "input": ["owl", "tree"],
    "dimensions": 8,
    "purpose": "search_query",
    "user": "ada",
    "metadata": _TAGS,
    "provider_options": _OPTIONS,
}
_RERANK: Final[Body] = {
    "model": "m",
    "query": "owls",
    "documents": ["owl", "tree"],
    "top_n": 1,
    "metadata": _TAGS,
    "provider_options": _OPTIONS,
}

# -- openai ----------------------------------------------------------------------------------------------------------

_MARK: Final = {"type": "ephemeral", "ttl": "1h"}
_OPENAI: Final[Body] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "house"},
        {"role": "developer", "content": "Be kind.", "name": "dev"},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "look", "cache_control": _MARK},
                {"type": "text", "text": "again", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{_PNG}", "detail": "low"},
                    "cache_control": _MARK,
                },
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file_1", "filename": "owls.pdf"}, "cache_control": _MARK},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}, {"type": "refusal", "refusal": "Not there."}],
            "name": "bot",
            "refusal": "Nor there.",
            "tool_calls": [_CALLED],
            "annotations": [{"type": "url_citation"}],
            "parsed": "owls",
            "reasoning_content": "so",
            "provider_state": STATE,
        },
        {"role": "tool", "content": "two owls", "tool_call_id": "call_1", "name": "look"},
        {"role": "function", "content": "two owls", "name": "look"},
        {"role": "assistant", "content": "Two.", "reasoning_content": "counted"},
        {"role": "assistant", "content": "Two!", "reasoning": "counted", "reasoning_details": [{"type": "x"}]},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 2,
    "max_tokens": 500,
    "metadata": _TAGS,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "tools": [{"type": "function", "function": _function(), "cache_control": _MARK}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": _named_format(),
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 2,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "user": "ada",
    "top_k": 40,
    "provider_options": _OPTIONS,
}
_OPENAI_BRIEF: Final[Body] = {
    "model": "m",
    "messages": [{"role": "user", "content": "owls?"}],
    "max_completion_tokens": 500,
    "stop": "END",
    "tool_choice": "required",
    "response_format": {"type": "json_object"},
    "safety_identifier": "ada",
    "prompt_cache_key": "owls",
    "prompt_cache_retention": "24h",
}
_OPENAI_LEAST: Final[Body] = {**_OPENAI_BRIEF, "response_format": {"type": "text"}}
_COMPLETION: Final[Body] = {
    "model": "m",
    "prompt": "Owls are",
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 2,
    "max_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "user": "ada",
}
_EMBEDDINGS: Final[Body] = {
    "model": "m",
    "input": ["owl", "tree"],
    "dimensions": 8,
    "encoding_format": "base64",
    "user": "ada",
}

# -- responses -------------------------------------------------------------------------------------------------------

_BREAK: Final = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
_SIZED: Final[Body] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {
            "type": "message",
            "role": "user",
            "id": "msg_1",
            "status": "completed",
            "phase": "commentary",
            "content": [
                {"type": "input_text", "text": "look", **_BREAK},
                {"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}", "detail": "low", **_BREAK},
                {"type": "input_image", "file_id": "file_1"},
                {"type": "input_file", "file_id": "file_1", "filename": "owls.pdf", "detail": "low", **_BREAK},
                {"type": "input_file", "file_url": "https://documents.example/owls.pdf"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0="},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "so"}],
            "content": [{"type": "reasoning_text", "text": "thus"}],
            "encrypted_content": "c2VhbGVk",
            "status": "completed",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "I look.",
                    "annotations": [{"type": "url_citation"}],
                    "logprobs": [{}],
                    "parsed": "owls",
                },
                {"type": "refusal", "refusal": "Not there."},
            ],
        },
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "look",
            "arguments": '{"at":"tree"}',
            "parsed_arguments": "tree",
            "id": "fc_1",
            "status": "completed",
        },
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_text", "text": "two owls"}],
            "id": "fco_1",
            "status": "completed",
        },
        {"type": "message", "role": "user", "content": "And now?"},
    ],
    "previous_response_id": "resp_1",
    "tools": [{"type": "function", **_function()}],
    "tool_choice": {"type": "function", "name": "look"},
    "parallel_tool_calls": False,
    "text": {
        "format": {
            "type": "json_schema",
            "name": "seen",
            "schema": _SCHEMA,
            "description": "What was seen.",
            "strict": True,
        }
    },
    "reasoning": {"effort": "low", "summary": "concise"},
}
_RESPONSE: Final[Body] = {
    **_SIZED,
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "max_output_tokens": 500,
    "metadata": _TAGS,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_logprobs": 2,
    "include": ["message.output_text.logprobs"],
    "store": True,
    "safety_identifier": "ada",
    "prompt_cache_key": "owls",
    "prompt_cache_retention": "24h",
    "client_metadata": {"version": "1"},
    "provider_options": _OPTIONS,
}
_SIZED_BRIEF: Final[Body] = {
    "model": "m",
    "input": "owls?",
    "tool_choice": "required",
    "text": {"format": {"type": "json_object"}},
    "reasoning": {"generate_summary": "detailed"},
}
_SIZED_LEAST: Final[Body] = {**_SIZED_BRIEF, "text": {"format": {"type": "text"}}}
_RESPONSE_BRIEF: Final[Body] = {**_SIZED_BRIEF, "user": "ada", "include": ["message.output_text.logprobs"]}

# -- anthropic -------------------------------------------------------------------------------------------------------

_COUNTED: Final[Body] = {
    "model": "m",
    "system": [{"type": "text", "text": "Be brief.", "cache_control": _MARK, "citations": [{"type": "char_location"}]}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": _MARK},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": _PNG},
                    "cache_control": _MARK,
                },
                {"type": "image", "source": {"type": "url", "url": "https://pictures.example/owl.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Owls."},
                    "title": "Owls",
                    "context": "Of last year.",
                    "citations": {"enabled": True},
                    "cache_control": _MARK,
                },
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Owls."}]}},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "so", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "c2VhbGVk"},
                {"type": "text", "text": "I look.", "citations": [{"type": "char_location"}]},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "look",
                    "input": {"at": "tree"},
                    "cache_control": _MARK,
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "two owls"}],
                    "is_error": True,
                    "cache_control": _MARK,
                }
            ],
        },
    ],
    "tools": [
        {
            "name": "look",
            "input_schema": _SCHEMA,
            "description": "Looks.",
            "strict": True,
            "cache_control": _MARK,
            "eager_input_streaming": True,
        }
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": _SCHEMA}},
    "cache_control": _MARK,
    "provider_options": _OPTIONS,
}
_TALK: Final[Body] = {
    "model": "m",
    "messages": [{"role": "user", "content": "owls?"}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
    "output_format": {"type": "json_schema", "schema": _SCHEMA},
}
_AUTO: Final[Body] = {
    **_TALK,
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "disabled"},
}
_NONE: Final[Body] = {**_TALK, "tool_choice": {"type": "none"}}
_MESSAGE: Final[Body] = {
    "max_tokens": 500,
    "stream": True,
    "metadata": {"user_id": "ada"},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
}

ASKED: Final[Mapping[str, Asked]] = {
    "/v1/inference/chat": Asked(shape=ChatRequest, bodies=(_NATIVE, _NATIVE_BRIEF, _NATIVE_LEAST)),
    "/v1/inference/generate": Asked(shape=GenerateRequest, bodies=(_GENERATE,)),
    "/v1/inference/embed": Asked(shape=EmbedRequest, bodies=(_EMBED,)),
    "/v1/inference/rerank": Asked(shape=RerankRequest, bodies=(_RERANK,)),
    "/oai/v1/chat/completions": Asked(shape=ChatCompletionRequest, bodies=(_OPENAI, _OPENAI_BRIEF, _OPENAI_LEAST)),
    "/oai/v1/completions": Asked(shape=CompletionRequest, bodies=(_COMPLETION,)),
    "/oai/v1/embeddings": Asked(shape=EmbeddingsRequest, bodies=(_EMBEDDINGS,)),
    "/oai/v1/responses": Asked(shape=ResponsesRequest, bodies=(_RESPONSE, _RESPONSE_BRIEF, _SIZED_LEAST)),
    "/oai/v1/responses/input_tokens": Asked(shape=InputTokensRequest, bodies=(_SIZED, _SIZED_BRIEF, _SIZED_LEAST)),
    "/anthropic/v1/messages": Asked(
        shape=AnthropicRequest,
        bodies=tuple([{**one, **_MESSAGE} for one in (_COUNTED, _TALK, _AUTO, _NONE)]),
    ),
    "/anthropic/v1/messages/count_tokens": Asked(shape=AnthropicCounted, bodies=(_COUNTED, _TALK, _AUTO, _NONE)),
}
"""By path."""
