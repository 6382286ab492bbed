"""`/v1/accounting/budgets`: hard budgets of partners, tenants, users, keys and models, and what is spent of them."""

from collections.abc import Iterable, Sequence
from itertools import count
from math import inf
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from scaigrid.api import money
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.levels import MANAGING, PARTIES, VIEWING, Level, sees, sets
from scaigrid.api.money import Money
from scaigrid.api.resources import examples
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Label, Origin
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import OPEN, AnswerShape, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.limiter import Kind
from scaigrid.periods import Period, bounds
from scaigrid.pricing import to_decimal
from scaigrid.timestamps import iso
from scaigrid.zones import known

Count = Annotated[int, Meta(ge=0, le=2**53)]


class BudgetGiven(RequestShape, kw_only=True):
    """A budget, as it is sent, with at least one of the three limits."""

    scope: Level
    """Whose calls count. Several budgets on one call all apply. It does not change."""
    scope_id: Annotated[str, Meta(min_length=1, max_length=256)]
    """The id of that partner, tenant, user or key, or the slug of that model. It does not change."""
    name: Label | None = None
    """What refusals and metrics call it; no two of one scope_id have the same. Left out: as it was, or after its
    period."""
    period: Period
    """When it starts anew, at midnight of `timezone`: each day, each Monday, each first of the month, or never."""
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """IANA's name of the time zone in which the period begins (`Europe/Amsterdam`)."""
    cost_limit: Money | None = None
    """The most that may be spent in a period, a decimal string in the currency of the prices."""
    token_limit: Count | None = None
    """The most tokens, input and output together."""
    request_limit: Count | None = None
    """The most requests."""
    hard_action: Literal["block"] = "block"
    """What happens to a call that could overrun it: it is refused with BUDGET_EXCEEDED before it is sent."""


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


class BudgetItem(Kept, kw_only=True):
    """A budget."""

    scope: Level
    scope_id: str
    name: str
    period: Period
    timezone: str
    cost_limit: str | None
    """A decimal string."""
    token_limit: int | None
    request_limit: int | None
    hard_action: Annotated[Literal["block"], OPEN]
    usage: BudgetUsage | None
    """Null while the counters cannot be reached."""
    state: Annotated[Literal["ok", "exhausted"], OPEN] | None
    """`exhausted`: one of its limits is used up. Null while the counters cannot be reached."""


class BudgetsQuery(PageQuery, frozen=True, kw_only=True):
    """Which budgets to list."""

    scope: Level | None = None
    scope_id: str | None = None
    """An id, or the slug of a model."""
    origin: Origin | None = None


