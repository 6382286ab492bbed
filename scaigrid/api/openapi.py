"""`/docs/openapi.json`: the OpenAPI document, made at the first request for it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from litestar import Response, route

from scaigrid.api.handling import READ, Provided
from scaigrid.api.requirement import KEYLESS
from scaigrid.dialect import Dialect


@route("/docs/openapi.json", http_method=READ, guards=[KEYLESS])
async def openapi(openapi_text: Provided[bytes]) -> Response[bytes]:
    return Response(openapi_text, media_type="application/json")


def lazily(dialect_of: Callable[[], Callable[[str], Dialect]]) -> Callable[[], Awaitable[bytes]]:
    """What makes the text, once, in a thread: it reads the sources of the Structs, which takes a tenth of a second.

    `dialect_of` is asked then for what knows the dialect of a path.
    """
    text: bytes | None = None

    def made(known: Callable[[str], Dialect]) -> bytes:
        from scaigrid.api.document import document

        return msgspec.json.encode(document(known))

    async def openapi_text() -> bytes:
        nonlocal text
        if text is None:
            text = await asyncio.to_thread(made, dialect_of())
        return text

    return openapi_text
