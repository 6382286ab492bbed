"""What the gateway keeps of a request: a usage row for each attempt, an audit row where it mutates, its timeline."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

UsageSource = Literal["provider", "counted", "estimated", "none"]
"""Who counted the tokens: the provider, a tokenizer of ours, an estimate from the bytes, or nobody: none were made."""

Outcome = Literal["ok", "error", "client_closed", "timeout", "interrupted", "overtaken"]
"""`interrupted`: the gateway was killed while the call was under way. `overtaken`: another copy of the call answered
first, and this one was cut off."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True, tag="usage", array_like=True):
    """One attempt at one backend. Only the serving attempt has a `cost`; the others are the provider's affair.

    Money is in nano-units, times in microseconds but `created_at`, which is seconds since the epoch.
    """

    id: str
    request_id: str
    created_at: float
    partner_id: str
    tenant_id: str
    user_id: str
    key_id: str | None
    model: str
    backend_id: str
    dialect: str
    operation: str
    stream: bool
    attempt: int
    serving: bool
    outcome: Outcome
    error_code: str | None
    tokens_in: int
    tokens_cache_read: int
    tokens_cache_write: int
    tokens_cache_write_1h: int
    tokens_out: int
    tokens_reasoning: int
    usage_source: UsageSource
    cost: int
    backend_cost: int
    price_version: str
    first_byte_us: int | None
    latency_us: int
    tags: Mapping[str, str] = {}
    # What came later stands behind, with a default: a journal may hold rows of the release before.
    groups: tuple[str, ...] = ()
    """Ids of the groups that the user was in."""
    tokens_audio_in: int = 0
    tokens_audio_out: int = 0
    tokens_image_in: int = 0
    tokens_image_out: int = 0
    images: int = 0
    milliseconds: int = 0
    """Of sound, where it is charged by its length."""
    overrun: int = 0
    """Nano-units by which the cost is more than what was reserved for it: the provider did not keep to its bound."""
    backend_price_version: str = ""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, tag="audit", array_like=True):
    """Who did what to which resource, from where, and how it ended; refusals too."""

    id: str
    timestamp: float
    action: str
    """`resource.verb`: `inference.chat`."""
    actor_id: str | None
    actor_email: str | None
    actor_type: Literal["user", "service", "webhook", "anonymous"]
    tenant_id: str | None
    partner_id: str | None
    resource_type: str
    resource_id: str | None
    ip_address: str | None
    user_agent: str | None
    status: Literal["SUCCESS", "FAILURE"]
    http_status: int
    error_code: str | None
    request_id: str
    before: msgspec.Raw | None = None
    after: msgspec.Raw | None = None


class Begun(msgspec.Struct, frozen=True, tag="begun", array_like=True):
    """An attempt that lasts: its row as it will stand in the ledger where its worker dies before it has another."""

    row: UsageRow

    @property
    def id(self) -> str:
        """Of the row, as of the one that follows."""
        return self.row.id


class Settling(msgspec.Struct, frozen=True, tag="settling", array_like=True):
    """A row, and how its call's lease is settled right after it: where its worker dies between, another one does it."""

    row: UsageRow
    lease: str
    used: Mapping[str, int]
    """By bucket key."""

    @property
    def id(self) -> str:
        """Of the row."""
        return self.row.id


class TimelineRow(msgspec.Struct, frozen=True, kw_only=True, tag="timeline", array_like=True):
    """What became of one inference request, step by step: a `Timeline` as JSON, and whose it is.

    `id` is the gateway's own: a caller may send the same request id twice, and another tenant's caller the same one.
    """

    id: str
    request_id: str
    created_at: float
    partner_id: str
    tenant_id: str
    user_id: str
    key_id: str | None
    document: str


Row = UsageRow | AuditRow | TimelineRow
"""What the ledger has a table for."""
Record = Row | Begun | Settling
"""What the journal takes."""


class Recorder(Protocol):
    """Where links and the forwarder put what has to be kept."""

    def check(self) -> None:
        """Raises GatewayError(STORE_UNAVAILABLE) where nothing could be kept just now: for what would be billed."""
        ...

    def append(self, record: Record) -> None:
        """Returns once the record survives the death of the process.

        Raises GatewayError(STORE_UNAVAILABLE) where it cannot be kept (disk full): nothing billed goes out unrecorded.
        """
        ...
