"""Keys made, rotated and revoked."""

from scaigrid.api import examples
from scaigrid.api.operation import Operation
from scaigrid.api.resources.api_key_secrets import (
    EXAMPLE_MADE,
    EXAMPLE_REVOKED,
    EXAMPLE_ROTATION,
    KEYS,
    ApiKeyMade,
    RotationGiven,
)
from scaigrid.api.resources.api_keys import ApiKeyGiven, ApiKeyItem
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_OTHERS = "Somebody else's: by the permission `users:manage`."
_KEY = {"id": "The id of the API key."}

ROWS = (
    Operation(
        method="post",
        path="/v1/api-keys",
        name="createApiKey",
        summary="Make an API key",
        description=f"The answer alone tells what opens, and says `cache-control: no-store`. {_OTHERS}",
        permission="api_keys:manage or users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        body=ApiKeyGiven,
        body_example=KEYS.example_given,
        status=201,
        answer=Envelope[ApiKeyMade],
        example=examples.enveloped(EXAMPLE_MADE),
        codes=(Code.NOT_FOUND, Code.CONFLICT, Code.STORE_UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/api-keys/{id}/rotate",
        name="rotateApiKey",
        summary="Give an API key another text",
        description="Its id, its limits and all that counts against them stay. The answer alone tells what opens now, "
        f"and says `cache-control: no-store`. Without a body the old text opens no more at once. {_OTHERS}",
        permission="api_keys:manage or users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_KEY,
        body=RotationGiven,
        body_example=EXAMPLE_ROTATION,
        answer=Envelope[ApiKeyMade],
        example=examples.enveloped(EXAMPLE_MADE),
        codes=(Code.NOT_FOUND, Code.CONFLICT, Code.MANAGED_BY_CONFIG, Code.PRECONDITION_FAILED, Code.STORE_UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/api-keys/{id}/revoke",
        name="revokeApiKey",
        summary="Take an API key back",
        description="It opens no more, for good, and is kept for the record; a second time it changes nothing. Every "
        f"worker knows within 5 seconds. {_OTHERS}",
        permission="api_keys:manage or users:manage",
        level="tenant",
        tenant_header=True,
        conditional=True,
        parameters=_KEY,
        answer=Envelope[ApiKeyItem],
        example=examples.enveloped(EXAMPLE_REVOKED),
        codes=(
            Code.NOT_FOUND,
            Code.MANAGED_BY_CONFIG,
            Code.PRECONDITION_FAILED,
            Code.STORE_UNAVAILABLE,
            Code.VALIDATION_ERROR,
        ),
    ),
)
