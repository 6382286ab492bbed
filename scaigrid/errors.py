"""The one table of error codes, and the only exception whose text reaches a client.

Every refusal in the gateway is a `GatewayError` with a code of this table. Whatever else escapes becomes
INTERNAL_ERROR with an id that finds the cause in the log; its text stays inside.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

Level = Literal["partner", "tenant", "user", "group", "key", "model"]
Retry = Literal["no", "after", "once", "later", "backoff"]


class Code(StrEnum):
    """Stable names (contract): published ones keep their spelling for ever; new ones are only added."""

    AUTH_TOKEN_MISSING = "AUTH_TOKEN_MISSING"
    AUTH_TOKEN_INVALID = "AUTH_TOKEN_INVALID"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    AUTHZ_PERMISSION_DENIED = "AUTHZ_PERMISSION_DENIED"
    AUTH_INSUFFICIENT_SCOPE = "AUTH_INSUFFICIENT_SCOPE"
    MODEL_ACCESS_DENIED = "MODEL_ACCESS_DENIED"
    TENANT_SUSPENDED = "TENANT_SUSPENDED"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    BACKEND_NOT_FOUND = "BACKEND_NOT_FOUND"
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    SLUG_CONFLICT = "SLUG_CONFLICT"
    PROVIDER_HAS_BACKENDS = "PROVIDER_HAS_BACKENDS"
    MODEL_HAS_BACKENDS = "MODEL_HAS_BACKENDS"
    MANAGED_BY_CONFIG = "MANAGED_BY_CONFIG"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    CONFLICT = "CONFLICT"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNSUPPORTED_BY_MODEL = "UNSUPPORTED_BY_MODEL"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    RATE_LIMITED = "RATE_LIMITED"
    BACKEND_RATE_LIMITED = "BACKEND_RATE_LIMITED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    CLIENT_CLOSED = "CLIENT_CLOSED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    BACKEND_ERROR = "BACKEND_ERROR"
    UPSTREAM_SHAPE_MISMATCH = "UPSTREAM_SHAPE_MISMATCH"
    PROVIDER_DISCOVERY_ERROR = "PROVIDER_DISCOVERY_ERROR"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    OVERLOADED = "OVERLOADED"
    AUTH_BACKEND_UNAVAILABLE = "AUTH_BACKEND_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    BACKEND_TIMEOUT = "BACKEND_TIMEOUT"


class Row(msgspec.Struct, frozen=True):
    """One code: its HTTP status, when a repeat may help, OpenAI's `error.type` for it, and its default sentence."""

    status: int
    retry: Retry
    openai_type: str
    message: str


