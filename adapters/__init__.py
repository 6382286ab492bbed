"""THE PROVIDERS: one adapter a line, by the provider type that a configuration names."""

from collections.abc import Mapping
from typing import Final

from adapters.anthropic import Anthropic
from adapters.azure import Azure
from adapters.bedrock import Bedrock
from adapters.cohere import Cohere
from adapters.endpoints import ROWS
from adapters.google import Google
from adapters.ollama import Ollama
from adapters.openai import Custom, OpenAI, of_row
from adapters.simulator import Simulator
from scaigrid.adapter import Adapter

ADAPTERS: Final[Mapping[str, Adapter]] = {
    "openai": OpenAI(),
    "azure": Azure(),
    "anthropic": Anthropic(),
    **{row.name: of_row(row) for row in ROWS},  # endpoints of the OpenAI protocol: groq, mistral, openrouter ...
    "google": Google(),  # Gemini, by its own API or by Vertex AI
    "bedrock": Bedrock(),  # any maker's models, by AWS
    "cohere": Cohere(),
    "ollama": Ollama(),
    "custom": Custom(),  # any other one
    "simulator": Simulator(),  # answers inside the process
}
