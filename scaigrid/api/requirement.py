"""What a route asks of its caller, declared beside the route: one of some permissions, and how far it has to reach.

The table of endpoints and roles is made from these declarations, and a route without one fails a test.
"""

from litestar.handlers import BaseRouteHandler

from scaigrid import roles
from scaigrid.api.handling import Connection, exchange_in
from scaigrid.config.snapshot import Principal
from scaigrid.errors import Code, GatewayError
from scaigrid.roles import WIDTH, Reach


class Requirement:
    """A Litestar guard. Raises AUTHZ_PERMISSION_DENIED, or AUTH_INSUFFICIENT_SCOPE where only the key lacks it."""

    def __init__(self, *permissions: str, reach: Reach = "tenant") -> None:
        """`permissions`: one of them is enough; none: every caller will do."""
        self.permissions = permissions
        self.reach: Reach = reach

    def __call__(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        self.check(exchange_in(connection).principal)

    def check(self, principal: Principal) -> None:
        """Raises for a caller who does not meet it."""
        held = [permission for permission in self.permissions if permission in principal.permissions]
        if self.permissions and not held:
            raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not include {self.wanted}.")
        far = roles.spread(principal.roles)
        wide = [permission for permission in held if WIDTH[far.get(permission, "tenant")] >= WIDTH[self.reach]]
        if not wide and (held or WIDTH[principal.reach] < WIDTH[self.reach]):
            whose = "the platform's" if self.reach == "platform" else "a partner's"
            raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"Only {whose} administrators may do this.")
        scopes = principal.scopes
        if wide and scopes is not None and scopes.isdisjoint(wide):
            raise GatewayError(Code.AUTH_INSUFFICIENT_SCOPE, f"The API key's scopes do not include {self.wanted}.")

    def reached(self, principal: Principal) -> Reach:
        """How far what is asked goes for a caller who meets it: as far as the roles that give it, and no farther.

        Where nothing is asked, as far as any of the roles.
        """
        if not self.permissions:
            return principal.reach
        far = roles.spread(principal.roles)
        carried: list[Reach] = [
            far.get(permission, "tenant") for permission in self.permissions if principal.may(permission)
        ]
        return roles.widest(carried) or "tenant"

    def allows(self, role: str) -> bool:
        """Whether a published role by itself meets it."""
        held = roles.permissions((role,))
        meets = not self.permissions or any(permission in held for permission in self.permissions)
        return meets and WIDTH[roles.reach((role,))] >= WIDTH[self.reach]

    @property
    def wanted(self) -> str:
        """The permissions in words."""
        names = " or ".join(self.permissions)
        return f"the permission {names}" if self.permissions else "anything"


ANYONE = Requirement()
"""Every caller with a key or a token."""


def required(connection: Connection) -> Requirement:
    """What the route of a request asks; ANYONE where it does not say."""
    layers = connection.route_handler.ownership_layers
    guards = (guard for layer in reversed(layers) for guard in layer.guards or ())
    return next((guard for guard in guards if isinstance(guard, Requirement)), ANYONE)


class Keyless:
    """Marks a route that answers without a key."""

    def __call__(self, _connection: Connection, _handler: BaseRouteHandler) -> None:
        return None


KEYLESS = Keyless()
"""Nobody has to say who they are."""
