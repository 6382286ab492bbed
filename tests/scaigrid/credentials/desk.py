"""A token endpoint without a network: it answers what it is told to, and keeps what it was asked."""

import json
from typing import Any
from urllib.parse import parse_qs

from scaigrid.adapter import UpstreamRequest


class Desk:
    """The port `Fetch`."""

    def __init__(self, status: int = 200, **answer: Any) -> None:
        self.status = status
        self.answer = answer or {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}
        self.asked: list[UpstreamRequest] = []

    async def __call__(self, request: UpstreamRequest) -> tuple[int, bytes]:
        self.asked.append(request)
        return self.status, json.dumps(self.answer).encode()

    @property
    def fields(self) -> dict[str, str]:
        """The form that came last."""
        return {name: value for name, (value,) in parse_qs(self.asked[-1].body.decode()).items()}


REQUEST = UpstreamRequest("POST", "https://provider.example/v1/chat", (("content-type", "application/json"),), b"{}")
