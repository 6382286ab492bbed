"""What an export is made of: each form whole, in pages, and truthful where it could not be finished."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Self, get_args

import msgspec
import pytest

from scaigrid.api.export import MEDIA_TYPES, Download, Format, export
from scaigrid.dialects import DIALECTS
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from tests.harness.services import Parts

FORMATS = pytest.mark.parametrize("form", get_args(Format))


class Item(AnswerShape, kw_only=True):
    name: str
    number: int | None = None
    inside: Mapping[str, Any] | None = None


ITEMS = [Item(name=f"n{number}", number=number, inside={"a": [1, "é"]}) for number in range(5)]


def exchange() -> Exchange:
    parts = Parts()
    return Exchange(
        request_id="of-this-one",
        method="GET",
        path="/v1",
        dialect=DIALECTS[-1],
        snapshot=parts.snapshot,
        principal=parts.principal,
        started=0.0,
        started_at=0.0,
    )


async def pages(
    *given: Sequence[Item], error: GatewayError | None = None, read: list[int] | None = None
) -> AsyncGenerator[Sequence[Item]]:
    for number, page in enumerate(given):
        if read is not None:
            read.append(number)
        yield page
    if error is not None:
        raise error


class Wire:
    """An ASGI server that keeps what it is sent; its client leaves after so many pieces."""

    def __init__(self, method: str = "GET", leaves_after: int | None = None) -> None:
        self.messages: list[Any] = []
        self.scope: Any = {"type": "http", "method": method}
        self._leaves_after = leaves_after
        self._left = asyncio.Event()
        self._asked = False

    @property
    def pieces(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        if self._leaves_after is not None and len(self.pieces) >= self._leaves_after:
            self._left.set()
        await asyncio.sleep(0)

    async def through(self, download: Download) -> Self:
        await download(self.scope, self.receive, self.send)
        return self


async def written(form: Format, *given: Sequence[Item], error: GatewayError | None = None) -> str:
    download = await export(exchange(), form, "items", Item, pages(*given, error=error))
    return b"".join((await Wire().through(download)).pieces).decode()


CUTS = pytest.mark.parametrize("cut", [[ITEMS], [ITEMS[:2], ITEMS[2:]], [[one] for one in ITEMS], [ITEMS, []]])


@CUTS
async def test_json_is_one_envelope_however_it_is_cut(cut: list[list[Item]]) -> None:
    found = json.loads(await written("json", *cut))
    assert found == {
        "status": "ok",
        "data": {"items": msgspec.to_builtins(ITEMS)},
        "meta": {"request_id": "of-this-one"},
    }


@CUTS
async def test_ndjson_is_an_object_a_line_however_it_is_cut(cut: list[list[Item]]) -> None:
    lines = (await written("ndjson", *cut)).splitlines()
    assert [json.loads(line) for line in lines] == msgspec.to_builtins(ITEMS)


@CUTS
async def test_csv_is_a_row_an_item_below_the_names_however_it_is_cut(cut: list[list[Item]]) -> None:
    text = await written("csv", *cut)
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["name"], row["number"], json.loads(row["inside"])) for row in rows] == [
        (one.name, str(one.number), one.inside) for one in ITEMS
    ]


@FORMATS
async def test_nothing_is_an_export_too(form: Format) -> None:
    expected = {
        "csv": "name,number,inside\r\n",
        "json": '{"status":"ok","data":{"items":[]},"meta":{"request_id":"of-this-one"}}',
        "ndjson": "",
    }
    assert await written(form) == expected[form]


@FORMATS
async def test_the_answer_says_what_it_is(form: Format) -> None:
    wire = await Wire().through(await export(exchange(), form, "items", Item, pages(ITEMS)))
    start = wire.messages[0]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert start["status"] == 200
    assert headers["content-type"] == MEDIA_TYPES[form]
    assert headers["content-disposition"] == f'attachment; filename="items.{form}"'
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=x", "\uff1d1", "=cmd|' /C calc'!A0"]
)
async def test_a_text_is_never_a_formula(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(await written("csv", [Item(name=text)]), newline=""))
    assert row["name"] == f"'{text}"


@pytest.mark.parametrize("text", ["plain", "a=b", "1-2", 'say "hi", he said', "two\r\nlines", "'quoted"])
async def test_any_other_text_is_as_it_was(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(await written("csv", [Item(name=text)]), newline=""))
    assert row["name"] == text


async def test_a_negative_number_is_a_number_and_nothing_is_nothing() -> None:
    (row,) = csv.DictReader(io.StringIO(await written("csv", [Item(name="x", number=-5)]), newline=""))
    assert (row["number"], row["inside"]) == ("-5", "")


async def test_a_page_is_read_when_the_one_before_it_has_been_sent() -> None:
    read: list[int] = []
    download = await export(exchange(), "ndjson", "items", Item, pages([ITEMS[0]], [ITEMS[1]], [ITEMS[2]], read=read))
    assert read == [0]
    seen = [list(read) async for _ in download.pieces]
    assert seen[:3] == [[0], [0, 1], [0, 1, 2]]


async def test_nothing_more_is_read_for_who_has_left() -> None:
    read: list[int] = []
    download = await export(exchange(), "ndjson", "items", Item, pages(*([one] for one in ITEMS), read=read))
    await Wire(leaves_after=2).through(download)
    assert read == [0, 1, 2]


async def test_head_reads_the_first_page_alone() -> None:
    read: list[int] = []
    download = await export(exchange(), "csv", "items", Item, pages(*([one] for one in ITEMS), read=read))
    wire = await Wire("HEAD").through(download)
    assert (read, wire.pieces) == ([0], [b""])


async def test_an_answer_ends_with_its_last_piece_though_nobody_leaves() -> None:
    wire = await Wire().through(await export(exchange(), "csv", "items", Item, pages(ITEMS)))
    assert wire.messages[-1]["more_body"] is False


async def test_what_cannot_be_read_at_all_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        await export(exchange(), "csv", "items", Item, pages(error=GatewayError(Code.STORE_UNAVAILABLE)))
    assert caught.value.code is Code.STORE_UNAVAILABLE


@FORMATS
async def test_what_could_not_be_finished_says_so(form: Format) -> None:
    text = await written(form, ITEMS[:1], error=GatewayError(Code.STORE_UNAVAILABLE, "Gone."))
    if form == "json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    elif form == "ndjson":
        last = json.loads(text.splitlines()[-1])
        assert last == {
            "status": "error",
            "error": {"code": "STORE_UNAVAILABLE", "message": "Gone.", "request_id": "of-this-one"},
        }
    else:
        assert text.splitlines()[-1] == "# not complete: STORE_UNAVAILABLE: Gone."
