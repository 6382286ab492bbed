"""Keeps who did what to which resource for every mutating request, with the outcome; refusals too.

A row is kept once the outcome is known. A change of the control plane keeps its own ahead of its commit
(`Exchange.keep`); where it fails after that, a second row of the same request says so.
"""

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.config.strict import Strict
from scaigrid.errors import GatewayError, told
from scaigrid.exchange import Exchange
from scaigrid.ids import new_id
from scaigrid.ledger.records import AuditRow
from scaigrid.middleware import Services, begin
from scaigrid.secrets import masked

_MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST = 256


class AuditConfig(Strict):
    """What is kept."""

    enabled: bool = True
    """Keep a row for every mutating request, inference included."""


class Audit:
    def __init__(self, app: ASGIApp, config: AuditConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._enabled = config.enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._enabled or scope["method"] not in _MUTATING:
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "audit")
        kept = False

        def keep(status: int) -> None:
            nonlocal kept
            self._services.recorder.append(self._row(exchange, scope, status, None))
            kept = True

        exchange.keep = keep
        error: GatewayError | None = None
        try:
            await self.app(scope, receive, send)
            error = exchange.error
        except BaseException as raised:
            error = told(raised)
            raise
        finally:
            # The two would hold each other, and with them the body, until the collector comes.
            exchange.keep = None
            if error is not None or not kept:
                # Where nobody has answered, the server does.
                status = exchange.ended_with(error) or 500
                self._services.recorder.append(self._row(exchange, scope, status, error))

    def _row(self, exchange: Exchange, scope: Scope, status: int, error: GatewayError | None) -> AuditRow:
        principal = exchange.principal if exchange.authenticated else None
        done = error is None and status < 400
        action, kind, resource = _what(exchange)
        tenant, partner = _whose(exchange, done=done)
        audited = exchange.audited if done else None
        agent = header(scope, b"user-agent")
        client = scope.get("client")
        return AuditRow(
            id=new_id("audit", self._services.clock),
            timestamp=exchange.started_at,
            action=action,
            actor_id=principal.user.id if principal else None,
            actor_email=principal.email if principal else None,
            actor_type="user" if principal else "anonymous",
            tenant_id=tenant,
            partner_id=partner,
            resource_type=kind,
            resource_id=resource,
            ip_address=exchange.client_address or (client[0] if client else None),
            user_agent=agent.decode("latin-1")[:_LONGEST] if agent else None,
            status="SUCCESS" if done else "FAILURE",
            http_status=status,
            error_code=error.code.value if error else None,
            request_id=exchange.request_id,
            before=audited.before if audited else None,
            after=audited.after if audited else None,
        )


def _whose(exchange: Exchange, *, done: bool) -> tuple[str | None, str | None]:
    """Tenant and partner whose row it is: those of the resource that was changed, else the caller's.

    What was refused stays with the caller too where the resource stands above tenants, for nothing of it has changed.
    """
    owners = exchange.owners
    if owners is not None and (done or owners.tenant_id is not None):
        return owners
    principal = exchange.principal
    return (principal.tenant.id, principal.partner.id) if exchange.authenticated else (None, None)


def _what(exchange: Exchange) -> tuple[str, str, str | None]:
    """Action, resource type and resource id. A refusal may come before anybody knows the model."""
    audited = exchange.audited
    if audited is not None:
        given = audited.resource_id
        return audited.action, audited.resource_type, None if given is None else masked(given[:_LONGEST])
    operation, call = exchange.dialect.operations.get(exchange.path), exchange.call
    if call is not None and call.held is not None and call.operation == "resource":
        verb = call.surface.rpartition("/")[2]
        return f"inference.{verb}", "response", masked(call.held[:_LONGEST])
    if operation is None:
        return f"request.{exchange.method.lower()}", "path", masked(exchange.path[:_LONGEST])
    return f"inference.{operation}", "model", masked(call.model[:_LONGEST]) if call else None
