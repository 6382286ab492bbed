"""Limits on requests and tokens."""

from typing import Any

import msgspec

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.levels import MANAGING, VIEWING
from scaigrid.api.limits import RateLimitGiven, RateLimitUsed
from scaigrid.api.model_rate_limits import PATH as MODELS_PATH
from scaigrid.api.model_rate_limits import SETTING, ModelRateLimitItem, ModelRateLimitsQuery
from scaigrid.api.operation import Area, Operation
from scaigrid.api.rate_limits import PATH, RateLimitItem, RateLimitsQuery
from scaigrid.api.resources.examples import id_of
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_GIVEN = RateLimitGiven(requests_per_minute=300, tokens_per_day=2_000_000)
_HELD: dict[str, Any] = {
    "requests_per_minute": 300,
    "requests_per_day": None,
    "tokens_per_minute": None,
    "tokens_per_day": 2_000_000,
    "concurrent_requests": None,
    "on_store_failure": "deny",
    "source": "own",
    "origin": "api",
}
_USED = RateLimitUsed(
    requests_per_minute=17,
    requests_per_day=None,
    tokens_per_minute=None,
    tokens_per_day=481_516,
    concurrent_requests=None,
)
_ITEM = RateLimitItem(scope="user", scope_id=id_of("user"), name="ada", **_HELD)
_TOLD = msgspec.structs.replace(_ITEM, used=_USED)
_MODEL_ITEM = ModelRateLimitItem(scope="model", scope_id="openai/gpt-4o", name="openai/gpt-4o", **_HELD)
_MODEL_TOLD = msgspec.structs.replace(_MODEL_ITEM, used=_USED)
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
_MODEL: dict[str, Any] = {
    "path": MODELS_PATH + "/{slug}",
    "parameters": {"slug": "The slug of the model, its slashes as they are or as `%2F`; or its id."},
    "parameter_examples": {"slug": "openai/gpt-4o"},
    "tenant_header": True,
    "conditional": True,
}
_READING: dict[str, Any] = {"permission": " or ".join(VIEWING.permissions), "level": VIEWING.reach}
_WRITING: dict[str, Any] = {"permission": " or ".join(MANAGING.permissions), "level": MANAGING.reach}
_WRITES = (Code.NOT_FOUND, Code.MANAGED_BY_CONFIG, Code.STORE_UNAVAILABLE)
_SETTING: dict[str, Any] = {"permission": " or ".join(SETTING.permissions), "level": SETTING.reach}
_MODEL_WRITES = (*_WRITES, Code.MODEL_NOT_FOUND)

AREA = Area(
    "Rate limits",
    "How many requests and tokens each partner, tenant, user, key and model is let have: in any rolling minute, in "
    "any rolling 24 hours, and requests at the same time. The most that a call can use is taken of a limit on tokens "
    "when it comes, and corrected to what it has used when that is known. What was taken comes back when it has left "
    "the window, at the latest a sixtieth of the window later. That goes by a clock which is never set back: where the "
    "time of day is, nothing comes back sooner or later.",
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
            description="With what counts of it now.",
            answer=Envelope[RateLimitItem],
            example=examples.enveloped(_TOLD),
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE, Code.VALIDATION_ERROR),
            **_ONE,
            **_READING,
        ),
        Operation(
            method="put",
            name="setRateLimit",
            summary="Set what a party is held to",
            description="All of them: what is left out is no limit from then on. From the level above, as budgets: a "
            "tenant's administrators set the limits of its users and keys, a partner's those of its tenants too, and "
            "only the platform's those of partners.",
            body=RateLimitGiven,
            body_example=_GIVEN,
            answer=Envelope[RateLimitItem],
            example=examples.enveloped(_TOLD),
            codes=_WRITES,
            **_ONE,
            **_WRITING,
        ),
        Operation(
            method="delete",
            name="resetRateLimit",
            summary="Set a party's limits back to the default",
            status=204,
            codes=(*_WRITES, Code.VALIDATION_ERROR),
            **_ONE,
            **_WRITING,
        ),
        Operation(
            path=MODELS_PATH,
            name="listModelRateLimits",
            summary="What each model is held to",
            description="The models that the caller may use, by slug.",
            query=ModelRateLimitsQuery,
            answer=ListEnvelope[ModelRateLimitItem],
            example=examples.listed(_MODEL_ITEM),
            tenant_header=True,
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
            **_READING,
        ),
        Operation(
            name="getModelRateLimit",
            summary="What one model is held to",
            description="With what counts of it now.",
            answer=Envelope[ModelRateLimitItem],
            example=examples.enveloped(_MODEL_TOLD),
            codes=(Code.MODEL_NOT_FOUND, Code.NOT_FOUND, Code.STORE_UNAVAILABLE, Code.VALIDATION_ERROR),
            **_MODEL,
            **_READING,
        ),
        Operation(
            method="put",
            name="setModelRateLimit",
            summary="Set what a model is held to",
            description="All of it: what is left out is no limit from then on. Only the platform's administrators do.",
            body=RateLimitGiven,
            body_example=_GIVEN,
            answer=Envelope[ModelRateLimitItem],
            example=examples.enveloped(_MODEL_TOLD),
            codes=_MODEL_WRITES,
            **_MODEL,
            **_SETTING,
        ),
        Operation(
            method="delete",
            name="resetModelRateLimit",
            summary="Set a model's limits back to none",
            status=204,
            codes=(*_MODEL_WRITES, Code.VALIDATION_ERROR),
            **_MODEL,
            **_SETTING,
        ),
    ),
)
