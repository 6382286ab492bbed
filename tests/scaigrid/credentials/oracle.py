"""Amazon's own library as the judge of our signatures; it has no types, so all of it that tests see is here."""

from importlib import import_module
from typing import Any

from scaigrid.adapter import UpstreamRequest
from scaigrid.credentials.sigv4 import Keys, Scope


def authorization(request: UpstreamRequest, keys: Keys, scope: Scope, when: str) -> str:
    """What it writes as `authorization`, for the same time (`20150830T123600Z`) and the same headers."""
    auth: Any = import_module("botocore.auth")
    credentials: Any = import_module("botocore.credentials")
    awsrequest: Any = import_module("botocore.awsrequest")
    token = None if keys.session_token is None else keys.session_token.reveal()
    asked = awsrequest.AWSRequest(
        method=request.method, url=request.url, headers=dict(request.headers), data=request.body
    )
    asked.context["timestamp"] = when
    asked.headers["X-Amz-Date"] = when
    if token is not None:
        asked.headers["X-Amz-Security-Token"] = token
    signer = auth.SigV4Auth(
        credentials.Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token), scope.service, scope.region
    )
    names = signer.signed_headers(signer.headers_to_sign(asked))
    signature = signer.signature(signer.string_to_sign(asked, signer.canonical_request(asked)), asked)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(asked)}, SignedHeaders={names}, Signature={signature}"
