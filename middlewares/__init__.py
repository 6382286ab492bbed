"""The chain: every link of it, outermost first. The order is this file; the YAML tunes links and turns some off.

The edge links stand around the whole application, so that a 404 has its envelope, id, log line and audit row too. The
call links stand around the inference surfaces, ahead of the forwarder.
"""

from middlewares.access_log import AccessLog, AccessLogConfig
from middlewares.audit import Audit, AuditConfig
from middlewares.budget import Budget, BudgetConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.idempotency import Idempotency, IdempotencyConfig
from middlewares.intake import Intake, IntakeConfig
from middlewares.overload import Overload, OverloadConfig
from middlewares.rate_limit import RateLimit, RateLimitConfig
from middlewares.request_id import RequestId, RequestIdConfig
from middlewares.route_resolve import RouteResolve, RouteResolveConfig
from middlewares.tenancy import Tenancy, TenancyConfig
from middlewares.timeline import Timeline, TimelineConfig
from scaigrid.middleware import Link

CHAIN = (
    Link("request_id", "edge", RequestId, RequestIdConfig),  # first: everything after it is told apart by the id
    Link("errors", "edge", Errors, ErrorsConfig),  # outside all that can fail, inside the id that the error names
    Link("access_log", "edge", AccessLog, AccessLogConfig),  # inside errors: sees what failed before it is rendered
    Link("audit", "edge", Audit, AuditConfig),  # outside tenancy: a refused caller is recorded too
    Link("timeline", "edge", Timeline, TimelineConfig),  # outside tenancy and the settling: knows how all of it ended
    Link("tenancy", "edge", Tenancy, TenancyConfig),  # from headers alone, so that no body is read for a stranger
    Link("overload", "call", Overload, OverloadConfig),  # strangers take no place; nothing is read yet
    Link("intake", "call", Intake, IntakeConfig),  # before the limits: they need the decoded call
    Link("idempotency", "call", Idempotency, IdempotencyConfig),  # ahead of the limits: a repeat is free
    Link("rate_limit", "call", RateLimit, RateLimitConfig),  # puts its takes; budget takes both in one step
    Link("budget", "call", Budget, BudgetConfig),  # after rate_limit: the innermost of the two does the taking
    Link("route_resolve", "call", RouteResolve, RouteResolveConfig),  # last: a refusal here gives everything back
)
