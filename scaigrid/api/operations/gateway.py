"""For those who run the gateway."""

from typing import Any

from scaigrid.api import examples
from scaigrid.api.health import Alive, Ready
from scaigrid.api.health_detailed import DetailedHealth
from scaigrid.api.operation import Area, Operation
from scaigrid.errors import Code
from scaigrid.telemetry import CONTENT_TYPE

AREA = Area(
    "Operations",
    "For those who run the gateway.",
    (
        Operation(
            path="/health",
            name="getHealth",
            keyless=True,
            summary="Whether the process answers",
            answer=Alive,
            example=examples.ALIVE,
        ),
        Operation(
            path="/health/ready",
            name="getReadiness",
            keyless=True,
            summary="Whether calls can be served",
            description="200 where every check is `ok`, else 503 with the same shape.",
            answer=Ready,
            example=examples.READY,
            unready=examples.NOT_READY,
        ),
        Operation(
            path="/health/detailed",
            name="getDetailedHealth",
            summary="What runs here, and how it is",
            description="Where the configuration has it on; without a key where it says so. 200 where calls can be "
            "served, else 503 with the same shape.",
            permission="admin:access",
            level="platform",
            answer=DetailedHealth,
            example=examples.DETAILED,
            unready=examples.NOT_READY_IN_DETAIL,
            codes=(Code.NOT_FOUND, Code.VALIDATION_ERROR),
        ),
        Operation(
            path="/metrics",
            name="getMetrics",
            keyless=True,
            summary="Metrics in Prometheus' text format",
            description="For scrapers, where the configuration has them on.",
            texts={CONTENT_TYPE.decode(): None},
            codes=(Code.NOT_FOUND,),
        ),
        Operation(
            path="/docs",
            name="getReference",
            keyless=True,
            summary="The API reference, for people",
            texts={"text/html; charset=utf-8": None},
        ),
        Operation(
            path="/docs/assets/{name}",
            name="getReferenceAsset",
            keyless=True,
            summary="A file of the API reference",
            description="Named by the page. A name stands for the same content for ever.",
            parameters={"name": "The file's name."},
            texts={
                "text/javascript; charset=utf-8": None,
                "text/css; charset=utf-8": None,
                "image/svg+xml": None,
            },
            codes=(Code.NOT_FOUND,),
        ),
        Operation(
            path="/docs/openapi.json",
            name="getOpenAPI",
            keyless=True,
            summary="This document",
            answer=dict[str, Any],
        ),
    ),
)
