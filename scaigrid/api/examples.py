"""Examples for the OpenAPI document. Those of calls and errors are made by the dialects, so they are true."""

from collections.abc import Sequence
from typing import Any

import msgspec

from scaigrid.api.anthropic_models import AnthropicModel
from scaigrid.api.envelope import Items, ListEnvelope, Pagination
from scaigrid.api.health import Alive, Ready
from scaigrid.api.health_detailed import BackendCounts, DatabaseHealth, DetailedHealth, StoreHealth
from scaigrid.api.me import Me, MeKey, MeParty, MeUser
from scaigrid.api.models import ModelItem
from scaigrid.api.oai_models import OpenAIModel
from scaigrid.api.prices import PricesGiven, model_prices, prices_of
from scaigrid.api.usage import UsageItem
from scaigrid.control.prices import price_list
from scaigrid.dialect import Dialect
from scaigrid.dialects.native_shapes import Envelope, EnvelopeMeta
from scaigrid.errors import TABLE, Code, Detail, GatewayError
from scaigrid.types import Counted, Done, Event, Modality, Operation, Ranked, Start, Text, Usage, Vector

REQUEST_ID = "req_019b76da80f47c1f9d3e5a6b7c8d9e0f"

MODEL_PRICES = model_prices(price_list(prices_of(PricesGiven(input="2.5", output="10", cached_input="1.25"))))
MODEL = ModelItem(
    id="model_8f14e45fceea167a5a36dedd4bea2543",
    slug="openai/gpt-4o",
    display_name="GPT-4o",
    description="For chat with pictures.",
    modality=Modality.CHAT,
    context_window=128_000,
    max_output_tokens=16_384,
    status="active",
    health_status="healthy",
    active_backend_count=2,
    total_backend_count=2,
    prices=MODEL_PRICES,
    metadata={"team": "support"},
)
OPENAI_MODEL = OpenAIModel(id="openai/gpt-4o", owned_by="openai", context_window=128_000, max_output_tokens=16_384)
ANTHROPIC_MODEL = AnthropicModel(
    id="openai/gpt-4o", display_name="GPT-4o", max_input_tokens=128_000, max_tokens=16_384, lifecycle="active"
)
ME = Me(
    user=MeUser(
        id="user_45c48cce2e2d7fbdea1afc51c7c6ad26", name="ada", email="ada@example.com", display_name="Ada Lovelace"
    ),
    tenant=MeParty(id="tenant_d3d9446802a44259755d38e6d163e820", name="acme", display_name="Acme"),
    partner=MeParty(id="partner_6512bd43d9caa6e02c990b0a82652dca", name="default", display_name="default"),
    key=MeKey(
        id="apikey_c20ad4d76fe97759aa27a0c99bff6710",
        name="ada-laptop",
        expires_at="2027-01-31T00:00:00.000000Z",
        addresses=("10.0.0.0/8",),
    ),
    roles=("tenant_user",),
    permissions=("accounting:view_own", "api_keys:manage", "models:list", "models:use", "modules:use"),
    models=None,
    scopes=None,
    reach="tenant",
    tenant_header=None,
)
USAGE = UsageItem(
    id="usage_019b76da81a27c30a1b2c3d4e5f60718",
    request_id=REQUEST_ID,
    created_at="2026-01-31T12:00:00.000000Z",
    partner_id=ME.partner.id,
    tenant_id=ME.tenant.id,
    user_id=ME.user.id,
    key_id=ME.key.id if ME.key else None,
    model=MODEL.slug,
    backend_id="be_aab3238922bcc25a6f606eb525ffdc56",
    dialect="native",
    operation="chat",
    attempt=1,
    outcome="ok",
    error_code=None,
    stream=False,
    tokens_in=10,
    tokens_out=2,
    cached_input_tokens=0,
    cache_write_tokens=0,
    reasoning_tokens=0,
    audio_input_tokens=0,
    audio_output_tokens=0,
    image_input_tokens=0,
    image_output_tokens=0,
    images=0,
    seconds=0.0,
    usage_source="provider",
    cost="0.000045",
    overrun="0",
    price_version="2026-01",
    first_byte_ms=240.2,
    latency_ms=812.4,
    tags={"ticket": "4711"},
)
ALIVE = Alive()
READY = Ready(status="ready", checks={"ledger": "ok", "store": "ok"})
DETAILED = DetailedHealth(
    status="degraded",
    version="1.0.0",
    uptime_seconds=86_412.5,
    pid=4711,
    workers=2,
    epoch=118,
    config_hash="5d3f0a9be1c2",
    changed_at="2026-01-31T12:00:00.000000Z",
    models=12,
    checks={"ledger": "ok", "store": "ok"},
    database=DatabaseHealth(kind="postgresql", status="ok", epoch=118),
    store=StoreHealth(type="valkey", status="ok"),
    backends=BackendCounts(healthy=5, degraded=1, unavailable=0),
)
NOT_READY = Ready(status="not_ready", checks={"ledger": "the database cannot be written", "store": "ok"})
NOT_READY_IN_DETAIL = msgspec.structs.replace(
    DETAILED,
    status="not_ready",
    checks=NOT_READY.checks,
    database=DatabaseHealth(kind="postgresql", status="it cannot be reached", epoch=None),
)

