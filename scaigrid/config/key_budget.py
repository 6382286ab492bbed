"""The budget that a key carries itself, and what every budget has to have."""

from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from scaigrid.config.strict import Strict
from scaigrid.config.terms import Amount, HardAction, PerMinute, Share
from scaigrid.limiter import OnStoreFailure


class KeyBudget(Strict):
    """A hard budget of one key alone."""

    period: Literal["daily", "weekly", "monthly", "total"] = "monthly"
    """When it starts anew, at midnight of `timezone`: each day, Monday, first of the month, or never."""
    timezone: str = "UTC"
    """IANA name of the time zone in which the period begins."""
    cost_limit: Amount | None = None
    """The most that may be spent in a period, in the currency of the prices."""
    token_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """The most tokens, input and output together."""
    request_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """The most requests."""
    hard_action: HardAction = "block"
    """What becomes of a call that could go beyond a limit: `block` refuses it before it is sent, `throttle` lets
    `throttle_per_minute` such calls pass, `notify` lets all of them pass. Either way it is counted, and told once a
    period when the limit is reached."""
    soft_limit_pct: Share | None = Decimal("0.8")
    """The part of a limit at which a warning is told, once a period. `null`: none."""
    throttle_per_minute: PerMinute = 1
    """With `throttle` alone: calls in any rolling minute once the limit is reached."""
    on_store_failure: OnStoreFailure = "deny"
    """What becomes of calls while the store of the counters cannot be reached: `deny` refuses them with
    STORE_UNAVAILABLE, `allow` lets them pass this budget, as `notify` does in any case, `allow_bounded` lets each
    worker go on by itself with a share of what was left. What passed counts when the store is back."""

    def __post_init__(self) -> None:
        sized(self.cost_limit, self.token_limit, self.request_limit, self.timezone)


def sized(cost: object, tokens: object, requests: object, timezone: str) -> None:
    """Raises ValueError for a budget without an amount, or in a time zone that nobody knows."""
    if cost is None and tokens is None and requests is None:
        raise ValueError("give at least one of `cost_limit`, `token_limit` and `request_limit`")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"`timezone`: there is no time zone {timezone!r}") from None
