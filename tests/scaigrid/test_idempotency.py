"""Both stores as one; what the link makes of them is in tests/middlewares/test_idempotency.py."""

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from scaigrid.errors import Code, GatewayError
from scaigrid.idempotency import Answer, End, Reader, Repeats, Run, Terms
from scaigrid.repeats.memory import MemoryRuns
from scaigrid.repeats.port import Reading
from tests.harness.clock import StillClock
from tests.harness.repeats import KeptAnswers

pytestmark = pytest.mark.anyio


class Stores:
    def __init__(self, **terms: Any) -> None:
        self.clock = StillClock()
        self.answers = KeptAnswers()
        self.repeats = Repeats(MemoryRuns(self.clock), self.answers, Terms(**terms))

    async def run(self, what: str = "body", request_id: str = "req_first") -> Run:
        found = await self.repeats.begin("place", what, request_id)
        assert isinstance(found, Run)
        return found

    async def again(self, what: str = "body") -> Any:
        return await self.repeats.begin("place", what, "req_again")


async def whole(reader: Reader) -> Reading:
    pieces: list[bytes] = []
    while True:
        reading = await reader.read()
        pieces += reading.pieces
        if reading.end or reading.lost:
            return reading._replace(pieces=pieces)


async def test_who_begins_first_has_the_run_and_then_its_answer_is_there() -> None:
    stores = Stores()
    run = await stores.run()
    run.started(200, [(b"content-type", b"text/plain"), (b"x-scaigrid-overhead-ms", b"1")])
    run.piece(b"hel")
    run.piece(b"lo")
    whole = [run.whole]
    await run.finish()
    assert [*whole, run.whole] == [False, True]
    await run.close(None)
    answer = await stores.again()
    assert isinstance(answer, Answer)
    assert (answer.head.request_id, answer.head.status, answer.body) == ("req_first", 200, b"hello")
    assert answer.head.headers == ((b"content-type", b"text/plain"),)


async def test_a_run_that_comes_to_no_end_frees_the_key_and_says_why() -> None:
    stores = Stores()
    run = await stores.run()
    reader = await stores.again()
    run.started(200, [])
    await run.close(GatewayError(Code.BACKEND_ERROR, "It broke."))
    end = (await whole(reader)).end
    assert end is not None
    assert end.refusal is not None
    assert (end.whole, end.refusal.code, end.refusal.message) == (False, Code.BACKEND_ERROR, "It broke.")
    assert isinstance(await stores.again(), Run)


async def test_a_refusal_that_is_final_is_an_answer() -> None:
    stores = Stores()
    run = await stores.run()
    await run.refuse(GatewayError(Code.CONTENT_REFUSED, "Rude."))
    await run.close(GatewayError(Code.CONTENT_REFUSED, "Rude."))
    answer = await stores.again()
    assert (answer.head.status, answer.body, answer.refusal.message) == (422, None, "Rude.")


@pytest.mark.parametrize("over", [False, True])
async def test_another_request_under_the_key_is_refused(*, over: bool) -> None:
    stores = Stores()
    run = await stores.run()
    if over:
        run.started(200, [])
        await run.finish()
    with pytest.raises(GatewayError) as refused:
        await stores.again("another body")
    assert refused.value.code is Code.IDEMPOTENCY_KEY_REUSED
    if over:
        assert isinstance(await stores.again(), Answer)


async def test_a_store_that_is_away_leaves_no_claim_behind() -> None:
    stores = Stores()
    stores.answers.away = True
    with pytest.raises(GatewayError):
        await stores.again()
    stores.answers.away = False
    assert isinstance(await stores.again(), Run)


async def test_an_answer_that_cannot_be_kept_is_had_from_memory_for_an_hour() -> None:
    stores = Stores()
    run = await stores.run()
    run.started(200, [])
    run.piece(b"hello")
    stores.answers.away = True
    with capture_logs() as lines:
        await run.finish()
    assert [line["event"] for line in lines] == ["answer_not_kept"]
    stores.answers.away = False
    reading = await whole(await stores.again())
    assert (reading.pieces[1:], reading.end) == ([b"hello"], End(whole=True))
    stores.clock.advance(3600)
    assert isinstance(await stores.again(), Run)


async def test_what_is_larger_than_is_kept_is_known_without_its_body() -> None:
    stores = Stores(max_body_bytes=1024)
    run = await stores.run()
    run.started(200, [])
    run.piece(b"x" * 1024)
    run.piece(b"y")
    await run.finish()
    assert (await stores.again()).body is None


async def test_a_worker_holds_no_more_than_it_has_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaigrid.idempotency._MOST_HELD", 100)
    stores = Stores()
    run = await stores.run()
    run.started(200, [])
    run.piece(b"x" * 101)
    assert stores.repeats.held > 100
    run.piece(b"y")
    await run.finish()
    assert (await stores.again()).body is None
    assert stores.repeats.held == 0


async def test_cancelling_the_last_wait_does_not_stop_the_keeping() -> None:
    stores = Stores()
    run = await stores.run()
    run.started(200, [])
    run.piece(b"hello")
    finishing = asyncio.create_task(run.finish())
    await asyncio.sleep(0)
    finishing.cancel()
    await run.close(GatewayError(Code.CLIENT_CLOSED))
    assert (await stores.again()).body == b"hello"


@pytest.mark.parametrize("read", [False, True], ids=["unheard", "read along"])
async def test_a_worker_that_stops_lets_no_call_go_on_without_its_client(*, read: bool) -> None:
    stores = Stores()
    run = await stores.run()
    if read:
        await stores.again()
    staying = asyncio.create_task(run.deserted() if read else run.unheard(3600))
    await asyncio.sleep(0)
    assert not staying.done()
    await stores.repeats.aclose()
    assert staying.done()
    await run.unheard(3600)


def test_terms_have_bounds() -> None:
    for name, value in {"keep_hours": 0, "wait_seconds": -1, "lease_seconds": 0, "max_body_bytes": 1}.items():
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({name: value}, Terms)