_ASKED: dict[Operation, dict[str, Any]] = {
    "chat": {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 100},
    "embed": {"model": "openai/text-embedding-3-small", "input": ["Say hello."]},
    "count_tokens": {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]},
    "rerank": {"model": "cohere/rerank-v4", "query": "Who says hello?", "documents": ["A stone.", "A friend."]},
}
_ASKED_AT: dict[str, dict[str, Any]] = {
    "/v1/inference/generate": {"model": "openai/gpt-4o", "prompt": "Say hello.", "max_tokens": 100},
    "/oai/v1/completions": {"model": "openai/gpt-4o", "prompt": "Say hello.", "max_tokens": 100},
    "/oai/v1/responses": {"model": "openai/gpt-4o", "input": "Say hello.", "max_output_tokens": 100},
    "/oai/v1/responses/input_tokens": {"model": "openai/gpt-4o", "input": "Say hello."},
}
"""Where a call looks otherwise than what is usual for its operation."""
_ANSWERED: dict[Operation, Sequence[Event]] = {
    "chat": (
        Start("chatcmpl-123", 1_769_860_800),
        Text("Hello"),
        Text("!"),
        Usage(input=10, output=2),
        Done("stop"),
    ),
    "embed": (
        Start("", 1_769_860_800),
        Vector(0, msgspec.Raw(b"[0.0023,-0.0093,0.0157]")),
        Usage(input=3),
    ),
    "count_tokens": (Counted(10),),
    "rerank": (Start(""), Ranked(1, 0.98), Ranked(0, 0.02), Usage()),
}
_DETAILS = {Code.VALIDATION_ERROR: (Detail("limit", "must be an integer from 1 to 1000"),)}
_WAIT_SECONDS = 12


class _Answered(msgspec.Struct, frozen=True):
    """The request that the examples of calls answer."""

    request_id: str = REQUEST_ID
    started_at: float = 1_769_860_800.0
    cost: int = 45_000


def enveloped(data: Any) -> Envelope[Any]:
    """`data` as an answer of `/v1` gives it."""
    return Envelope(data=data, meta=EnvelopeMeta(request_id=REQUEST_ID))


def listed(item: Any) -> ListEnvelope[Any]:
    """A list of one."""
    pagination = Pagination(has_more=False, next_cursor=None)
    return ListEnvelope(data=Items(items=(item,)), pagination=pagination, meta=EnvelopeMeta(request_id=REQUEST_ID))


def asked(path: str, operation: Operation) -> dict[str, Any]:
    """The body of a call at `path`."""
    return _ASKED_AT.get(path) or _ASKED[operation]


def answered(dialect: Dialect, path: str) -> Any:
    """The body of the plain answer to it."""
    return msgspec.json.decode(_rendered(dialect, path, stream=False))


def streamed(dialect: Dialect, path: str) -> str:
    """The streamed answer to it."""
    return _rendered(dialect, path, stream=True).decode()


def refused(dialect: Dialect, code: Code) -> Any:
    """The body of the error `code`."""
    error = GatewayError(
        code,
        details=_DETAILS.get(code, ()),
        retry_after=_WAIT_SECONDS if TABLE[code].retry == "after" else None,
        level="key" if code in (Code.RATE_LIMITED, Code.BUDGET_EXCEEDED) else None,
    )
    _, body = dialect.error(error, REQUEST_ID)
    return msgspec.json.decode(body)


def _rendered(dialect: Dialect, path: str, *, stream: bool) -> bytes:
    operation = dialect.operations[path]
    body = asked(path, operation)
    call = dialect.decode(path, msgspec.json.encode({**body, "stream": True} if stream else body))
    renderer = dialect.renderer(call, _Answered())
    pieces = [renderer.render([event]) for event in _ANSWERED[operation]]
    return b"".join([*pieces, renderer.close()])
