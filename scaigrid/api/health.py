"""`/health` and `/health/ready`: for those who restart a process and those who send it requests."""

from collections.abc import Mapping
from typing import Literal, Protocol

from litestar import Controller, Response, route

from scaigrid.api.handling import READ, Provided
from scaigrid.api.requirement import KEYLESS
from scaigrid.dialects.shapes import AnswerShape

_NEVER_STORED = {"cache-control": "no-store"}


class Readiness(Protocol):
    """Who knows what the gateway needs to serve."""

    async def checks(self) -> Mapping[str, str]:
        """By the name of each check: `ok`, or a sentence that says what is wrong."""
        ...


class Alive(AnswerShape, kw_only=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(AnswerShape):
    """Whether calls can be served, and by the name of each check `ok` or what is wrong."""

    status: Literal["ready", "not_ready"]
    checks: Mapping[str, str]


class HealthController(Controller):
    path = "/health"
    guards = (KEYLESS,)

    @route(http_method=READ)
    async def alive(self) -> Response[Alive]:
        return Response(Alive(), headers=_NEVER_STORED)

    @route("/ready", http_method=READ)
    async def ready(self, readiness: Provided[Readiness]) -> Response[Ready]:
        checks = await readiness.checks()
        if all(found == "ok" for found in checks.values()):
            return Response(Ready(status="ready", checks=checks), headers=_NEVER_STORED)
        return Response(Ready(status="not_ready", checks=checks), status_code=503, headers=_NEVER_STORED)
