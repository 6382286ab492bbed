import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from starlette.requests import Request as Inner
from starlette.responses import Response

from middlewares.audit import Audit, AuditConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.tenancy import Tenancy, TenancyConfig
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Audited, Exchange, Owners
from scaigrid.ledger.records import AuditRow
from tests.harness.asgi import Request
from tests.harness.services import BEARER, Parts
from tests.middlewares.bare import CHAT, NATIVE_CHAT, Bare, called, knowing

MUTATING = ["POST", "PUT", "PATCH", "DELETE"]


@pytest.fixture
def parts() -> Parts:
    return Parts()


def linked(parts: Parts, app: Any) -> Audit:
    return Audit(app, AuditConfig(), parts.services)


def only(parts: Parts) -> AuditRow:
    (row,) = parts.kept.audit
    return row


async def test_a_mutating_request_is_a_row_that_says_who_did_what_from_where(parts: Parts) -> None:
    app = linked(parts, Tenancy(Bare(knowing(called)).app, TenancyConfig(), parts.services))
    headers = {**BEARER, "x-request-id": "of-this-one", "user-agent": "probe/1.0"}
    began = parts.clock.now()
    await Request(CHAT, headers=headers).through(app)
    principal = parts.principal
    row = only(parts)
    assert re.fullmatch(r"audit_[0-9a-f]{32}", row.id)
    assert msgspec.structs.replace(row, id="") == AuditRow(
        id="",
        timestamp=began,
        action="inference.chat",
        actor_id=principal.user.id,
        actor_email="ann@example.test",
        actor_type="user",
        tenant_id=principal.tenant.id,
        partner_id=principal.partner.id,
        resource_type="model",
        resource_id="acme/chat",
        ip_address="192.0.2.7",
        user_agent="probe/1.0",
        status="SUCCESS",
        http_status=200,
        error_code=None,
        request_id="of-this-one",
    )


@pytest.mark.parametrize("method", MUTATING)
async def test_every_mutating_method_leaves_a_row(parts: Parts, method: str) -> None:
    await Request("/plain", method).through(linked(parts, Bare().app))
    row = only(parts)
    assert (row.action, row.resource_type, row.resource_id) == (f"request.{method.lower()}", "path", "/plain")
    assert (row.status, row.http_status) == ("SUCCESS", 202)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_leaves_none(parts: Parts, method: str) -> None:
    await Request("/plain", method).through(linked(parts, Bare().app))
    assert parts.kept.records == []


async def test_off_leaves_none(parts: Parts) -> None:
    await Request().through(Audit(Bare().app, AuditConfig(enabled=False), parts.services))
    assert parts.kept.records == []


