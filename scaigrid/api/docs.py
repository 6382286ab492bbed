"""`/docs`: the API reference, which shows `/docs/openapi.json` with Swagger UI. Nothing comes from another host.

Swagger UI's files lie in the wheel of a MkDocs plugin, whose code is never imported. They are looked up, read and
packed at the first request for them. An asset's name has its digest in it, so browsers may keep it for ever, and only
names of this table are served: a path in a request never becomes a path on the disk.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.params import FromPath

from scaigrid.api.handling import READ
from scaigrid.api.requirement import KEYLESS
from scaigrid.errors import Code, GatewayError

ASSETS = "/docs/assets/"
SWAGGER_UI = "mkdocs-swagger-ui-tag"
"""The distribution whose wheel carries Swagger UI as its makers publish it (Apache 2.0)."""

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
_THEIRS = ("swagger-ui-bundle.js", "swagger-ui.css")
_OURS = ("start.js", "style.css", "icon.svg")
_POLICY = {
    # Pictures in style sheets are data: addresses; everything else is a file of ours.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_NO_WEIGHT = re.compile(r"q=0(?:\.0*)?")
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent: whole, and packed with gzip."""

    media_type: str
    body: bytes
    packed: bytes
    etag: str
    """Weak, since both forms have the same (RFC 9110, section 8.8.1)."""


class Reference(msgspec.Struct, frozen=True):
    page: Asset
    assets: Mapping[str, Asset]
    """By the name that the page asks for."""


@route("/docs", http_method=READ, guards=[KEYLESS])
async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
    found = await asyncio.to_thread(reference)
    return _answer(request, found.page, _ASK_AGAIN)


@route(ASSETS + "{name:str}", http_method=READ, guards=[KEYLESS])
async def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    found = (await asyncio.to_thread(reference)).assets.get(name)
    if found is None:
        raise GatewayError(Code.NOT_FOUND)
    return _answer(request, found, _FOR_EVER)


@cache
def reference() -> Reference:
    """The page and all that it asks for. Reads files, so it is no call for the event loop."""
    named: dict[str, str] = {}
    assets: dict[str, Asset] = {}
    for name, body in _bodies().items():
        stem, dot, suffix = name.rpartition(".")
        unique = f"{stem}-{hashlib.sha256(body).hexdigest()[:16]}{dot}{suffix}"
        assets[unique] = _asset(name, body)
        named[name] = unique
    html = (files("scaigrid.api") / "reference" / "page.html").read_text("utf-8")
    for name, unique in named.items():
        # Relative to /docs: see start.js
        html = html.replace(f"{{{name}}}", f"docs/assets/{unique}")
    return Reference(_asset("page.html", html.encode()), assets)


def _bodies() -> dict[str, bytes]:
    ours = files("scaigrid.api") / "reference"
    bodies = {name: (ours / name).read_bytes() for name in _OURS}
    theirs = {file.name: file for file in distribution(SWAGGER_UI).files or () if file.name in _THEIRS}
    return bodies | {name: Path(str(theirs[name].locate())).read_bytes() for name in _THEIRS}


def _asset(name: str, body: bytes) -> Asset:
    return Asset(
        media_type=_TYPES[Path(name).suffix],
        body=body,
        packed=gzip.compress(body, mtime=0),
        etag=f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
    )


def _answer(request: Request[Any, Any, Any], found: Asset, cache_control: str) -> Response[bytes]:
    headers = {**_POLICY, "cache-control": cache_control, "etag": found.etag, "vary": "accept-encoding"}
    if _known(request.headers.get("if-none-match", ""), found.etag):
        return Response(b"", status_code=304, headers=headers)
    # As a header: to a media type of text Litestar adds a charset of its own
    headers["content-type"] = found.media_type
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(found.body, headers=headers)
    return Response(found.packed, headers={**headers, "content-encoding": "gzip"})


def _known(header: str, etag: str) -> bool:
    """Whether `If-None-Match` names the ETag, compared weakly (RFC 9110, section 13.1.2)."""
    bare = etag.removeprefix("W/")
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return header.strip() == "*" or bare in tags


def _takes_gzip(header: str) -> bool:
    """Whether `Accept-Encoding` names gzip, and not with the weight 0 (RFC 9110, section 12.5.3)."""
    for coding in header.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return _NO_WEIGHT.fullmatch(weight.strip()) is None
    return False
