"""How a budget stands in its current period: what is spent and reserved of it, what remains, and what that means."""

from collections.abc import Mapping
from math import inf
from typing import Annotated, Literal, NamedTuple

from scaigrid.config.snapshot import Fund
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.limiter import Kind
from scaigrid.pricing import to_decimal
from scaigrid.timestamps import iso

BudgetState = Annotated[Literal["ok", "soft_limit_reached", "exhausted", "throttled"], OPEN]


class BudgetAmounts(AnswerShape, kw_only=True):
    """One amount for each limit; null where there is no such limit."""

    cost: str | None
    """A decimal string."""
    tokens: int | None
    requests: int | None


class BudgetUsage(AnswerShape, kw_only=True):
    """What counts in the current period, calls that are still under way apart; null where there is no such limit."""

    period_start: str | None
    """ISO 8601, UTC; null for a budget that never starts anew."""
    period_end: str | None
    """When the next period begins."""
    cost: str | None
    """A decimal string."""
    tokens: int | None
    requests: int | None
    reserved: BudgetAmounts
    """The most that the calls can use that are still under way."""
    remaining: BudgetAmounts
    """What a call could use yet: what is neither spent nor reserved."""


class Standing(NamedTuple):
    """A budget in its current period, which begins and ends at these seconds since the epoch; each amount by kind."""

    start: float
    end: float
    funds: dict[Kind, Fund]
    spent: dict[Kind, int]
    reserved: dict[Kind, int]


def usage(standing: Standing) -> BudgetUsage:
    spent, reserved = standing.spent, standing.reserved
    left: Mapping[Kind, int] = {
        kind: max(fund.limit - spent[kind] - reserved[kind], 0) for kind, fund in standing.funds.items()
    }
    now = _amounts(spent)
    return BudgetUsage(
        period_start=None if standing.end == inf else iso(standing.start),
        period_end=None if standing.end == inf else iso(standing.end),
        cost=now.cost,
        tokens=now.tokens,
        requests=now.requests,
        reserved=_amounts(reserved),
        remaining=_amounts(left),
    )


def state(standing: Standing) -> BudgetState:
    """The gravest that holds of one of its limits."""
    reached = [fund for kind, fund in standing.funds.items() if standing.spent[kind] >= fund.limit]
    if reached:
        return "throttled" if reached[0].action == "throttle" else "exhausted"
    warned = any(
        fund.soft is not None and standing.spent[kind] >= fund.limit * fund.soft
        for kind, fund in standing.funds.items()
    )
    return "soft_limit_reached" if warned else "ok"


def _amounts(by_kind: Mapping[Kind, int]) -> BudgetAmounts:
    cost = by_kind.get("cost")
    return BudgetAmounts(
        cost=None if cost is None else to_decimal(cost),
        tokens=by_kind.get("tokens"),
        requests=by_kind.get("requests"),
    )
