"""Calls as intake makes them, for whoever reads what a request is."""

import json
from typing import Any

from scaigrid.call import Call
from tests.harness.services import Parts

PATHS = {
    "openai": "/oai/v1/chat/completions",
    "native": "/v1/inference/chat",
    "anthropic": "/anthropic/v1/messages",
    "responses": "/oai/v1/responses",
    "embeddings": "/oai/v1/embeddings",
}


def asked(parts: Parts, at: str = "openai", **fields: Any) -> Call:
    """A chat call in the OpenAI dialect with these fields beside a short message, or one at another of the paths."""
    body: dict[str, Any] = {"model": parts.model.slug, "messages": [{"role": "user", "content": "Hi"}], **fields}
    path = PATHS[at]
    found = {name: value for name, value in body.items() if value is not None}
    return parts.services.dialect_of(path).decode(path, json.dumps(found).encode())
