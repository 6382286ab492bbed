"""Who speaks OpenAI's protocol, one row a provider: where it is, and what it says otherwise than OpenAI.

A row is data. What is done with it is in the encoders, the same for all of them. Sources: the API references of the
providers named; what two of them call by one name has one field here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from scaigrid.types import Message

CHAT: Final = "openai/chat"
COMPLETIONS: Final = "openai/completions"
EMBEDDINGS: Final = "openai/embeddings"
RESPONSES: Final = "openai/responses"

Asks = Literal["effort", "thinking", "thinking_effort", "reasoning", "enable_thinking", "nothing"]
"""How reasoning is asked for: `reasoning_effort`; `thinking {type, budget_tokens}`; `thinking {type}` beside
`reasoning_effort`; OpenRouter's `reasoning {effort | max_tokens}`; Qwen's `enable_thinking` and `thinking_budget`."""
GivesBack = Literal["nothing", "reasoning_content", "reasoning", "details", "thinking"]
"""Where the reasoning of earlier turns goes: nowhere; `reasoning_content` of the turns that called tools; `reasoning`;
OpenRouter's `reasoning_details`; Mistral's parts of type `thinking`."""

_SAME_CHOICES: Final = MappingProxyType({"auto": "auto", "none": "none", "required": "required"})
_WHOLE_SCALE: Final = MappingProxyType(
    {name: name for name in ("none", "minimal", "low", "medium", "high", "xhigh", "max")}
)
_FOUR: Final = {**_WHOLE_SCALE, "minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts of those whose scale is none, low, medium, high: beyond its ends there is its end."""
_ONE_BOUND: Final = {"max_completion_tokens": "max_tokens"}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One provider that speaks the protocol. The defaults are what nearly everybody does who is not OpenAI."""

    name: str
    address: str | None = None
    can: frozenset[str]
    speaks: frozenset[str] = frozenset({CHAT})
    """Surfaces that it has itself; calls of any other surface are translated."""
    keeps_responses: bool = False
    """Responses can be asked for again, gone on from and deleted, where the provider has them at all."""
    output_field: str = "max_tokens"
    """Where an output bound goes that the caller did not give."""
    renamed: Mapping[str, str] = {}
    """Members of the protocol that this provider knows by another name, with that name."""
    unsaid: frozenset[str] = frozenset()
    """Fields of a chat that it has no word for, beside those of features that it has not."""
    asks: Asks = "effort"
    efforts: Mapping[str, str] = _WHOLE_SCALE
    """Its own word for each effort."""
    gives_back: GivesBack = "nothing"
    choices: Mapping[str, str] = _SAME_CHOICES
    """Its own word for each mode of `tool_choice`; none for a mode that it has not."""
    names_a_choice: bool = True
    """`tool_choice` can name the tool."""
    stream_usage: bool = True
    """`stream_options.include_usage` is understood; else usage comes unasked."""
    developer: bool = False
    """Messages of role developer are understood; else they are sent as system ones, which is what they were before."""
    refusals: bool = False
    """Messages may have parts of type `refusal`; else what was refused is said as the text that it is."""
    one_text: bool = False
    """Content is a text: several of them are sent as one, with a blank line between them."""
    names_speakers: bool = True
    """Messages may have a `name`."""
    call_ids_of_nine: bool = False
    """Ids of tool calls have exactly nine letters and digits."""
    prefill: str | None = None
    """The mark of a last assistant message that the answer goes on from, where there has to be one."""
    files: Literal["file", "file_or_url", "document_url"] = "file"
    """A document's part: OpenAI's, the same with an address for its content, or Mistral's."""
    audio: Literal["input_audio", "data_url", "text"] = "input_audio"
    """A sound's part: OpenAI's, the same with a data URL for the data (Qwen), or with the data alone (Mistral)."""
    shows_results: bool = True
    """A user's message may follow the results of tools, to show what these show: images, sound, files."""
    purposes: Mapping[str, str] = {}
    """Its own word (`input_type`) for what embeddings are for."""
    rerank_top: str = "top_n"
    """Its name of the bound on what a rerank answers."""

    def called(self, member: str) -> str:
        """The provider's own name of a member of the protocol."""
        return self.renamed.get(member, member)

    def role(self, message: Message) -> str:
        return "system" if message.role == "developer" and not self.developer else message.role


_TEXT: Final = frozenset({"chat", "stream", "tools", "reasoning", "json_schema"})
_ALL: Final = _TEXT | {"embed", "images", "audio", "files", "n", "logprobs"}

OPENAI: Final = Endpoint(
    name="openai",
    address="https://api.openai.com/v1",
    can=_ALL | {"citations", "count_tokens"},
    speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}),
    keeps_responses=True,
    output_field="max_completion_tokens",  # its newer models refuse max_tokens
    unsaid=frozenset({"top_k"}),
    developer=True,
    refusals=True,
)
AZURE: Final = msgspec.structs.replace(OPENAI, name="azure", address=None, can=OPENAI.can - {"count_tokens"})
CUSTOM: Final = Endpoint(
    name="custom",
    can=_ALL | {"citations", "rerank"},
    speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
    keeps_responses=True,
)
"""Any other endpoint: what most of them understand. What one does not is for its operator to know."""

_VLLM: Final = Endpoint(
    name="vllm",
    can=_ALL - {"files"} | {"rerank"},
    speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}),
    keeps_responses=True,
)

