"""Rows for tests, each field with a value of its own, so that two swapped columns are seen."""

from typing import Any

import msgspec

from scaigrid.ledger.records import AuditRow, TimelineRow, UsageRow

_USAGE = UsageRow(
    id="usage_0",
    request_id="req_0",
    created_at=1_800_000_000.25,
    partner_id="partner_p",
    tenant_id="tenant_t",
    user_id="user_u",
    key_id="apikey_k",
    model="acme/large",
    backend_id="be_b",
    dialect="openai",
    operation="chat",
    stream=True,
    attempt=1,
    serving=True,
    outcome="ok",
    error_code=None,
    tokens_in=11,
    tokens_cache_read=12,
    tokens_cache_write=13,
    tokens_cache_write_1h=14,
    tokens_out=15,
    tokens_reasoning=7,
    usage_source="provider",
    cost=2_000_001,
    backend_cost=1_000_002,
    price_version="2027-01",
    first_byte_us=101,
    latency_us=202,
    tags={"team": "blue", "ort": "Köln"},
    groups=("group_a", "group_b"),
    tokens_audio_in=16,
    tokens_audio_out=17,
    tokens_image_in=18,
    tokens_image_out=19,
    images=20,
    milliseconds=21,
    overrun=22,
    backend_price_version="2027-02",
)
_AUDIT = AuditRow(
    id="audit_0",
    timestamp=1_800_000_000.5,
    action="inference.chat",
    actor_id="user_u",
    actor_email="u@example.com",
    actor_type="user",
    tenant_id="tenant_t",
    partner_id="partner_p",
    resource_type="model",
    resource_id="acme/large",
    ip_address="192.0.2.7",
    user_agent="probe/1.0",
    status="SUCCESS",
    http_status=200,
    error_code=None,
    request_id="req_0",
)

_TIMELINE = TimelineRow(
    id="timeline_0",
    request_id="req_0",
    created_at=1_800_000_000.75,
    partner_id="partner_p",
    tenant_id="tenant_t",
    user_id="user_u",
    key_id="apikey_k",
    document='["native"]',
)


def usage_row(number: int = 0, **changes: Any) -> UsageRow:
    """Row `number` of a sequence: ids and time go with it."""
    own = {"id": f"usage_{number:06d}", "request_id": f"req_{number:06d}", "created_at": _USAGE.created_at + number}
    return msgspec.structs.replace(_USAGE, **{**own, **changes})


def audit_row(number: int = 0, **changes: Any) -> AuditRow:
    """Row `number` of a sequence: ids and time go with it."""
    own = {"id": f"audit_{number:06d}", "request_id": f"req_{number:06d}", "timestamp": _AUDIT.timestamp + number}
    return msgspec.structs.replace(_AUDIT, **{**own, **changes})


def timeline_row(number: int = 0, **changes: Any) -> TimelineRow:
    """Row `number` of a sequence: ids and time go with it."""
    own = {
        "id": f"timeline_{number:06d}",
        "request_id": f"req_{number:06d}",
        "created_at": _TIMELINE.created_at + number,
    }
    return msgspec.structs.replace(_TIMELINE, **{**own, **changes})