async def test_a_caller_who_was_refused_at_the_door_is_recorded_without_a_name(parts: Parts) -> None:
    app = linked(parts, Tenancy(Bare().app, TenancyConfig(), parts.services))
    with pytest.raises(GatewayError):
        await Request(NATIVE_CHAT, headers={"authorization": "Bearer wrong"}).through(app)
    row = only(parts)
    assert (row.actor_type, row.actor_id, row.actor_email, row.tenant_id, row.partner_id) == ("anonymous", *[None] * 4)
    assert (row.action, row.resource_type, row.resource_id) == ("inference.chat", "model", None)
    assert (row.status, row.http_status, row.error_code) == ("FAILURE", 401, "AUTH_TOKEN_INVALID")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GatewayError(Code.BUDGET_EXCEEDED), 429, "BUDGET_EXCEEDED"),
        (ZeroDivisionError("of the inside"), 500, "INTERNAL_ERROR"),
        (asyncio.CancelledError(), 500, "INTERNAL_ERROR"),
    ],
    ids=["refused", "broken", "cancelled"],
)
async def test_a_failure_is_recorded_and_goes_on(parts: Parts, error: BaseException, status: int, code: str) -> None:
    async def fails(*_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await Request().through(linked(parts, fails))
    assert caught.value is error
    row = only(parts)
    assert (row.status, row.http_status, row.error_code) == ("FAILURE", status, code)


@pytest.mark.parametrize(
    ("status", "outcome"), [(302, "SUCCESS"), (399, "SUCCESS"), (400, "FAILURE"), (503, "FAILURE")]
)
async def test_the_outcome_of_somebody_else_s_answer_is_its_status(parts: Parts, status: int, outcome: str) -> None:
    async def answers(_: Inner) -> Response:
        return Response(status_code=status)

    await Request("/do").through(linked(parts, Bare(answers).app))
    assert (only(parts).status, only(parts).http_status) == (outcome, status)


async def test_a_failure_after_the_first_byte_is_one_though_the_status_was_fine(parts: Parts) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise GatewayError(Code.BACKEND_TIMEOUT)

    with pytest.raises(GatewayError):
        await Request().through(linked(parts, late))
    row = only(parts)
    assert (row.status, row.http_status, row.error_code) == ("FAILURE", 200, "BACKEND_TIMEOUT")


async def test_a_failure_that_was_answered_further_in_is_one_too(parts: Parts) -> None:
    """The forwarder leaves what went wrong on the exchange where it could still end the answer well."""

    def fill(found: Exchange) -> None:
        called(found).error = GatewayError(Code.CLIENT_CLOSED)

    await Request(CHAT).through(linked(parts, Bare(knowing(fill)).app))
    assert (only(parts).status, only(parts).error_code) == ("FAILURE", "CLIENT_CLOSED")


async def test_a_row_that_cannot_be_kept_is_a_failure_of_the_store(parts: Parts) -> None:
    """The answer is out by then; who stands further out, and the log, still have to know."""
    parts.kept.full = True
    with pytest.raises(GatewayError) as caught:
        await Request().through(linked(parts, Bare().app))
    assert caught.value.code is Code.STORE_UNAVAILABLE


async def test_before_the_first_byte_that_failure_is_what_the_client_is_told(parts: Parts) -> None:
    parts.kept.full = True

    async def refuses(*_: object) -> None:
        raise GatewayError(Code.NOT_FOUND)

    app = Errors(linked(parts, refuses), ErrorsConfig(), parts.services)
    request = await Request("/v1/do").through(app)
    assert request.code == "STORE_UNAVAILABLE"


async def test_what_a_caller_writes_is_bounded(parts: Parts) -> None:
    def long(found: Exchange) -> None:
        call = called(found).call
        assert call is not None
        found.call = msgspec.structs.replace(call, model="m" * 1000)

    app = linked(parts, Bare(knowing(long)).app)
    await Request(CHAT, headers={"user-agent": "a" * 1000}).through(app)
    await Request("/" + "p" * 1000).through(app)
    call, path = parts.kept.audit
    assert (call.resource_id, call.user_agent) == ("m" * 256, "a" * 256)
    assert path.resource_id == "/" + "p" * 255


async def test_where_the_caller_is_was_found_out_by_tenancy(parts: Parts) -> None:
    config = TenancyConfig(trusted_proxies=("192.0.2.7",))
    app = linked(parts, Tenancy(Bare().app, config, parts.services))
    await Request("/do", headers={**BEARER, "x-forwarded-for": "198.51.100.9"}).through(app)
    assert only(parts).ip_address == "198.51.100.9"


CHANGED = Audited(
    action="tenant.update",
    resource_type="tenant",
    resource_id="tenant_1",
    before=msgspec.Raw(b'{"slug":"old"}'),
    after=msgspec.Raw(b'{"slug":"new"}'),
)


def changes(exchange: Exchange) -> None:
    """What a handler of the control plane leaves on the exchange of a change to another tenant's resource."""
    exchange.audited = CHANGED
    exchange.owners = Owners("tenant_of_it", "partner_of_it")


def handling(parts: Parts, handle: Callable[[Exchange], None]) -> Audit:
    """The link around tenancy and a handler that has the exchange and, where it raises nothing, answers 202."""
    return linked(parts, Tenancy(Bare(knowing(handle)).app, TenancyConfig(), parts.services))


async def test_a_change_of_the_control_plane_is_recorded_with_what_was_and_what_is(parts: Parts) -> None:
    await Request("/v1/do", "PATCH", headers=BEARER).through(handling(parts, changes))
    row = only(parts)
    assert (row.action, row.resource_type, row.resource_id) == ("tenant.update", "tenant", "tenant_1")
    assert (row.before, row.after) == (CHANGED.before, CHANGED.after)
    assert (row.tenant_id, row.partner_id) == ("tenant_of_it", "partner_of_it")
    assert row.actor_id == parts.principal.user.id


async def test_a_refused_change_says_what_was_tried_and_shows_nothing(parts: Parts) -> None:
    def refuses(exchange: Exchange) -> None:
        changes(exchange)
        raise GatewayError(Code.MANAGED_BY_CONFIG)

    with pytest.raises(GatewayError):
        await Request("/v1/do", "PATCH", headers=BEARER).through(handling(parts, refuses))
    row = only(parts)
    assert (row.action, row.resource_id, row.before, row.after) == ("tenant.update", "tenant_1", None, None)
    assert (row.status, row.error_code) == ("FAILURE", "MANAGED_BY_CONFIG")
    assert row.tenant_id == "tenant_of_it"


async def test_what_stands_above_tenants_is_on_nobodys_row_once_it_changed_and_on_the_callers_where_refused(
    parts: Parts,
) -> None:
    def of_the_platform(exchange: Exchange) -> None:
        changes(exchange)
        exchange.owners = Owners(None, None)

    def refuses(exchange: Exchange) -> None:
        of_the_platform(exchange)
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED)

    await Request("/do", headers=BEARER).through(handling(parts, of_the_platform))
    with pytest.raises(GatewayError):
        await Request("/do", headers=BEARER).through(handling(parts, refuses))
    changed, refused = parts.kept.audit
    assert (changed.tenant_id, changed.partner_id) == (None, None)
    assert (refused.tenant_id, refused.partner_id) == (parts.principal.tenant.id, parts.principal.partner.id)


