"""The table of operations: one file for each area, one line for each file; a test holds it against the routes."""

from scaigrid.api.operations import (
    account,
    accounting,
    audit,
    capabilities,
    gateway,
    inference,
    limits,
    models,
    modules,
    prices,
    requests,
    resources,
    responses,
)

AREAS = (
    inference.AREA,
    responses.AREA,
    models.AREA,
    capabilities.AREA,
    account.AREA,
    *resources.AREAS,
    limits.AREA,
    requests.AREA,
    accounting.AREA,
    prices.AREA,
    audit.AREA,
    modules.AREA,
    gateway.AREA,
)
"""In the order of the reference."""

OPERATIONS = tuple(operation for area in AREAS for operation in area.operations)
"""Every operation of every surface."""
