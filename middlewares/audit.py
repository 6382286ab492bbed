"""Keeps who did what to which resource for every mutating request, with the outcome; refusals too."""

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
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
        exchange, send = begin(scope, send, self._services)
        error: GatewayError | None = None
        try:
            await self.app(scope, receive, send)
            error = exchange.error
        except GatewayError as raised:
            error = raised
            raise
        except BaseException:
            error = GatewayError(Code.INTERNAL_ERROR)
            raise
        finally:
            self._services.recorder.append(self._row(exchange, scope, error))

    def _row(self, exchange: Exchange, scope: Scope, error: GatewayError | None) -> AuditRow:
        principal = exchange.principal if exchange.authenticated else None
        action, kind, resource = _what(exchange)
        status = exchange.status if exchange.response_started else error.status if error else 500
        agent = header(scope, b"user-agent")
        client = scope.get("client")
        return AuditRow(
            id=new_id("audit", self._services.clock),
            timestamp=exchange.started_at,
            action=action,
            actor_id=principal.user.id if principal else None,
            actor_email=principal.email if principal else None,
            actor_type="user" if principal else "anonymous",
            tenant_id=principal.tenant.id if principal else None,
            partner_id=principal.partner.id if principal else None,
            resource_type=kind,
            resource_id=resource,
            ip_address=client[0] if client else None,
            user_agent=agent.decode("latin-1")[:_LONGEST] if agent else None,
            status="SUCCESS" if error is None and status < 400 else "FAILURE",
            http_status=status,
            error_code=error.code.value if error else None,
            request_id=exchange.request_id,
        )


def _what(exchange: Exchange) -> tuple[str, str, str | None]:
    """Action, resource type and resource id. A refusal may come before anybody knows the model."""
    operation = exchange.dialect.operations.get(exchange.path)
    if operation is None:
        return f"request.{exchange.method.lower()}", "path", masked(exchange.path[:_LONGEST])
    call = exchange.call
    return f"inference.{operation}", "model", masked(call.model[:_LONGEST]) if call else None