async def test_what_is_kept_ahead_is_kept_once(parts: Parts) -> None:
    seen: list[int] = []

    def keeps(exchange: Exchange) -> None:
        changes(exchange)
        assert exchange.keep is not None
        exchange.keep(201)
        seen.append(len(parts.kept.audit))

    await Request("/do", headers=BEARER).through(handling(parts, keeps))
    row = only(parts)
    assert (seen, row.status, row.http_status, row.after) == ([1], "SUCCESS", 201, CHANGED.after)


async def test_a_failure_after_what_was_kept_ahead_is_a_row_of_its_own(parts: Parts) -> None:
    """What was announced may not have happened, and the log must not leave it at that."""

    def keeps(exchange: Exchange) -> None:
        changes(exchange)
        assert exchange.keep is not None
        exchange.keep(200)
        raise GatewayError(Code.STORE_UNAVAILABLE)

    with pytest.raises(GatewayError):
        await Request("/do", headers=BEARER).through(handling(parts, keeps))
    ahead, after = parts.kept.audit
    assert (ahead.status, after.status, after.error_code) == ("SUCCESS", "FAILURE", "STORE_UNAVAILABLE")
    assert (ahead.action, ahead.request_id) == (after.action, after.request_id)
    assert ahead.id != after.id


async def test_what_cannot_be_kept_ahead_stops_who_asked_for_it(parts: Parts) -> None:
    parts.kept.full = True
    stopped: list[Code] = []

    def keeps(exchange: Exchange) -> None:
        assert exchange.keep is not None
        try:
            exchange.keep(200)
        except GatewayError as error:
            stopped.append(error.code)
            raise

    with pytest.raises(GatewayError):
        await Request("/do", headers=BEARER).through(handling(parts, keeps))
    assert (stopped, parts.kept.records) == ([Code.STORE_UNAVAILABLE], [])


async def test_the_link_holds_no_exchange_that_is_over(parts: Parts) -> None:
    held: list[Exchange] = []
    await Request("/do", headers=BEARER).through(handling(parts, held.append))
    assert held[0].keep is None


async def test_a_row_is_written_after_the_answer_and_for_each_request_its_own(parts: Parts) -> None:
    bare = Bare()
    app = linked(parts, bare.app)
    requests = [Request("/stream", headers={"x-request-id": f"request-{number}"}) for number in range(3)]
    running = [request.start(app) for request in requests]
    for request in requests:
        await request.got(1)
    assert parts.kept.records == []
    bare.open()
    for task in running:
        await task
    assert sorted(row.request_id for row in parts.kept.audit) == ["request-0", "request-1", "request-2"]
    assert len({row.id for row in parts.kept.audit}) == 3


@pytest.mark.parametrize(("method", "behind", "action"), [("DELETE", "", "delete"), ("POST", "/cancel", "cancel")])
async def test_what_is_done_to_something_that_a_provider_keeps_is_recorded_as_that(
    parts: Parts, method: str, behind: str, action: str
) -> None:
    def about(exchange: Exchange) -> None:
        template = f"/oai/v1/responses/{{response_id}}{behind}"
        exchange.call = exchange.dialect.resources[template][method]("resp_1", "")

    await Request("/oai/v1/do", method, headers=BEARER).through(handling(parts, about))
    row = only(parts)
    assert (row.action, row.resource_type, row.resource_id) == (f"inference.{action}", "response", "resp_1")
