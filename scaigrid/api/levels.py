"""Who sees, and who sets, what the calls of a party are held to: budgets and request limits alike.

They are set from the level above: a tenant's administrators set those of its users, groups and keys, a partner's those
of its tenants too, and only the platform's those of partners and models.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from scaigrid import roles
from scaigrid.api.requirement import Requirement
from scaigrid.api.view import View
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.roles import WIDTH, Reach

Level = Literal["partner", "tenant", "user", "group", "key", "model"]

VIEWING = Requirement(
    "accounting:view_own",
    "accounting:view_tenant",
    "accounting:view_partner",
    "accounting:view_all",
    "accounting:manage_budgets",
)
MANAGING = Requirement("accounting:manage_budgets")

PARTIES: Mapping[Level, str] = {
    "partner": "partner",
    "tenant": "tenant",
    "user": "user",
    "group": "group",
    "key": "api_key",
    "model": "model",
}
"""The kind of the parties of each level."""

_LEAST: Mapping[Level, Reach] = {
    "key": "tenant",
    "user": "tenant",
    "group": "tenant",
    "tenant": "partner",
    "partner": "platform",
    "model": "platform",
}
_VIEWS: Mapping[str, Reach] = {
    "accounting:view_tenant": "tenant",
    "accounting:view_partner": "partner",
    "accounting:view_all": "platform",
}


def sees(view: View, party: Resource) -> bool:
    """Whether the caller sees what a party is held to: all that its permissions reach, else its own user and keys."""
    if view.tenant_id is not None and view.state.tenant_of(party) != view.tenant_id:
        return False
    far = _far(view)
    if far is None or _own(view, party):
        return _own(view, party)
    return _within(view, far, party)


def sets(view: View, level: Level, party: Resource | None = None) -> bool:
    """Whether the caller's permission to manage budgets goes far enough to set what parties of a level are held to.

    `party`: one of them that it sees, which may lie farther away than what it manages.
    """
    if not view.may("accounting:manage_budgets"):
        return False
    far = _spread(view).get("accounting:manage_budgets", "tenant")
    return WIDTH[far] >= WIDTH[_LEAST[level]] and (party is None or _within(view, far, party))


def _within(view: View, far: Reach, party: Resource) -> bool:
    match far:
        case "platform":
            return True
        case "partner":
            return view.state.partner_of(party) == view.principal.partner.id
        case _:
            return view.state.tenant_of(party) == view.acting_tenant


@lru_cache(maxsize=1)
def _far(view: View) -> Reach | None:
    """The widest of what the caller may view or manage; None where that is its own alone.

    The last one is kept: a list asks it of each of its resources.
    """
    found: list[Reach] = [reach for permission, reach in _VIEWS.items() if view.may(permission)]
    if view.may("accounting:manage_budgets"):
        found.append(_spread(view).get("accounting:manage_budgets", "tenant"))
    return roles.widest(found)


def _spread(view: View) -> Mapping[str, Reach]:
    return roles.spread(view.principal.roles)


def _own(view: View, party: Resource) -> bool:
    user = view.principal.user.id
    if isinstance(party.document, docs.ApiKey):
        return party.document.user_id == user
    return party.kind == "user" and party.id == user
