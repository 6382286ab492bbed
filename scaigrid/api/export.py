"""Exports: rows of a ledger as CSV, JSON or one JSON object a line, page by page, however many there are.

Nothing is gathered: a page is read when the one before it has been sent. The first one is read ahead of the answer, so
that a ledger that cannot be read is refused as anywhere. Where one fails later, the status is long gone: CSV and
NDJSON then end with a line that says so, and JSON without its end.
"""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal

import msgspec

from scaigrid.asgi import Receive, Scope, Send
from scaigrid.errors import GatewayError
from scaigrid.exchange import Exchange

Format = Literal["csv", "json", "ndjson"]
Pages = AsyncGenerator[Sequence[msgspec.Struct]]

PAGE = 200
"""Rows of one page. Few enough that encoding them holds up nobody."""
MEDIA_TYPES: Mapping[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes spreadsheets take a text for a formula, the full-width forms included (OWASP, "CSV Injection")."""

_json = msgspec.json.Encoder().encode


class Download:
    """An answer in pieces, as an ASGI application. Litestar's own kind ends when its client's connection does."""

    def __init__(self, headers: Mapping[str, str], pieces: AsyncGenerator[bytes]) -> None:
        self.headers = headers
        self.pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        async with aclosing(self.pieces) as pieces:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            # The server takes what is sent to a client who has left in silence; only here it says so.
            leaving = asyncio.ensure_future(_left(receive))
            try:
                async for piece in pieces:
                    if leaving.done() or scope["method"] == "HEAD":
                        break
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                leaving.cancel()
                with suppress(asyncio.CancelledError):
                    await leaving
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def export(exchange: Exchange, form: Format, name: str, item: type[msgspec.Struct], pages: Pages) -> Download:
    """The answer: a file called `name` with every item of `pages`, which are of the type `item`.

    Raises what the first page raises.
    """
    first = await anext(pages, None) or ()
    headers = {
        "content-type": MEDIA_TYPES[form],
        "content-disposition": f'attachment; filename="{name}.{form}"',
        "cache-control": "no-store",
    }
    return Download(headers, _written(_WRITERS[form](exchange, item), first, pages))


class _Csv:
    """RFC 4180, with a line of names ahead."""

    def __init__(self, _exchange: Exchange, item: type[msgspec.Struct]) -> None:
        self._fields = item.__struct_fields__
        self.begin = _line(field.encode_name for field in msgspec.structs.fields(item))
        self.end = b""

    def rows(self, items: Sequence[msgspec.Struct], *, first: bool) -> bytes:
        return b"".join([_line(_cell(getattr(item, name)) for name in self._fields) for item in items])

    def failed(self, error: GatewayError) -> bytes:
        return _line([f"# not complete: {error.code}: {error.message}"])


class _NdJson:
    begin = b""
    end = b""

    def __init__(self, exchange: Exchange, _item: type[msgspec.Struct]) -> None:
        self._request_id = exchange.request_id

    def rows(self, items: Sequence[msgspec.Struct], *, first: bool) -> bytes:
        return b"".join([_json(item) + b"\n" for item in items])

    def failed(self, error: GatewayError) -> bytes:
        told = {"code": error.code, "message": error.message, "request_id": self._request_id}
        return _json({"status": "error", "error": told}) + b"\n"


class _Json:
    """The envelope of every answer, written around the rows as they come."""

    begin = b'{"status":"ok","data":{"items":['

    def __init__(self, exchange: Exchange, _item: type[msgspec.Struct]) -> None:
        self.end = b']},"meta":' + _json({"request_id": exchange.request_id}) + b"}"

    def rows(self, items: Sequence[msgspec.Struct], *, first: bool) -> bytes:
        joined = b",".join([_json(item) for item in items])
        return joined if first or not joined else b"," + joined

    def failed(self, error: GatewayError) -> bytes:
        return b""


_Writer = _Csv | _NdJson | _Json
_WRITERS: Mapping[Format, Callable[[Exchange, type[msgspec.Struct]], _Writer]] = {
    "csv": _Csv,
    "json": _Json,
    "ndjson": _NdJson,
}


async def _left(receive: Receive) -> None:
    """Returns once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _written(writer: _Writer, first: Sequence[msgspec.Struct], rest: Pages) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield writer.begin + writer.rows(first, first=True)
        try:
            async for page in rest:
                yield writer.rows(page, first=False)
        except GatewayError as error:
            yield writer.failed(error)
        else:
            yield writer.end


def _cell(value: Any) -> str:
    if value is None or value is msgspec.UNSET:
        return ""
    text = value if isinstance(value, str) else _json(value).decode()
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
