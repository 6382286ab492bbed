"""Chat completions as they come over the wire: what OpenAI sends, and what others who speak its protocol add.

Source: OpenAI API reference, "Chat", "Chat streaming", "Completions"; those of the others for what is named here:
`reasoning` (OpenRouter, Groq, vLLM) or `reasoning_content` (DeepSeek, Z.AI, xAI), `reasoning_details` (OpenRouter),
parts of type `thinking` (Mistral), `extra_content` (Gemini), `citations` and `search_results` (Perplexity, xAI).
"""

from typing import Any, Final

import msgspec

from adapters.wire import ABSENT


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Google(msgspec.Struct):
    thought_signature: str | None = None


class Extra(msgspec.Struct):
    """What Gemini says beside the protocol."""

    google: Google | None = None


class ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: Extra | None = None


class Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    thinking: "str | list[Part] | None" = None


class UrlCitation(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    type: str = ""
    url_citation: UrlCitation | None = None


class Said(msgspec.Struct):
    """A delta, or a whole message."""

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    annotations: list[Annotation] | None = None
    extra_content: Extra | None = None


class Choice(msgspec.Struct):
    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    text: str | None = None
    """What a legacy completion says."""
    finish_reason: str | None = None
    logprobs: msgspec.Raw = ABSENT


class Found(msgspec.Struct):
    """A page that was searched."""

    url: str | None = None
    title: str | None = None
    snippet: str | None = None


class Answer(msgspec.Struct):
    """A completion, or one chunk of it."""

    id: str | None = None
    created: int | float | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    citations: list[str] | None = None
    search_results: list[Found] | None = None


answer: Final = msgspec.json.Decoder(Answer)
NO_FUNCTION: Final = Function()