class Budgets(Collection[BudgetGiven, BudgetItem]):
    kind = "budget"
    path = "/v1/accounting/budgets"
    area = "Budgets"
    singular = "Budget"
    plural = "Budgets"
    about = (
        "Everybody sees those of its own user and keys; whoever views the usage of a tenant or a partner, or manages "
        "budgets, sees all that there are on it and below. They are set from the level above: a tenant's "
        "administrators set those of its users and keys, a partner's those of its tenants too, and only the "
        "platform's those of partners and models. The budget that a key carries itself stands with the key."
    )
    reading = VIEWING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    codes = (Code.MODEL_NOT_FOUND,)
    given = BudgetGiven
    item = BudgetItem
    query = BudgetsQuery
    example_given = BudgetGiven(
        scope="user",
        scope_id=examples.id_of("user"),
        name="monthly",
        period="monthly",
        timezone="Europe/Amsterdam",
        cost_limit="250",
    )
    example_item = BudgetItem(
        **examples.kept("budget"),
        scope="user",
        scope_id=examples.id_of("user"),
        name="monthly",
        period="monthly",
        timezone="Europe/Amsterdam",
        cost_limit="250",
        token_limit=None,
        request_limit=None,
        hard_action="block",
        usage=BudgetUsage(
            period_start="2026-10-31T23:00:00.000000Z",
            period_end="2026-11-30T23:00:00.000000Z",
            cost="17.0425",
            tokens=None,
            requests=None,
        ),
        state="ok",
    )

    def shows(self, view: View, resource: Resource) -> bool:
        budget = view.state.document(docs.Budget, resource.id)
        party = view.state.get(PARTIES[budget.scope], budget.scope_id)
        return party is not None and sees(view, party)

    def may_refer(self, view: View, resource: Resource) -> bool:
        return sees(view, resource)

    def may_change(self, view: View, resource: Resource) -> bool:
        return sets(view, view.state.document(docs.Budget, resource.id).scope)

    async def informed(self, view: View, resources: Sequence[Resource]) -> View:
        now = view.services.clock.now()
        wanted = {resource.id for resource in resources}
        funds = [fund for fund in view.services.current.snapshot.funds if fund.id in wanted]
        try:
            spent = await view.services.limiter.spent([fund.at(now) for fund in funds])
        except GatewayError:
            # A budget can be looked at and changed though nobody can tell what was spent of it.
            return view
        facts: dict[str, _Standing] = {}
        for fund in funds:
            standing = facts.setdefault(fund.id, _Standing(*bounds(fund.period, fund.zone, now), {}, {}))
            standing.spent[fund.kind] = spent[fund.at(now).key][0]
            standing.limits[fund.kind] = fund.limit
        return msgspec.structs.replace(view, facts=facts)

    def described(self, view: View, resource: Resource) -> BudgetItem:
        budget = view.state.document(docs.Budget, resource.id)
        standing: _Standing | None = view.facts.get(resource.id)
        return BudgetItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            scope=budget.scope,
            scope_id=_shown(view, budget),
            name=budget.name,
            period=budget.period,
            timezone=budget.timezone,
            cost_limit=money.shown(budget.cost_limit),
            token_limit=budget.token_limit,
            request_limit=budget.request_limit,
            hard_action="block",
            usage=None if standing is None else _usage(standing),
            state=None if standing is None else _state(standing),
        )

    def document(self, view: View, given: BudgetGiven, before: Resource | None) -> docs.Budget:
        if not sets(view, given.scope):
            raise GatewayError(
                Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not go far enough to set budgets of a {given.scope}."
            )
        old = None if before is None else view.state.document(docs.Budget, before.id)
        faults = list(_faults(given))
        scope_id = given.scope_id
        if old is not None:
            if (given.scope, given.scope_id) != (old.scope, _shown(view, old)):
                faults.append(Detail("scope_id", "does not change: delete this budget and make another one"))
            scope_id = old.scope_id
        elif given.scope == "model":
            model = view.state.named("model", given.scope_id)
            if model is None:
                raise missing("model", "scope_id")
            scope_id = model.id
        if faults:
            raise GatewayError(Code.VALIDATION_ERROR, details=tuple(faults))
        return docs.Budget(
            name=given.name or (old.name if old is not None else _free(view, given.period, scope_id)),
            scope=given.scope,
            scope_id=scope_id,
            period=given.period,
            timezone=given.timezone,
            cost_limit=money.read(given.cost_limit),
            token_limit=given.token_limit,
            request_limit=given.request_limit,
        )

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        if name == "scope_id":
            return _shown(view, view.state.document(docs.Budget, resource.id))
        return super().filtered(view, resource, name)


class _Standing(NamedTuple):
    """A budget in its current period, which begins and ends at these seconds since the epoch."""

    start: float
    end: float
    spent: dict[Kind, int]
    limits: dict[Kind, int]


def _shown(view: View, budget: docs.Budget) -> str:
    """Whose budget it is, as callers say it."""
    if budget.scope == "model":
        return view.state.document(docs.Model, budget.scope_id).name
    return budget.scope_id


def _free(view: View, period: Period, scope_id: str) -> str:
    """A name that no budget of that scope_id has: that of its period, with a number where it is not the first."""
    names = (period if number == 1 else f"{period}-{number}" for number in count(1))
    return next(name for name in names if view.state.named("budget", name, scope_id) is None)


def _faults(given: BudgetGiven) -> Iterable[Detail]:
    if given.cost_limit is None and given.token_limit is None and given.request_limit is None:
        yield Detail("cost_limit", "give at least one of `cost_limit`, `token_limit` and `request_limit`")
    if not known(given.timezone):
        yield Detail("timezone", "there is no time zone of that name")


def _usage(standing: _Standing) -> BudgetUsage:
    cost = standing.spent.get("cost")
    return BudgetUsage(
        period_start=None if standing.end == inf else iso(standing.start),
        period_end=None if standing.end == inf else iso(standing.end),
        cost=None if cost is None else to_decimal(cost),
        tokens=standing.spent.get("tokens"),
        requests=standing.spent.get("requests"),
    )


def _state(standing: _Standing) -> Literal["ok", "exhausted"]:
    used_up = any(spent >= standing.limits[kind] for kind, spent in standing.spent.items())
    return "exhausted" if used_up else "ok"
