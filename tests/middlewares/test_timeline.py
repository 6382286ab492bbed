"""A timeline for each call of who is known, however it ends; none for strangers, and none for anything else."""

import pytest

from middlewares.budget import Budget, BudgetConfig
from middlewares.timeline import Timeline, TimelineConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, exchange_of
from scaigrid.ledger.records import TimelineRow
from scaigrid.timeline import read
from tests.harness.asgi import Request
from tests.harness.services import Parts
from tests.middlewares.bare import CHAT, called, exchange, identified


@pytest.fixture
def parts() -> Parts:
    return Parts()


def rows(parts: Parts) -> list[TimelineRow]:
    return [record for record in parts.kept.records if isinstance(record, TimelineRow)]


def linked(parts: Parts, app: ASGIApp, *, enabled: bool = True) -> Timeline:
    return Timeline(identified(app, parts), TimelineConfig(enabled=enabled), parts.services)


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    found = exchange_of(scope)
    assert found is not None
    called(found)
    await respond(send, 200, (), b"done")


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    raise GatewayError(Code.RATE_LIMITED, level="user")


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError


async def test_a_call_has_a_timeline_with_its_outcome(parts: Parts) -> None:
    request = await Request(CHAT, "POST").through(linked(parts, answers))
    (row,) = rows(parts)
    assert (row.request_id, row.user_id) == (exchange(request).request_id, parts.principal.user.id)
    told = read(row)
    assert (told.surface, told.status, told.outcome, told.bytes) == ("openai/chat", 200, "ok", 4)
    assert told.links[0][0] == "timeline"


@pytest.mark.parametrize(("app", "error", "code"), [(refuses, GatewayError, 429), (breaks, ZeroDivisionError, 500)])
async def test_a_refusal_has_one_too_and_goes_on(parts: Parts, app: ASGIApp, error: type[Exception], code: int) -> None:
    with pytest.raises(error):
        await Request(CHAT, "POST").through(linked(parts, app))
    (row,) = rows(parts)
    assert (read(row).status, read(row).outcome) == (code, "error")


async def test_the_settling_is_in_it(parts: Parts) -> None:
    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange_of(scope)
        assert found is not None
        found.attempts.append(Attempt(backend=parts.snapshot.backends[0], started=found.started))
        parts.clock.advance(0.25)
        await respond(send, 200, (), b"done")

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange_of(scope)
        assert found is not None
        called(found)
        await Budget(asks, BudgetConfig(), parts.services)(scope, receive, send)

    await Request(CHAT, "POST").through(linked(parts, decoded))
    assert read(rows(parts)[0]).settled == 250_000


async def test_of_a_stranger_nothing_is_kept(parts: Parts) -> None:
    with pytest.raises(GatewayError):
        await Request(CHAT, "POST").through(Timeline(refuses, TimelineConfig(), parts.services))
    assert rows(parts) == []


@pytest.mark.parametrize(("path", "method"), [("/v1/models", "GET"), ("/v1/routes", "POST"), (CHAT, "GET")])
async def test_what_is_no_call_has_none(parts: Parts, path: str, method: str) -> None:
    with pytest.raises(GatewayError):
        await Request(path, method).through(linked(parts, refuses))
    assert rows(parts) == []


async def test_turned_off_nothing_is_kept(parts: Parts) -> None:
    await Request(CHAT, "POST").through(linked(parts, answers, enabled=False))
    assert rows(parts) == []


async def test_no_answer_fails_for_want_of_room_for_its_timeline(parts: Parts) -> None:
    parts.kept.full = True
    request = await Request(CHAT, "POST").through(linked(parts, answers))
    assert request.status == 200
