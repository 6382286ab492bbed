"""`/v1/accounting/budgets`: budgets of partners, tenants, users, groups, keys and models, and what is spent of them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Annotated

import msgspec
from msgspec import Meta

from scaigrid.api import money
from scaigrid.api.budget_usage import BudgetAmounts, BudgetState, BudgetUsage, Standing, state, usage
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.levels import MANAGING, PARTIES, VIEWING, Level, sees, sets
from scaigrid.api.money import Money
from scaigrid.api.resources import examples
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Label, Origin
from scaigrid.config.terms import HardAction
from scaigrid.control import documents as docs
from scaigrid.control.bounding import bounded_by
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import OPEN, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.limiter import OnStoreFailure
from scaigrid.periods import Period, bounds
from scaigrid.timestamps import iso
from scaigrid.zones import known

Count = Annotated[int, Meta(ge=0, le=2**53)]
Part = Annotated[float, Meta(gt=0, le=1)]


class BudgetGiven(RequestShape, kw_only=True):
    """A budget, as it is sent, with at least one of the three limits."""

    scope: Level
    """Whose calls count; of a group, those of all who are in it when they call. Several budgets on one call all apply.
    It does not change."""
    scope_id: Annotated[str, Meta(min_length=1, max_length=256)]
    """The id of that partner, tenant, user, group or key, or the slug of that model. It does not change."""
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
    hard_action: HardAction = "block"
    """What happens to a call that could go beyond a limit. `block`: it is refused with BUDGET_EXCEEDED before it is
    sent. `throttle`: `throttle_per_minute` of them pass, further ones are refused with RATE_LIMITED. `notify`: it
    passes. Either way it counts, and it is told once a period that the limit is reached."""
    soft_limit_pct: Part | None = 0.8
    """The part of a limit at which a warning is told, once a period. Null: none."""
    throttle_per_minute: Annotated[int, Meta(ge=1, le=2**53)] = 1
    """With `throttle` alone: requests in any rolling minute once the limit is reached."""
    on_store_failure: OnStoreFailure = "deny"
    """What happens to calls while the store of the counters cannot be reached. `deny`: they are refused with
    STORE_UNAVAILABLE. `allow`: they pass this budget, as they do in any case with `hard_action: notify`.
    `allow_bounded`: each worker goes on by itself with a share of what was left. What passed counts when the store is
    back."""


class BudgetItem(Kept, kw_only=True):
    """A budget."""

    scope: Annotated[Level, OPEN]
    scope_id: str
    name: str
    period: Period
    timezone: str
    cost_limit: str | None
    """A decimal string."""
    token_limit: int | None
    request_limit: int | None
    hard_action: Annotated[HardAction, OPEN]
    soft_limit_pct: float | None
    throttle_per_minute: int
    on_store_failure: Annotated[OnStoreFailure, OPEN]
    bounded_by: tuple[str, ...]
    """Ids of budgets above it that allow less, so that it cannot be used up: of groups, the user, the tenant or the
    partner of its subject. No fault, only worth knowing; those that you may not see are left out."""
    usage: BudgetUsage | None
    """Null while the counters cannot be reached."""
    state: BudgetState | None
    """`soft_limit_reached`: that part of one of its limits is spent. `exhausted`: one of its limits is used up;
    `throttled`: likewise, with `hard_action: throttle`. Null while the counters cannot be reached."""


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
        "administrators set those of its users, groups and keys, a partner's those of its tenants too, and only the "
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
        soft_limit_pct=0.8,
        throttle_per_minute=1,
        on_store_failure="deny",
        bounded_by=(),
        usage=BudgetUsage(
            period_start="2026-10-31T23:00:00.000000Z",
            period_end="2026-11-30T23:00:00.000000Z",
            cost="17.0425",
            tokens=None,
            requests=None,
            reserved=BudgetAmounts(cost="0.0318", tokens=None, requests=None),
            remaining=BudgetAmounts(cost="232.9257", tokens=None, requests=None),
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
        budget = view.state.document(docs.Budget, resource.id)
        return sets(view, budget.scope, view.state.get(PARTIES[budget.scope], budget.scope_id))

    async def informed(self, view: View, resources: Sequence[Resource]) -> View:
        now = view.services.clock.now()
        wanted = {resource.id for resource in resources}
        funds = [fund for fund in view.services.current.snapshot.funds if fund.id in wanted]
        try:
            spent = await view.services.limiter.spent([fund.at(now) for fund in funds])
        except GatewayError:
            # A budget can be looked at and changed though nobody can tell what was spent of it.
            return view
        facts: dict[str, Standing] = {}
        for fund in funds:
            standing = facts.setdefault(fund.id, Standing(*bounds(fund.period, fund.zone, now), {}, {}, {}))
            standing.funds[fund.kind] = fund
            standing.spent[fund.kind], standing.reserved[fund.kind] = spent[fund.at(now).key]
        return msgspec.structs.replace(view, facts=facts)

    def described(self, view: View, resource: Resource) -> BudgetItem:
        budget = view.state.document(docs.Budget, resource.id)
        standing: Standing | None = view.facts.get(resource.id)
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
            hard_action=budget.hard_action,
            soft_limit_pct=None if budget.soft_limit_pct is None else float(budget.soft_limit_pct),
            throttle_per_minute=budget.throttle_per_minute,
            on_store_failure=budget.on_store_failure,
            bounded_by=tuple(one.id for one in bounded_by(view.state, resource) if self.shows(view, one)),
            usage=None if standing is None else usage(standing),
            state=None if standing is None else state(standing),
        )

    def document(self, view: View, given: BudgetGiven, before: Resource | None) -> docs.Budget:
        party = view.state.get(PARTIES[given.scope], given.scope_id)
        if not sets(view, given.scope, party if party is not None and sees(view, party) else None):
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
            hard_action=given.hard_action,
            # As it was written: the shortest decimal that is this number.
            soft_limit_pct=None if given.soft_limit_pct is None else Decimal(repr(given.soft_limit_pct)),
            throttle_per_minute=given.throttle_per_minute,
            on_store_failure=given.on_store_failure,
        )

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        if name == "scope_id":
            return _shown(view, view.state.document(docs.Budget, resource.id))
        return super().filtered(view, resource, name)


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
