"""The dialects of the clients: a new one is one file and one line here."""

from typing import Final

from tests.conformance.client import Client
from tests.conformance.dialects import anthropic, native, openai, responses

CLIENTS: Final[tuple[Client, ...]] = (native.CLIENT, openai.CLIENT, responses.CLIENT, anthropic.CLIENT)