TABLE: dict[Code, Row] = {
    Code.AUTH_TOKEN_MISSING: Row(401, "no", "authentication_error", "No API key or token was sent."),
    Code.AUTH_TOKEN_INVALID: Row(401, "no", "authentication_error", "The API key or token is not valid."),
    Code.SESSION_EXPIRED: Row(401, "no", "authentication_error", "The API key or token has expired."),
    Code.AUTHZ_PERMISSION_DENIED: Row(403, "no", "permission_error", "You do not have the permission for this."),
    Code.AUTH_INSUFFICIENT_SCOPE: Row(403, "no", "permission_error", "The API key lacks the scope for this."),
    Code.MODEL_ACCESS_DENIED: Row(403, "no", "permission_error", "The API key may not use this model."),
    Code.TENANT_SUSPENDED: Row(403, "no", "permission_error", "The tenant is suspended."),
    Code.ADDRESS_NOT_ALLOWED: Row(403, "no", "permission_error", "The API key may not be used from this address."),
    Code.MODEL_NOT_FOUND: Row(404, "no", "invalid_request_error", "There is no such model."),
    Code.BACKEND_NOT_FOUND: Row(404, "no", "invalid_request_error", "There is no such backend."),
    Code.PROVIDER_NOT_FOUND: Row(404, "no", "invalid_request_error", "There is no such provider."),
    Code.NOT_FOUND: Row(404, "no", "invalid_request_error", "There is nothing at this path."),
    Code.SLUG_CONFLICT: Row(409, "no", "invalid_request_error", "The slug is taken."),
    Code.PROVIDER_HAS_BACKENDS: Row(409, "no", "invalid_request_error", "The provider still has backends."),
    Code.MODEL_HAS_BACKENDS: Row(409, "no", "invalid_request_error", "The model still has backends."),
    Code.MANAGED_BY_CONFIG: Row(
        409, "no", "invalid_request_error", "The configuration file declares this; change it there."
    ),
    Code.IDEMPOTENCY_IN_PROGRESS: Row(
        409, "after", "invalid_request_error", "The first call with this Idempotency-Key is still running."
    ),
    Code.CONFLICT: Row(409, "no", "invalid_request_error", "This contradicts what is there already."),
    Code.METHOD_NOT_ALLOWED: Row(405, "no", "invalid_request_error", "This path does not take this method."),
    Code.PRECONDITION_FAILED: Row(
        412, "no", "invalid_request_error", "It has changed since you read it: read it again."
    ),
    Code.REQUEST_TOO_LARGE: Row(413, "no", "invalid_request_error", "The request body is too large."),
    Code.UNSUPPORTED_MEDIA_TYPE: Row(415, "no", "invalid_request_error", "Send the body as application/json."),
    Code.VALIDATION_ERROR: Row(422, "no", "invalid_request_error", "The request is not valid."),
    Code.UNSUPPORTED_BY_MODEL: Row(422, "no", "invalid_request_error", "The model cannot do what was asked."),
    Code.CONTEXT_TOO_LONG: Row(422, "no", "invalid_request_error", "The request is longer than the model's context."),
    Code.CONTENT_REFUSED: Row(422, "no", "invalid_request_error", "The provider's content filter refused the request."),
    Code.IDEMPOTENCY_KEY_REUSED: Row(
        422, "no", "invalid_request_error", "The Idempotency-Key belongs to another request: use a new one."
    ),
    Code.RATE_LIMITED: Row(429, "after", "rate_limit_error", "Too many requests."),
    Code.BACKEND_RATE_LIMITED: Row(429, "after", "rate_limit_error", "The provider is limiting requests."),
    Code.BUDGET_EXCEEDED: Row(429, "no", "insufficient_quota", "The budget is used up."),
    Code.QUOTA_EXCEEDED: Row(429, "no", "insufficient_quota", "No more of these are allowed."),
    Code.CLIENT_CLOSED: Row(499, "no", "invalid_request_error", "The client closed the connection."),
    Code.INTERNAL_ERROR: Row(500, "no", "server_error", "Something failed inside the gateway."),
    Code.BACKEND_ERROR: Row(502, "once", "server_error", "The provider failed or could not be reached."),
    Code.UPSTREAM_SHAPE_MISMATCH: Row(502, "no", "server_error", "The provider's answer broke its own format."),
    Code.PROVIDER_DISCOVERY_ERROR: Row(502, "no", "server_error", "The provider's models could not be listed."),
    Code.MODEL_UNAVAILABLE: Row(503, "later", "server_error", "No backend of the model is available."),
    Code.OVERLOADED: Row(503, "later", "server_error", "The gateway is at capacity."),
    Code.AUTH_BACKEND_UNAVAILABLE: Row(503, "later", "server_error", "Tokens cannot be checked at the moment."),
    Code.STORE_UNAVAILABLE: Row(503, "later", "server_error", "A store that the gateway needs is unavailable."),
    Code.BACKEND_TIMEOUT: Row(504, "backoff", "server_error", "The provider did not answer in time."),
}


class Detail(msgspec.Struct, frozen=True):
    """One fault of a request: the `field` it is in (`messages[0].role`) and what is wrong with it."""

    field: str
    message: str


NO_RETRY: Final = (b"x-should-retry", b"false")
"""For a refusal that stays one: stops the OpenAI and Anthropic SDKs, which read it before the status."""


class GatewayError(Exception):
    """A refusal or failure with a stable code; `message` and `details` are written for the client.

    `retry_after` is in whole seconds. `level` names the limit or budget that stopped the call. `headers` go with the
    answer as they are (`allow` with a 405).
    """

    def __init__(
        self,
        code: Code,
        message: str | None = None,
        *,
        details: tuple[Detail, ...] = (),
        retry_after: int | None = None,
        level: Level | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.code = code
        self.row = TABLE[code]
        self.message = message or self.row.message
        self.details = details
        self.retry_after = retry_after
        self.level: Level | None = level
        self.headers = headers
        super().__init__(f"{code}: {self.message}")

    @property
    def status(self) -> int:
        return self.row.status

    def response_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that go with the code in every dialect.

        `x-should-retry: false` stops the OpenAI and Anthropic SDKs, which would otherwise repeat every 408, 409, 429
        and 5xx by themselves (both read it before the status).
        """
        headers = list(self.headers)
        if self.retry_after is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after))
        if self.row.retry == "no" and (self.status in (409, 429) or self.status >= 500):
            headers.append(NO_RETRY)
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="scaigrid"'))
        return headers


def told(raised: BaseException) -> GatewayError:
    """What a client is told of anything that was raised."""
    return raised if isinstance(raised, GatewayError) else GatewayError(Code.INTERNAL_ERROR)


def let_go(error: BaseException) -> None:
    """Cuts an error off from where it was raised, and from what it was raised for, once nobody will ask any more.

    The frames that it came through hold the request with its body, and the request holds the error: a ring that only
    the collector finds. It comes seldom to a worker, which has few rings; till then a few bad bodies could fill it.
    """
    left = [error]
    while left:
        one = left.pop()
        left += [other for other in (one.__cause__, one.__context__) if other is not None]
        one.__traceback__ = one.__cause__ = one.__context__ = None
