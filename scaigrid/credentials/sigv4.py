"""AWS Signature Version 4: a request and the time in, the signed request out, and nothing else.

Source: AWS, "Create a signed AWS API request" (Signature Version 4).
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence
from posixpath import normpath
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from scaigrid.adapter import UpstreamRequest
from scaigrid.call import Header
from scaigrid.secrets import Secret

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED: Final = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "expect",
        "te",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "user-agent",
        "x-amzn-trace-id",
        "x-request-id",
    }
)
"""What somebody on the way may change, or what is added once the request is signed."""
_UNRESERVED: Final = "-_.~"


class Keys(msgspec.Struct, frozen=True):
    """An access key; the token goes with temporary ones."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for."""

    region: str
    service: str
    """The name that the service has in signatures."""


def signed(request: UpstreamRequest, keys: Keys, scope: Scope, now: float) -> UpstreamRequest:
    """The request with `x-amz-date`, a token where there is one, and `authorization`; `now` in seconds since the epoch.

    A signature is good for some minutes from then on.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    place = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    added: list[Header] = [("x-amz-date", moment)]
    if keys.session_token is not None:
        added.append(("x-amz-security-token", keys.session_token.reveal()))
    headers = [*(pair for pair in request.headers if pair[0].lower() not in _OURS), *added]
    canonical, names = canonical_request(request.method, request.url, headers, request.body)
    told = "\n".join([ALGORITHM, moment, place, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = _mac(_signing_key(keys.secret_access_key, moment[:8], scope), told).hex()
    authorization = f"{ALGORITHM} Credential={keys.access_key_id}/{place}, SignedHeaders={names}, Signature={signature}"
    headers.append(("authorization", authorization))
    return UpstreamRequest(request.method, request.url, tuple(headers), request.body)


_OURS: Final = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})


def canonical_request(method: str, url: str, headers: Sequence[Header], body: bytes) -> tuple[str, str]:
    """The text that is signed, and the names of the headers that are in it."""
    parts = urlsplit(url)
    found: dict[str, list[str]] = {}
    for name, value in _named(headers, url):
        if name not in _UNSIGNED:
            found.setdefault(name, []).append(" ".join(value.split()))
    lines = [f"{name}:{','.join(found[name])}\n" for name in sorted(found)]
    names = ";".join(sorted(found))
    said = hashlib.sha256(body).hexdigest()
    return "\n".join([method, _path(parts.path), _query(parts.query), "".join(lines), names, said]), names


def _named(headers: Iterable[Header], url: str) -> Iterable[Header]:
    named = [(name.lower(), value) for name, value in headers]
    # The client writes it from the address.
    return named if any(name == "host" for name, _ in named) else [("host", _host(url)), *named]


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _path(path: str) -> str:
    """The path as it is sent, encoded once more: so it is for every service but S3."""
    if not path:
        return "/"
    plain = normpath(path)
    # Two slashes at the beginning mean something to POSIX, and nothing here.
    plain = "/" + plain.strip("/")
    return quote(plain + "/" if path.endswith("/") and plain != "/" else plain, safe="/" + _UNRESERVED)


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = [(_once(name), _once(value)) for name, _, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _once(text: str) -> str:
    """Percent-encoded as the rules have it, however it was before."""
    return quote(unquote(text), safe=_UNRESERVED)


def _signing_key(secret: Secret, day: str, scope: Scope) -> bytes:
    key = ("AWS4" + secret.reveal()).encode()
    for text in (day, scope.region, scope.service, "aws4_request"):
        key = _mac(key, text)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
