"""The ASGI vocabulary (ASGI 3.0, HTTP), and the two things every link does with it: read a header, send an answer."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of header `name` (lower case), None where it is absent."""
    headers: Headers = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Sends one whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
