"""The control plane: Litestar controllers, one file a resource."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from scaigrid.adapter import Adapter
from scaigrid.api import audit_log as audit_log_routes
from scaigrid.api import margin, model_rate_limits, rate_limits, usage, usage_summary
from scaigrid.api.anthropic_models import AnthropicModelsController
from scaigrid.api.capabilities import capabilities
from scaigrid.api.crud import router
from scaigrid.api.docs import asset, page
from scaigrid.api.health import HealthController, Readiness
from scaigrid.api.health_detailed import health_detailed
from scaigrid.api.me import me
from scaigrid.api.metrics import metrics
from scaigrid.api.models import ModelsController
from scaigrid.api.modules import modules
from scaigrid.api.oai_models import OpenAIModelsController
from scaigrid.api.openapi import lazily, openapi
from scaigrid.api.price_versions import price_versions
from scaigrid.api.requests import Requests, request_timeline
from scaigrid.api.resources import BESIDE, COLLECTIONS
from scaigrid.api.resources.models import ModelWritesController
from scaigrid.api.routing_explain import Explaining, explain_routing
from scaigrid.config.schema import Config
from scaigrid.control.follower import Control
from scaigrid.credentials.signers import SignerSource
from scaigrid.ledger.audit_reading import AuditReader
from scaigrid.ledger.reading import UsageReader
from scaigrid.ledger.timeline_reading import TimelineReader
from scaigrid.middleware import Services
from scaigrid.upstream.port import Upstream

__all__ = ["Readiness", "Routes", "Sources", "UsageReader", "routes"]


class Routes(NamedTuple):
    """What Litestar is given: routes that count against request limits, and those that do not."""

    governed: Sequence[ControllerRouterHandler]
    open: Sequence[ControllerRouterHandler]


def declared() -> Routes:
    """Every route of the control plane, with what it asks of its caller, and nothing yet to answer from."""
    return Routes(
        governed=[
            ModelsController,
            ModelWritesController,
            OpenAIModelsController,
            AnthropicModelsController,
            me,
            *usage.HANDLERS,
            *usage_summary.HANDLERS,
            *margin.HANDLERS,
            price_versions,
            request_timeline,
            explain_routing,
            *map(router, COLLECTIONS),
            *BESIDE,
            *rate_limits.HANDLERS,
            *model_rate_limits.HANDLERS,
            *audit_log_routes.HANDLERS,
            capabilities,
            modules,
        ],
        open=[HealthController, health_detailed, metrics, page, asset, openapi],
    )


class Sources:
    """What the handlers of the control plane ask for, by the names that they ask by."""

    def __init__(
        self,
        services: Services,
        *,
        reader: UsageReader,
        timelines: TimelineReader,
        audit_log: AuditReader,
        ready: Readiness,
        config: Config,
        control: Control,
        adapters: Mapping[str, Adapter],
        upstreams: Mapping[str, Upstream],
        signers: SignerSource,
    ) -> None:
        self.services = services
        self.since = services.clock.monotonic()
        self.reader = reader
        self.requests = Requests(timelines, reader, services.current, config)
        self.explaining = Explaining(config)
        self.audit_log = audit_log
        self.readiness = ready
        self.config = config
        self.control = control
        self.adapters = adapters
        self.upstreams = upstreams
        self.signers = signers


_GOVERNED: Final = (
    "services",
    "reader",
    "requests",
    "explaining",
    "audit_log",
    "control",
    "adapters",
    "upstreams",
    "signers",
)
_OPEN: Final = ("since", "control", "services", "readiness", "config")


def routes(sources: Callable[[], Sources]) -> Routes:
    """Every route of the control plane, with what its handlers ask for: `sources` is asked at each request."""
    handlers = declared()

    def provided(name: str) -> Provide:
        # Litestar copies a router and all that it holds, in depth. A function is not copied, nor is what it hands out.
        return Provide(lambda: getattr(sources(), name), sync_to_thread=False)

    governed = Router("/", route_handlers=handlers.governed, dependencies={name: provided(name) for name in _GOVERNED})
    unlimited = Router(
        "/",
        route_handlers=handlers.open,
        dependencies={
            **{name: provided(name) for name in _OPEN},
            "openapi_text": Provide(lazily(lambda: sources().services.dialect_of)),
        },
    )
    return Routes(governed=[governed], open=[unlimited])
