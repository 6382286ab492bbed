"""The control plane: Litestar controllers, one file a resource."""

from collections.abc import Sequence
from typing import NamedTuple

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from scaigrid.api.health import HealthController, Readiness
from scaigrid.api.me import me
from scaigrid.api.metrics import metrics
from scaigrid.api.models import ModelsController
from scaigrid.api.oai_models import OpenAIModelsController
from scaigrid.api.openapi import lazily, openapi
from scaigrid.api.usage import usage
from scaigrid.config.schema import Config
from scaigrid.ledger.reading import UsageReader
from scaigrid.middleware import Services

__all__ = ["Readiness", "Routes", "UsageReader", "routes"]


class Routes(NamedTuple):
    """What Litestar is given: routes that count against request limits, and those that do not."""

    governed: Sequence[ControllerRouterHandler]
    open: Sequence[ControllerRouterHandler]


def routes(services: Services, reader: UsageReader, ready: Readiness, config: Config) -> Routes:
    """Every route of the control plane, with what its handlers ask for."""
    # Litestar copies a router and all that it holds, in depth. A function is not copied, and with it what it hands out.
    governed = Router(
        "/",
        route_handlers=[ModelsController, OpenAIModelsController, me, usage],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "reader": Provide(lambda: reader, sync_to_thread=False),
        },
    )
    unlimited = Router(
        "/",
        route_handlers=[HealthController, metrics, openapi],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "readiness": Provide(lambda: ready, sync_to_thread=False),
            "config": Provide(lambda: config, sync_to_thread=False),
            "openapi_text": Provide(lazily(services)),
        },
    )
    return Routes(governed=[governed], open=[unlimited])