ROWS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="groq",
        address="https://api.groq.com/openai/v1",
        can=_TEXT | {"images"},
        speaks=frozenset({CHAT, RESPONSES}),
        output_field="max_completion_tokens",
        unsaid=frozenset({"top_k"}),
        efforts=_FOUR,
    ),
    Endpoint(
        name="deepseek",
        address="https://api.deepseek.com",
        can=_TEXT - {"json_schema"} | {"logprobs"},
        renamed=_ONE_BOUND,
        unsaid=frozenset({"top_k", "seed", "user", "parallel_tool_calls"}),
        asks="thinking_effort",
        efforts=dict.fromkeys(("minimal", "low", "medium", "high"), "high") | {"xhigh": "max", "max": "max"},
        gives_back="reasoning_content",
        one_text=True,
    ),
    Endpoint(
        name="xai",
        address="https://api.x.ai/v1",
        can=_TEXT | {"images", "n", "logprobs", "citations"},
        speaks=frozenset({CHAT, COMPLETIONS, RESPONSES}),
        keeps_responses=True,
        output_field="max_completion_tokens",
        unsaid=frozenset({"top_k"}),
        efforts=_FOUR,
    ),
    Endpoint(
        name="together",
        address="https://api.together.xyz/v1",
        can=_TEXT | {"embed", "rerank", "images", "n", "logprobs"},
        speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
        renamed=_ONE_BOUND,
        unsaid=frozenset({"user", "parallel_tool_calls"}),
        efforts=_FOUR,
    ),
    Endpoint(
        name="openrouter",
        address="https://openrouter.ai/api/v1",
        can=_TEXT | {"embed", "images", "audio", "files", "logprobs", "citations"},
        speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}),
        asks="reasoning",
        efforts={**_WHOLE_SCALE, "max": "xhigh"},
        gives_back="details",
        files="file_or_url",
    ),
    _VLLM,
    msgspec.structs.replace(_VLLM, name="scaiinfer"),
    Endpoint(
        name="mistral",
        address="https://api.mistral.ai/v1",
        can=_TEXT | {"embed", "images", "audio", "files", "n"},
        speaks=frozenset({CHAT, EMBEDDINGS}),
        renamed={**_ONE_BOUND, "seed": "random_seed", "dimensions": "output_dimension"},
        unsaid=frozenset({"top_k", "user"}),
        efforts={**dict.fromkeys(_WHOLE_SCALE, "high"), "none": "none"},
        gives_back="thinking",
        choices={**_SAME_CHOICES, "required": "any"},
        stream_usage=False,
        names_speakers=False,
        call_ids_of_nine=True,
        shows_results=False,
        prefill="prefix",
        files="document_url",
        audio="text",
    ),
    Endpoint(
        name="qwen",
        # The international address; the one in China is given as base_url.
        address="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        can=_TEXT | {"embed", "images", "audio", "n", "logprobs"},
        speaks=frozenset({CHAT, EMBEDDINGS}),
        renamed=_ONE_BOUND,
        unsaid=frozenset({"user", "frequency_penalty"}),
        asks="enable_thinking",
        choices={"auto": "auto", "none": "none"},
        prefill="partial",
        audio="data_url",
    ),
    Endpoint(
        name="fireworks",
        address="https://api.fireworks.ai/inference/v1",
        can=_TEXT | {"embed", "rerank", "images", "n", "logprobs"},
        speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}),
        keeps_responses=True,
        gives_back="reasoning_content",
        efforts=_FOUR,
    ),
    Endpoint(
        name="cerebras",
        address="https://api.cerebras.ai/v1",
        can=_TEXT | {"logprobs"},
        speaks=frozenset({CHAT, COMPLETIONS}),
        output_field="max_completion_tokens",
        unsaid=frozenset({"top_k", "presence_penalty", "frequency_penalty"}),
        efforts=_FOUR,
        one_text=True,
    ),
    Endpoint(
        name="huggingface",
        address="https://router.huggingface.co/v1",
        can=_TEXT | {"images", "logprobs"},
        speaks=frozenset({CHAT, RESPONSES}),
        renamed=_ONE_BOUND,
        unsaid=frozenset({"top_k", "user", "parallel_tool_calls"}),
        efforts=_FOUR,
    ),
    Endpoint(
        name="zai",
        address="https://api.z.ai/api/paas/v4",
        can=_TEXT - {"json_schema"} | {"images"},
        renamed={**_ONE_BOUND, "user": "user_id"},
        unsaid=frozenset({"top_k", "seed", "parallel_tool_calls", "presence_penalty", "frequency_penalty"}),
        asks="thinking_effort",
        gives_back="reasoning_content",
        choices={"auto": "auto"},
        names_a_choice=False,
    ),
    Endpoint(
        name="nvidia",
        address="https://integrate.api.nvidia.com/v1",
        can=_TEXT | {"embed", "images", "logprobs"},
        speaks=frozenset({CHAT, COMPLETIONS, EMBEDDINGS}),
        renamed=_ONE_BOUND,
        unsaid=frozenset({"top_k", "user"}),
        efforts=_FOUR,
        purposes={"search_query": "query", "search_document": "passage"},
    ),
    Endpoint(
        name="perplexity",
        address="https://api.perplexity.ai",
        can=_TEXT - {"tools"} | {"images", "citations"},
        renamed=_ONE_BOUND,
        unsaid=frozenset({"seed", "user", "stop"}),
        efforts={**_FOUR, "minimal": "minimal"},
        stream_usage=False,
    ),
    Endpoint(
        name="voyage",
        address="https://api.voyageai.com/v1",
        can=frozenset({"embed", "rerank"}),
        speaks=frozenset(),  # it refuses the float that OpenAI's clients name
        renamed={"dimensions": "output_dimension"},
        unsaid=frozenset({"user"}),
        purposes={"search_query": "query", "search_document": "document"},
        rerank_top="top_k",
    ),
)
