"""One call on its way to a scripted upstream: for the tests of the attempt loop and of a single attempt."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.forwarder import Forwarder
from scaigrid.middleware import begin
from tests.harness import behaviours
from tests.harness.asgi import Request
from tests.harness.behaviours import compact, completion, openai_frames
from tests.harness.lanes import CHAT_URL, chat
from tests.harness.services import MODEL, Parts
from tests.harness.upstream import Planned, ScriptedUpstream

PLAIN = compact(completion("Hello.", tokens=(9, 3)))
STREAM = openai_frames("Hel", "lo.", tokens=(9, 3))
ANTHROPIC = compact(behaviours.anthropic_message("Hello.", tokens=(9, 3)))
SERVED = 9 * 3_000 + 3 * 15_000
"""What a call costs that the provider says had 9 tokens in and 3 out."""
SHORT = {"connect": 5, "first_byte": 0.03, "idle": 0.03, "total": 5}


class Scene:
    """One call on its way: the services, the exchange as the chain leaves it, the client and the upstream."""

    def __init__(
        self,
        *plans: Planned,
        dialect: str = "openai",
        asked: Mapping[str, Any] | None = None,
        providers: tuple[str, ...] = ("openai", "openai", "openai"),
        route: Mapping[str, Any] | None = None,
        config: ForwarderConfig | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> None:
        """The model has one backend for each of `providers`, in that order; `route` tells the rest of it."""
        names = "abcdef"[: len(providers)]
        targets = [{"backend": name, "priority": place} for place, name in enumerate(names)]
        self.parts = Parts(
            providers={
                name: {"type": kind, "base_url": f"http://{name}.invalid/v1", "api_key": "k"}
                for name, kind in zip(names, providers, strict=True)
            },
            backends={
                name: {"provider": name, "model": f"m-{name}", "cost": {"input": 1, "output": 5}} for name in names
            },
            models={"acme/chat": {**MODEL, **(model or {}), "route": {"targets": targets, **(route or {})}}},
        )
        self.upstream = ScriptedUpstream(*plans)
        body = json.dumps({**chat("acme/chat"), **(asked or {})}).encode()
        self.request = Request(CHAT_URL[dialect], body=body)
        self.exchange, self.send = begin(self.request.scope, self.request.send, self.parts.services, "test")
        self._ready(self.exchange, body)
        self.forwarder = Forwarder(self.parts.services, {"http": self.upstream}, config or ForwarderConfig())

    def _ready(self, exchange: Exchange, body: bytes) -> None:
        exchange.principal = self.parts.principal
        exchange.call = exchange.dialect.decode(exchange.path, body)
        exchange.model = self.parts.model
        exchange.candidates = [candidate.backend for tier in self.parts.model.route.tiers for candidate in tier]

    async def run(self) -> GatewayError | None:
        """Why there was no answer, or no whole one; None where there was."""
        try:
            await self.forwarder(self.request.scope, self.request.receive, self.send)
        except GatewayError as error:
            return error
        return None

    async def code(self) -> Code | None:
        error = await self.run()
        return error.code if error else None

    @property
    def asked(self) -> str:
        """The backends that were asked, in order."""
        return "".join(attempt.backend.name for attempt in self.exchange.attempts)

    @property
    def rows(self) -> list[tuple[str, bool, str, int]]:
        """Of each usage row: outcome, whether it served, who counted, and the cost."""
        return [(row.outcome, row.serving, row.usage_source, row.cost) for row in self.parts.kept.usage]

    def inflight(self) -> float:
        return self.parts.metrics.value("scaigrid_backend_inflight_requests")


def plain() -> Planned:
    return Planned(PLAIN)


def streamed(*pieces: bytes | asyncio.Event | Exception) -> Planned:
    return Planned(*(pieces or STREAM))


FAILED = ("error", False, "none", 0)
FINE = ("ok", True, "provider", SERVED)
