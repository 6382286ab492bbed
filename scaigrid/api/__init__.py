"""The control plane: Litestar controllers, one file a resource."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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

__all__ = ["Readiness", "Routes", "UsageReader", "routes"]


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


def routes(
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
) -> Routes:
    """Every route of the control plane, with what its handlers ask for."""
    handlers = declared()
    since = services.clock.monotonic()
    requests = Requests(timelines, reader, services.current, config)
    explaining = Explaining(config)
    # Litestar copies a router and all that it holds, in depth. A function is not copied, and with it what it hands out.
    governed = Router(
        "/",
        route_handlers=handlers.governed,
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "reader": Provide(lambda: reader, sync_to_thread=False),
            "requests": Provide(lambda: requests, sync_to_thread=False),
            "explaining": Provide(lambda: explaining, sync_to_thread=False),
            "audit_log": Provide(lambda: audit_log, sync_to_thread=False),
            "control": Provide(lambda: control, sync_to_thread=False),
            "adapters": Provide(lambda: adapters, sync_to_thread=False),
            "upstreams": Provide(lambda: upstreams, sync_to_thread=False),
            "signers": Provide(lambda: signers, sync_to_thread=False),
        },
    )
    unlimited = Router(
        "/",
        route_handlers=handlers.open,
        dependencies={
            "since": Provide(lambda: since, sync_to_thread=False),
            "control": Provide(lambda: control, sync_to_thread=False),
            "services": Provide(lambda: services, sync_to_thread=False),
            "readiness": Provide(lambda: ready, sync_to_thread=False),
            "config": Provide(lambda: config, sync_to_thread=False),
            "openapi_text": Provide(lazily(services)),
        },
    )
    return Routes(governed=[governed], open=[unlimited])
