"""One request handed to an application as a server would hand it, and every message of the answer as it comes.

Nothing is collected on the way: a test sees each piece when it is sent, and is the client who stops or leaves.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

from scaigrid.asgi import ASGIApp, Message, Scope
from tests.harness.eventually import PATIENCE


class Request:
    """One request. Its task, where it is started rather than awaited, ends with the application."""

    def __init__(
        self,
        path: str = "/plain",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] = b"",
    ) -> None:
        """`body` as the pieces in which it arrives."""
        given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            # As Granian says it, so that a framework does what it does there.
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": given,
            "client": ("192.0.2.7", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        self.sent: list[Message] = []
        self.reads = 0
        """How many messages the application has asked for."""
        self._body = deque([body] if isinstance(body, bytes) else body)
        self._left = asyncio.Event()
        self._news = asyncio.Condition()

    async def receive(self) -> Message:
        self.reads += 1
        if self._body:
            piece = self._body.popleft()
            return {"type": "http.request", "body": piece, "more_body": bool(self._body) or self._left.is_set()}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(dict(message))
        async with self._news:
            self._news.notify_all()

    def leave(self) -> None:
        """The client closes the connection: in the middle of its body, where not all of that was read."""
        self._left.set()

    async def through(self, app: ASGIApp) -> Self:
        """The request, once the application has returned. Raises what it raises."""
        async with asyncio.timeout(PATIENCE):
            await app(self.scope, self.receive, self.send)
        return self

    def start(self, app: ASGIApp) -> asyncio.Task[Self]:
        return asyncio.create_task(self.through(app))

    async def got(self, pieces: int) -> list[bytes]:
        """The pieces of the body that are there, as soon as there are so many."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.pieces) >= pieces)
        return self.pieces

    # -- the answer --------------------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return bool(self.sent)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name.decode(), value.decode()) for name, value in self.sent[0]["headers"]]

    def header(self, name: str) -> str | None:
        """Its one value, None where it is absent; more than one fails."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    @property
    def pieces(self) -> list[bytes]:
        """The body as it was cut by the application, without what is empty."""
        return [message["body"] for message in self.sent if message.get("body")]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def complete(self) -> bool:
        """The application said that nothing follows."""
        return self.started and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error in either dialect."""
        code: str = self.json["error"]["code"]
        return code


async def passed(app: ASGIApp, scope: Scope, *messages: Message) -> list[Message]:
    """What an application sends for a scope other than HTTP, when it is handed these messages."""
    inbox = deque(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        return inbox.popleft()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert not inbox, "not all was read"
    return sent
