"""Which budgets are reached before another one can be: smaller ones of those above it, that refuse calls.

Nothing is wrong with that, so it is allowed, and told to whoever sets such a budget: the rest of it cannot be spent.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.state import State

_LENGTH: Mapping[docs.Period, int] = {"daily": 0, "weekly": 1, "monthly": 2, "total": 3}
_LIMITS = ("cost_limit", "token_limit", "request_limit")


def bounded_by(state: State, budget: Resource) -> tuple[Resource, ...]:
    """The budgets that leave it less than it allows, nearest first.

    Those are the ones of the groups, the user, the tenant and the partner of its subject that refuse calls, last as
    long or longer, and have a smaller limit of one kind.
    """
    own = state.document(docs.Budget, budget.id)
    subject = state.get("api_key" if own.scope == "key" else own.scope, own.scope_id)
    return tuple(
        above
        for party in _above(state, subject)
        for above in state.users_of(party.kind, party.id)
        if isinstance(above.document, docs.Budget) and _bounds(above.document, own)
    )


def notes(state: State) -> Iterator[str]:
    """A sentence for each budget that others leave less than it allows."""
    for budget in state.all("budget").values():
        smaller = bounded_by(state, budget)
        if smaller:
            names = ", ".join(_told(state, one) for one in smaller)
            yield f"budget {_told(state, budget)} cannot be used up: less is allowed by {names}"


def _above(state: State, party: Resource | None) -> Iterator[Resource]:
    match party.document if party is not None else None:
        case docs.ApiKey(user_id=user_id):
            above = state.get("user", user_id)
        case docs.User(tenant_id=tenant_id) | docs.Group(tenant_id=tenant_id):
            above = state.get("tenant", tenant_id)
        case docs.Tenant(partner_id=partner_id):
            above = state.get("partner", partner_id)
        case _:
            return
    if party is not None and party.kind == "user":
        yield from (user for user in state.users_of("user", party.id) if user.kind == "group")
    if above is not None:
        yield above
        yield from _above(state, above)


def _bounds(above: docs.Budget, own: docs.Budget) -> bool:
    if above.hard_action != "block" or _LENGTH[above.period] < _LENGTH[own.period]:
        return False
    return any(_less(getattr(above, limit), getattr(own, limit)) for limit in _LIMITS)


def _less(above: Decimal | int | None, own: Decimal | int | None) -> bool:
    return above is not None and own is not None and above < own


def _told(state: State, budget: Resource) -> str:
    return f"{budget.name!r} of the {state.document(docs.Budget, budget.id).scope}"
