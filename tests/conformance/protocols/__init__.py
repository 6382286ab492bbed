"""The protocols of the providers: a new one is one file and one line here."""

from typing import Final

from tests.conformance.protocol import Protocol
from tests.conformance.protocols import (
    anthropic,
    bedrock,
    cohere,
    google,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_kept,
    openai_rerank,
    openai_responses,
)

PROTOCOLS: Final[tuple[Protocol, ...]] = (
    openai_chat.PROTOCOL,
    openai_completions.PROTOCOL,
    openai_embeddings.PROTOCOL,
    openai_responses.PROTOCOL,
    openai_kept.CALLS,
    openai_kept.ANSWERS,
    openai_rerank.PROTOCOL,
    anthropic.PROTOCOL,
    bedrock.PROTOCOL,
    cohere.PROTOCOL,
    ollama.PROTOCOL,
    google.PROTOCOL,
    google.CLOUD,
)
