"""Request limits."""

from typing import Any

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.levels import MANAGING, VIEWING
from scaigrid.api.operation import Area, Operation
from scaigrid.api.rate_limits import PATH, RateLimitGiven, RateLimitItem, RateLimitsQuery
from scaigrid.api.resources.examples import id_of
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_ITEM = RateLimitItem(
    scope="user",
    scope_id=id_of("user"),
    name="ada",
    requests_per_minute=300,
    source="own",
    origin="api",
)
_ONE: dict[str, Any] = {
    "path": PATH + "/{scope}/{scope_id}",
    "parameters": {
        "scope": "`partner`, `tenant`, `user` or `key`.",
        "scope_id": "The id of that partner, tenant, user or key.",
    },
    "parameter_examples": {"scope": "user", "scope_id": id_of("user")},
    "tenant_header": True,
    "conditional": True,
}
_READING: dict[str, Any] = {"permission": " or ".join(VIEWING.permissions), "level": VIEWING.reach}
_WRITING: dict[str, Any] = {"permission": " or ".join(MANAGING.permissions), "level": MANAGING.reach}
_WRITES = (Code.NOT_FOUND, Code.MANAGED_BY_CONFIG, Code.STORE_UNAVAILABLE)

AREA = Area(
    "Rate limits",
    "How many requests a minute each partner, tenant, user and key is let make.",
    (
        Operation(
            path=PATH,
            name="listRateLimits",
            summary="What each party is held to",
            description="Everybody sees the limits of its own user and keys; whoever views the usage of a tenant or a "
            "partner, or manages budgets, sees all that there are on it and below. Partners come first, keys last.",
            query=RateLimitsQuery,
            answer=ListEnvelope[RateLimitItem],
            example=examples.listed(_ITEM),
            tenant_header=True,
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
            **_READING,
        ),
        Operation(
            name="getRateLimit",
            summary="What one party is held to",
            answer=Envelope[RateLimitItem],
            example=examples.enveloped(_ITEM),
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE, Code.VALIDATION_ERROR),
            **_ONE,
            **_READING,
        ),
        Operation(
            method="put",
            name="setRateLimit",
            summary="Set what a party is held to",
            description="From the level above, as budgets: a tenant's administrators set the limits of its users and "
            "keys, a partner's those of its tenants too, and only the platform's those of partners.",
            body=RateLimitGiven,
            body_example=RateLimitGiven(requests_per_minute=300),
            answer=Envelope[RateLimitItem],
            example=examples.enveloped(_ITEM),
            codes=_WRITES,
            **_ONE,
            **_WRITING,
        ),
        Operation(
            method="delete",
            name="resetRateLimit",
            summary="Set a party's limit back to the default",
            status=204,
            codes=(*_WRITES, Code.VALIDATION_ERROR),
            **_ONE,
            **_WRITING,
        ),
    ),
)
