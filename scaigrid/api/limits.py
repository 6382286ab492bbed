"""The limits of one party as they are sent, judged and shown, wherever in the API they stand."""

from typing import Annotated, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.api.levels import Level
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Count, Limits
from scaigrid.control import documents as docs
from scaigrid.control.buckets import DAY, MINUTE, request_takes, requests_per_minute, token_buckets
from scaigrid.control.resource import Resource
from scaigrid.control.rules import limit_faults
from scaigrid.control.state import State
from scaigrid.dialects.shapes import OPEN, AnswerShape, RequestShape
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Kind, OnStoreFailure

Source = Literal["default", "own"]
_Limited = docs.Partner | docs.Tenant | docs.User | docs.ApiKey | docs.Model


class RateLimitGiven(RequestShape):
    """Limits, as they are sent: all of a party's, so that what is left out is none from then on."""

    requests_per_minute: Count | None
    """Requests in any rolling minute. Null: no limit. 0: every request is refused."""
    requests_per_day: Count | None = None
    """Requests in any rolling 24 hours."""
    tokens_per_minute: Count | None = None
    """Tokens in any rolling minute, input and output together. Every chat model needs `max_output_tokens` then."""
    tokens_per_day: Count | None = None
    """Tokens in any rolling 24 hours."""
    concurrent_requests: Count | None = None
    """Requests at the same time."""
    on_store_failure: OnStoreFailure = "deny"
    """What becomes of requests while the counters cannot be reached: `deny` refuses them with STORE_UNAVAILABLE,
    `allow` lets them pass uncounted, `allow_bounded` lets each worker go on by itself with a share of these limits."""

    def limits(self) -> Limits:
        """The same as they are kept."""
        return Limits(**msgspec.structs.asdict(self))


class RateLimitUsed(AnswerShape, kw_only=True):
    """What counts now of each limit; null where there is no such limit."""

    requests_per_minute: int | None
    requests_per_day: int | None
    tokens_per_minute: int | None
    """Of calls under way, the most that they can use."""
    tokens_per_day: int | None
    """Likewise."""
    concurrent_requests: int | None


class RateLimits(AnswerShape, kw_only=True):
    """What one party is held to."""

    name: str
    """The party's."""
    requests_per_minute: int | None
    """Requests in any rolling minute. Null: no limit. 0: every request is refused."""
    requests_per_day: int | None
    """Requests in any rolling 24 hours. Null and 0 as there, and so with those that follow."""
    tokens_per_minute: int | None
    """Tokens in any rolling minute, input and output together."""
    tokens_per_day: int | None
    """Tokens in any rolling 24 hours."""
    concurrent_requests: int | None
    """Requests at the same time."""
    on_store_failure: Annotated[OnStoreFailure, OPEN]
    """What becomes of requests while the counters cannot be reached."""
    used: RateLimitUsed | UnsetType | None = UNSET
    """In the answer about one party alone; null while the counters cannot be reached."""
    source: Source
    """`own`: somebody has set some. `default`: what holds for every party of this scope of which nobody has."""
    origin: Origin
    """`config`: the configuration file declares the party, and its limits are read-only here."""


def limits_of(party: Resource) -> Limits:
    """Those that lie in its document."""
    return cast(_Limited, party.document).limits


def source_of(party: Resource) -> Source:
    return "default" if limits_of(party) == Limits() else "own"


def held_to(level: Level, party: Resource) -> RateLimits:
    """What holds for a party, whoever has said it."""
    limits = limits_of(party)
    return RateLimits(
        name=party.name,
        requests_per_minute=requests_per_minute(level, limits),
        requests_per_day=limits.requests_per_day,
        tokens_per_minute=limits.tokens_per_minute,
        tokens_per_day=limits.tokens_per_day,
        concurrent_requests=limits.concurrent_requests,
        on_store_failure=limits.on_store_failure,
        source=source_of(party),
        origin=party.origin,
    )


async def used_of(view: View, level: Level, party: Resource) -> RateLimitUsed | None:
    """What counts now; None while nobody can tell."""
    limits = limits_of(party)
    buckets = [take.bucket for take in request_takes(level, party.id, limits)]
    buckets += token_buckets(level, party.id, limits)
    try:
        spent = await view.services.limiter.spent(buckets)
    except GatewayError:
        # Limits can be looked at and changed all the same.
        return None
    used: dict[tuple[Kind, float], int] = {
        (bucket.kind, 0.0 if bucket.fund else bucket.period): sum(spent[bucket.key]) for bucket in buckets
    }
    return RateLimitUsed(
        requests_per_minute=used.get(("requests", MINUTE)),
        requests_per_day=used.get(("requests", DAY)),
        tokens_per_minute=used.get(("tokens", MINUTE)),
        tokens_per_day=used.get(("tokens", DAY)),
        concurrent_requests=used.get(("concurrency", 0.0)),
    )


def limited(party: Resource, limits: Limits, state: State) -> Resource:
    """The party with these limits. Raises VALIDATION_ERROR for limits on tokens that could not be kept."""
    own = cast(_Limited, party.document)
    models = (own,) if isinstance(own, docs.Model) else (model for _, model in state.documents(docs.Model))
    faults = tuple(limit_faults(limits, models))
    if faults:
        raise GatewayError(Code.VALIDATION_ERROR, details=faults)
    return msgspec.structs.replace(party, document=msgspec.structs.replace(own, limits=limits))
