"""What became of a request."""

from msgspec import UNSET

from scaigrid.api import examples
from scaigrid.api.operation import Area, Operation
from scaigrid.api.request_timeline import (
    RequestAttempt,
    RequestBackend,
    RequestHold,
    RequestLink,
    RequestReservation,
    RequestTimeline,
    RequestTokens,
)
from scaigrid.api.requests import PATH
from scaigrid.api.resources.examples import id_of
from scaigrid.api.usage_selection import READING
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_USED = examples.USAGE
_OTHER = id_of("be")
_LINKS = (
    ("request_id", 0.0, 0.02),
    ("errors", 0.02, 0.01),
    ("access_log", 0.03, 0.01),
    ("audit", 0.04, 0.01),
    ("timeline", 0.05, 0.01),
    ("tenancy", 0.06, 0.05),
    ("intake", 0.11, 0.21),
    ("rate_limit", 0.32, 0.02),
    ("budget", 0.34, 0.4),
    ("route_resolve", 0.74, 0.06),
)
_TOLD = RequestTimeline(
    request_id=_USED.request_id,
    source="timeline",
    created_at=_USED.created_at,
    partner_id=_USED.partner_id,
    tenant_id=_USED.tenant_id,
    user_id=_USED.user_id,
    key_id=_USED.key_id,
    tenant=examples.ME.tenant.name,
    user=examples.ME.user.name,
    key=examples.ME.key.name if examples.ME.key else UNSET,
    dialect="native",
    surface="native/chat",
    operation="chat",
    model=_USED.model,
    served_model=_USED.model,
    stream=False,
    outcome="ok",
    status=200,
    error_code=None,
    level=None,
    client_left=False,
    repeats=None,
    first_byte_ms=811.2,
    upstream_ms=809.9,
    overhead_ms=1.3,
    settled_ms=811.9,
    duration_ms=812.4,
    bytes_sent=412,
    links=[RequestLink(name=name, reached_ms=at, took_ms=took) for name, at, took in _LINKS],
    candidates=[
        RequestBackend(backend_id=_OTHER, backend="gpt-4o-us"),
        RequestBackend(backend_id=_USED.backend_id, backend="gpt-4o-eu"),
    ],
    skipped=(),
    attempts=[
        RequestAttempt(
            backend_id=_OTHER,
            backend="gpt-4o-us",
            id="usage_019b76da81a27c30a1b2c3d4e5f60717",
            model=_USED.model,
            because="first",
            waited_ms=0.0,
            started_ms=0.8,
            first_byte_ms=None,
            ended_ms=502.3,
            provider_status=503,
            outcome="failed",
            error_code="BACKEND_ERROR",
            failure="server_error",
        ),
        RequestAttempt(
            backend_id=_USED.backend_id,
            backend="gpt-4o-eu",
            id=_USED.id,
            model=_USED.model,
            because="failover",
            waited_ms=0.0,
            started_ms=502.6,
            first_byte_ms=811.2,
            ended_ms=811.5,
            provider_status=200,
            outcome="served",
            error_code=None,
            failure=None,
        ),
    ],
    limits=[
        RequestHold(
            type="limit", level="user", kind="requests", name=None, period_seconds=60.0, reserved="1", settled="1"
        ),
        RequestHold(
            type="budget",
            level="tenant",
            kind="cost",
            name="monthly",
            period_seconds=None,
            reserved="0.00126",
            settled=_USED.cost,
        ),
    ],
    reserved=RequestReservation(tokens=204, cost="0.00126"),
    tokens=RequestTokens(input=_USED.tokens_in, output=_USED.tokens_out, cached_input=0, cache_write=0, reasoning=0),
    usage_source="provider",
    cost=_USED.cost,
    overrun="0",
)

AREA = Area(
    "Requests",
    "What became of a call, step by step.",
    (
        Operation(
            path=PATH + "/{request_id}",
            name="getRequest",
            summary="What became of a request",
            description="By its `X-Request-ID`: each link that it passed, each attempt with its reason, the first "
            "byte, the tokens, the settling. It can be asked for within a second of its end, for as many days as "
            "`ledger.timeline_days` says; after that, and of a call whose gateway was killed, the usage rows tell what "
            "they know. There is no text of the caller's in it, and none of the answer. Where an id was used more than "
            "once, the latest request is meant, of those that the caller's permissions reach.",
            permission=" or ".join(READING.permissions),
            parameters={"request_id": "The id that the answer has in `X-Request-ID`."},
            parameter_examples={"request_id": _USED.request_id},
            answer=Envelope[RequestTimeline],
            example=examples.enveloped(_TOLD),
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE, Code.VALIDATION_ERROR),
        ),
    ),
)
