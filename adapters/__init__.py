"""THE PROVIDERS: one adapter a line, by the provider type that a configuration names."""

from collections.abc import Mapping
from typing import Final

from adapters.anthropic import Anthropic
from adapters.openai import Custom, OpenAI
from adapters.simulator import Simulator
from scaigrid.adapter import Adapter

ADAPTERS: Final[Mapping[str, Adapter]] = {
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "custom": Custom(),  # any other endpoint of the OpenAI protocol
    "simulator": Simulator(),  # answers inside the process
}
