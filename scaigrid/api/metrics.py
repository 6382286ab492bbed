"""`/metrics`: the exposition in Prometheus' text format, where the configuration has it on."""

from litestar import Response, route

from scaigrid.api.handling import READ, Provided
from scaigrid.api.requirement import KEYLESS
from scaigrid.config.schema import Config
from scaigrid.errors import Code, GatewayError
from scaigrid.middleware import Services
from scaigrid.telemetry import CONTENT_TYPE

# As a header: to a media type of text Litestar adds a charset of its own
_HEADERS = {"content-type": CONTENT_TYPE.decode("ascii")}


@route("/metrics", http_method=READ, guards=[KEYLESS])
async def metrics(services: Provided[Services], config: Provided[Config]) -> Response[bytes]:
    if not config.metrics.enabled:
        raise GatewayError(Code.NOT_FOUND)
    return Response(await services.telemetry.render(), headers=_HEADERS)
