"""Budgets -> funds: one for each amount that a budget limits, of the partner, tenant, user, group, key or model."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from zoneinfo import ZoneInfo

from scaigrid.config.snapshot import Fund
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.errors import Level
from scaigrid.limiter import Kind
from scaigrid.pricing import to_nano


def funds_of(state: State) -> Iterator[Fund]:
    """Those of every budget, the budgets that keys carry themselves included."""
    budgets, keys = state.all("budget"), state.all("api_key")
    for id_, budget in state.documents(docs.Budget):
        subject = budget.scope_id
        if budget.scope == "model":
            # What the ledger knows a model by.
            subject = state.document(docs.Model, subject).name
        yield from _amounts(budgets[id_], budget.scope, subject, budget, state)
    for id_, key in state.documents(docs.ApiKey):
        if key.budget is not None:
            yield from _amounts(keys[id_], "key", id_, key.budget, state)


def _amounts(
    of: Resource, level: Level, subject: str, amounts: docs.Budget | docs.Amounts, state: State
) -> Iterator[Fund]:
    limits: Mapping[Kind, int | None] = {
        "cost": None if amounts.cost_limit is None else to_nano(amounts.cost_limit),
        "tokens": amounts.token_limit,
        "requests": amounts.request_limit,
    }
    zone = ZoneInfo(amounts.timezone)
    soft = None if amounts.soft_limit_pct is None else Fraction(amounts.soft_limit_pct)
    tenant_id, partner_id = state.tenant_of(of), state.partner_of(of)
    for kind, limit in limits.items():
        if limit is not None:
            yield Fund(
                id=of.id,
                name=of.name,
                level=level,
                subject=subject,
                kind=kind,
                limit=limit,
                period=amounts.period,
                zone=zone,
                action=amounts.hard_action,
                soft=soft,
                throttle=amounts.throttle_per_minute,
                on_store_failure=amounts.on_store_failure,
                tenant_id=tenant_id,
                partner_id=partner_id,
            )
