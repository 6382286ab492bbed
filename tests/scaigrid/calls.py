"""Exchanges of calls, as far as they have come: decoded, or answered after a first backend had failed."""

import json
from typing import Any

from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, Reserved
from scaigrid.limiter import Bucket, Take
from scaigrid.types import Usage
from tests.harness.services import Parts

WINDOW = Bucket(key="limit:requests:60:user_u", level="user", kind="requests", limit=5)
TOKENS = Bucket(key="limit:tokens:60:user_u", level="user", kind="tokens", limit=5_000)
AT_ONCE = Bucket(key="limit:at-once:user_u", level="user", kind="concurrency", limit=5, fund=True)
COST = Bucket(key="budget:b:cost:0", level="tenant", kind="cost", limit=10**9, fund=True, name="monthly")


def opened(parts: Parts, model: str = "acme/chat", **body: Any) -> Exchange:
    """A chat call by the holder of the first key, decoded."""
    dialect = parts.services.dialect_of("/v1/inference/chat")
    made = Exchange(
        request_id="req_1",
        method="POST",
        path="/v1/inference/chat",
        dialect=dialect,
        snapshot=parts.snapshot,
        principal=parts.principal,
        started=parts.clock.monotonic(),
        started_at=parts.clock.now(),
        authenticated=True,
    )
    asked = {"model": model, "messages": [{"role": "user", "content": "my secret words"}], **body}
    made.call = dialect.decode(made.path, json.dumps(asked).encode())
    made.model = parts.snapshot.models.get(model)
    return made


def served(parts: Parts) -> Exchange:
    """The first backend fails after 125 ms, the second one begins to answer 250 ms later, and all is over at 1 s.

    The times are exact in binary.
    """
    made = opened(parts, stream=True)
    one, two = made.candidates = parts.snapshot.backends
    began = made.started
    made.marks = [("request_id", began), ("budget", began + 0.03125)]
    made.skipped = {"two": "breaker open for 3.0 s"}
    made.takes = [Take(WINDOW, 1), Take(TOKENS, 900), Take(AT_ONCE, 1), Take(COST, 5_000)]
    failed = Attempt(
        backend=one,
        model=made.model,
        id="usage_1",
        started=began + 0.0625,
        ended=began + 0.125,
        error=GatewayError(Code.BACKEND_RATE_LIMITED),
        failure="rate_limited",
        status=429,
    )
    good = Attempt(
        backend=two,
        model=made.model,
        because="failover",
        id="usage_2",
        waited=0.125,
        started=began + 0.25,
        first_byte=began + 0.375,
        ended=began + 0.75,
        status=200,
    )
    made.attempts = [failed, good]
    made.first_byte, made.upstream_seconds, made.settled = began + 0.375, 0.1875, began + 0.875
    made.served = made.response_started = True
    made.status, made.bytes_sent = 200, 321
    made.usage, made.usage_source, made.cost, made.backend_cost = Usage(input=8, output=6), "provider", 1_234, 77
    made.reserved = Reserved(900, 5_000)
    parts.clock.advance(1)
    return made
