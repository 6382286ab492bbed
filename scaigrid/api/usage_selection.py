"""Which usage a caller asks for, and how much of the ledger its permissions reach."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from scaigrid.api.requirement import Requirement
from scaigrid.config.snapshot import Principal
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.ledger.reading import Tag, UsageFilter
from scaigrid.ledger.records import Outcome, UsageSource
from scaigrid.periods import bounds

FilterT = TypeVar("FilterT", bound=msgspec.Struct)
READING = Requirement("accounting:view_own", "accounting:view_tenant", "accounting:view_partner", "accounting:view_all")
"""One of them is enough; the widest says how far the rows reach."""

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Moment = Annotated[datetime, Meta(tz=True)]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024)]
Limit = Annotated[int, Meta(ge=1, le=1000)]

_UTC = ZoneInfo("UTC")
_MADE = frozenset({"start", "end", "tag"})


class UsageSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What is added up."""

    start: Moment | None = None
    """The earliest time, ISO 8601 with an offset from UTC."""
    end: Moment | None = None
    """The time before which rows were made, ISO 8601 with an offset from UTC."""
    period: Literal["daily", "weekly", "monthly"] | None = None
    """Instead of start and end: the current day, week (from Monday) or month in UTC."""
    partner_id: Text | None = None
    tenant_id: Text | None = None
    user_id: Text | None = None
    key_id: Text | None = None
    model: Text | None = None
    """A slug, as requests name it."""
    backend_id: Text | None = None
    tag: Annotated[str, Meta(min_length=1, max_length=577)] | None = None
    """`name`: with that tag, whatever its value; `name:value`: with that value of it."""


class UsageSelection(UsageSpan, frozen=True, kw_only=True):
    """Which rows."""

    request_id: Text | None = None
    outcome: Outcome | None = None
    usage_source: UsageSource | None = None
    """Who counted."""


def reach_of(principal: Principal) -> UsageFilter:
    """The rows that a caller may see who meets `READING`, by the widest of the permissions that its key carries."""
    if principal.may("accounting:view_all"):
        return UsageFilter()
    if principal.may("accounting:view_partner"):
        return UsageFilter(partner_id=principal.partner.id)
    if principal.may("accounting:view_tenant"):
        return UsageFilter(tenant_id=principal.tenant.id)
    return UsageFilter(user_id=principal.user.id)


def confined(wanted: FilterT, reach: FilterT) -> FilterT | None:
    """The part of `wanted` that lies within `reach`; None where none of it does."""
    merged = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    for name in reach.__struct_fields__:
        bound = getattr(reach, name)
        if bound is not None:
            if merged[name] not in (None, bound):
                return None
            merged[name] = bound
    return type(wanted)(**merged)


def selected(query: UsageSpan, now: float) -> UsageFilter:
    """The filter that a query asks for. Raises VALIDATION_ERROR for a span that has no time in it."""
    start, end = _span(query, now)
    given: dict[str, Any] = {
        name: getattr(query, name)
        for name in UsageFilter.__struct_fields__
        if name not in _MADE and hasattr(query, name)
    }
    return UsageFilter(start=start, end=end, tag=_tag(query.tag), **given)


def _tag(text: str | None) -> Tag | None:
    if text is None:
        return None
    name, colon, value = text.partition(":")
    return Tag(name, value if colon else None)


def _span(query: UsageSpan, now: float) -> tuple[float | None, float | None]:
    if query.period is not None:
        if query.start is not None or query.end is not None:
            raise _invalid("period", "cannot be given together with start or end")
        return bounds(query.period, _UTC, now)
    if query.start is not None and query.end is not None and query.end <= query.start:
        raise _invalid("end", "must be later than start")
    return _seconds(query.start), _seconds(query.end)


def _invalid(field: str, message: str) -> GatewayError:
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, message),))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
