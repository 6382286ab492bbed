"""Whom a caller may manage, and what it may give: nothing that lies beyond itself.

The administrators of a tenant, of a partner and of the platform manage everybody who reaches no farther than they do,
and give every role that reaches no farther, what they lack themselves included: a partner's administrator calls no
models, and makes users who do. Whoever else manages users, by a custom role, manages those who may do nothing that it
may not do itself, and gives nothing else.
"""

from collections.abc import Iterable, Mapping

from scaigrid import roles
from scaigrid.api.view import View
from scaigrid.control.standing import Standing, Standings
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from scaigrid.roles import WIDTH, Reach

MANAGING = "users:manage"
_ADMINISTRATORS: Mapping[Reach, str] = {
    "tenant": "tenant_admin",
    "partner": "partner_admin",
    "platform": "super_admin",
}
_WHOSE: Mapping[Reach, str] = {"tenant": "the tenant's", "partner": "the partner's", "platform": "the platform's"}


class Authority:
    """A caller's, who may manage users."""

    def __init__(self, view: View) -> None:
        principal = view.principal
        self._reach: Reach = roles.spread(principal.roles).get(MANAGING, "tenant")
        self._administers = _ADMINISTRATORS[self._reach] in principal.roles
        carried = principal.permissions if principal.scopes is None else principal.permissions & principal.scopes
        self._permissions = carried
        self.most: frozenset[str] | None = principal.scopes if self._administers else carried
        """The most that a key may carry that the caller makes for another user; None: whatever the user may do."""

    @property
    def reach(self) -> Reach:
        """How far the caller manages users."""
        return self._reach

    def covers(self, standing: Standing) -> bool:
        """Whether everything that somebody may do lies within what the caller may manage and give."""
        if WIDTH[standing.reach] > WIDTH[self._reach]:
            return False
        return self._administers or standing.permissions <= self._permissions

    def gives(self, standing: Standing, what: str) -> None:
        """Raises AUTHZ_PERMISSION_DENIED where it lies beyond the caller; `what` it is: `this role`."""
        if WIDTH[standing.reach] > WIDTH[self._reach]:
            whose = _WHOSE[standing.reach]
            raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"Only {whose} administrators give {what}.")
        if not self.covers(standing):
            lacking = ", ".join(sorted(standing.permissions - self._permissions))
            raise GatewayError(
                Code.AUTHZ_PERMISSION_DENIED, f"You cannot give {what}: you do not have {lacking} yourself."
            )


def judge(view: View, after: State, users: Iterable[str]) -> None:
    """Judges what becomes of these users' rights by a change to the state `after`.

    Raises AUTHZ_PERMISSION_DENIED where one who lies beyond the caller has other rights after it, or would get what
    lies beyond the caller; CONFLICT where the caller itself would manage users no more, or fewer.
    """
    authority = Authority(view)
    old, new = Standings(view.state), Standings(after)
    for user_id in users:
        was = old.of_user(user_id) if view.state.get("user", user_id) else None
        becomes = new.of_user(user_id) if after.get("user", user_id) else None
        if was is not None and becomes is not None and was.powers == becomes.powers:
            continue
        if was is not None and not authority.covers(was):
            raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"The user {user_id} has rights that go beyond yours.")
        if becomes is not None:
            authority.gives(becomes, "these rights")
        if user_id == view.principal.user.id and _loses(was, becomes):
            raise GatewayError(
                Code.CONFLICT, "You would no longer manage the users that you manage: have another administrator do it."
            )


def _loses(was: Standing | None, becomes: Standing | None) -> bool:
    if was is None or MANAGING not in was.powers:
        return False
    left = None if becomes is None else becomes.powers.get(MANAGING)
    return left is None or WIDTH[left] < WIDTH[was.powers[MANAGING]]
