"""What an answer says of how it came about, where a backend was asked and none answered."""

from scaigrid.asgi import Headers
from scaigrid.exchange import Exchange


def failure_headers(exchange: Exchange, now: float, *, expose_backend: bool) -> Headers:
    """The headers that an answer of a backend has, for a failure: of the last attempt. `now` in monotonic seconds.

    Nothing where no attempt was made, or where the answer has begun.
    """
    attempts = exchange.attempts
    if not attempts or exchange.response_started:
        return []
    last = attempts[-1]
    overhead = max(now - exchange.started - exchange.upstream_seconds, 0.0)
    model = last.model or exchange.model
    added = [(b"x-scaigrid-attempts", b"%d" % len(attempts)), (b"x-scaigrid-overhead-ms", b"%.3f" % (overhead * 1000))]
    if model is not None:
        added.append((b"x-scaigrid-model", model.slug.encode()))
    if expose_backend:
        added.append((b"x-scaigrid-backend", last.backend.name.encode()))
    return added
