import json
from collections import Counter
from typing import Any

import pytest

from middlewares.intake import Intake, IntakeConfig
from middlewares.route_resolve import RouteResolve, RouteResolveConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.health import FAILURES_TO_OPEN
from scaigrid.held import Held
from tests.harness.asgi import Request
from tests.harness.services import KEY, MODEL, Parts
from tests.middlewares.bare import CHAT, called, exchange, identified

ROUTE = {"route": {"targets": [{"backend": "one"}]}}
OTHERS: dict[str, dict[str, Any]] = {
    "acme/disabled": {**MODEL, "status": "disabled"},
    "acme/deprecated": {**MODEL, "status": "deprecated"},
    "acme/unpriced": {**ROUTE, "unpriced": "refuse"},
    "acme/free": {**ROUTE, "unpriced": "free"},
    "acme/embed": {**ROUTE, "unpriced": "free", "modality": "embedding"},
    "acme/nowhere": {"route": None, "unpriced": "free"},
}


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, (), b"")


async def resolved(
    parts: Parts,
    model: str = "acme/chat",
    *,
    known: bool = True,
    operation: str = "chat",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Exchange:
    """The exchange of a call with these headers and fields, as it is inside the link."""
    request = Request(CHAT, headers=headers)
    linked = RouteResolve(answers, RouteResolveConfig(), parts.services)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        found = exchange(request)
        if operation == "chat":
            called(found, model=model, **fields)
        else:
            found.call = found.dialect.decode("/oai/v1/embeddings", b'{"model": "%b", "input": "Hi"}' % model.encode())
            found.model = found.snapshot.models.get(model)
        await linked(scope, receive, send)

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        # The holder of the first key, or nobody in particular.
        who = None if known else parts.snapshot.anonymous
        app: ASGIApp = identified(decoded, parts, who)
        await app(scope, receive, send)

    await request.through(opened)
    return exchange(request)


async def refusal(parts: Parts, model: str, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await resolved(parts, model, **more)
    return caught.value


@pytest.fixture
def parts() -> Parts:
    return Parts(models={"acme/chat": MODEL, **OTHERS})


def routed(*targets: tuple[str, int, int], more: dict[str, Any] | None = None, **route: Any) -> Parts:
    """One model with these targets: backend, priority, weight. `more` is of each backend, `route` of the route."""
    names = {backend for backend, _, _ in targets}
    given = [{"backend": backend, "priority": tier, "weight": weight} for backend, tier, weight in targets]
    return Parts(
        backends={name: {"provider": "up", "model": name, **(more or {}).get(name, {})} for name in sorted(names)},
        models={"acme/chat": {**MODEL, "route": {"targets": given, **route}}},
    )


def names(found: Exchange) -> list[str]:
    return [backend.name for backend in found.candidates]


# -- who may ask what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["acme/chat", "acme/deprecated", "acme/free"])
async def test_a_model_that_serves_is_resolved(parts: Parts, model: str) -> None:
    assert names(await resolved(parts, model))[0] == "one"


@pytest.mark.parametrize(
    ("model", "code", "word"),
    [
        ("made/up", Code.MODEL_NOT_FOUND, "GET /v1/models"),
        ("acme/chat/", Code.MODEL_NOT_FOUND, "GET /v1/models"),
        ("ACME/chat", Code.MODEL_NOT_FOUND, "GET /v1/models"),
        ("acme/disabled", Code.MODEL_UNAVAILABLE, "disabled"),
        ("acme/unpriced", Code.MODEL_UNAVAILABLE, "price"),
        ("acme/nowhere", Code.MODEL_UNAVAILABLE, "no route"),
        ("acme/embed", Code.UNSUPPORTED_BY_MODEL, "modality is embedding"),
    ],
)
async def test_any_other_is_refused_with_the_reason(parts: Parts, model: str, code: Code, word: str) -> None:
    error = await refusal(parts, model)
    assert error.code is code
    assert word in error.message


async def test_a_chat_model_makes_no_vectors(parts: Parts) -> None:
    error = await refusal(parts, "acme/chat", operation="embed")
    assert (error.code, error.details[0].field) == (Code.UNSUPPORTED_BY_MODEL, "model")
    assert names(await resolved(parts, "acme/embed", operation="embed")) == ["one"]


def held(models: list[str] | None = None, roles: list[str] | None = None) -> Parts:
    """A caller whose key or roles are narrower."""
    return Parts(
        users={"ann": {} if roles is None else {"roles": roles}},
        keys={"ann": {"user": "ann", "key": KEY, "models": models}},
        models={"acme/chat": MODEL, **OTHERS},
    )


async def test_a_key_that_is_confined_to_some_models_uses_no_other() -> None:
    parts = held(models=["acme/free"])
    assert names(await resolved(parts, "acme/free")) == ["one"]
    assert (await refusal(parts, "acme/chat")).code is Code.MODEL_ACCESS_DENIED


async def test_a_key_that_is_confined_learns_nothing_of_another_model_s_state() -> None:
    assert (await refusal(held(models=["acme/free"]), "acme/disabled")).code is Code.MODEL_ACCESS_DENIED


async def test_a_key_that_is_confined_to_none_uses_none() -> None:
    assert (await refusal(held(models=[]), "acme/chat")).code is Code.MODEL_ACCESS_DENIED


async def test_a_role_that_may_only_look_uses_no_model() -> None:
    error = await refusal(held(roles=["tenant_viewer"]), "acme/chat")
    assert error.code is Code.AUTHZ_PERMISSION_DENIED
    assert "models:use" in error.message


async def test_who_may_use_no_model_is_not_told_which_there_are() -> None:
    assert (await refusal(held(roles=["tenant_viewer"]), "made/up")).code is Code.AUTHZ_PERMISSION_DENIED


async def test_a_key_whose_scopes_leave_calls_out_makes_none() -> None:
    def scoped(*scopes: str) -> Parts:
        keys = {"ann": {"user": "ann", "key": KEY, "scopes": list(scopes)}}
        return Parts(keys=keys, models={"acme/chat": MODEL})

    assert names(await resolved(scoped("models:use", "models:list")))[0] == "one"
    error = await refusal(scoped("models:list"), "acme/chat")
    assert (error.code, "models:use" in error.message) == (Code.AUTH_INSUFFICIENT_SCOPE, True)
    assert (await refusal(scoped("models:list"), "made/up")).code is Code.AUTH_INSUFFICIENT_SCOPE


@pytest.mark.parametrize("slug", ["secret", "tenant/other/own"])
async def test_a_model_that_is_hidden_from_the_caller_does_not_exist(slug: str) -> None:
    parts = Parts(
        tenants={"default": {}, "other": {}},
        models={"acme/chat": MODEL, "secret": {**MODEL, "access": "granted"}, "tenant/other/own": MODEL},
    )
    hidden, absent = await refusal(parts, slug), await refusal(parts, "made/up")
    assert (hidden.code, hidden.message, hidden.details) == (absent.code, absent.message, absent.details)
    assert hidden.code is Code.MODEL_NOT_FOUND


async def test_without_tenancy_there_are_no_roles_to_look_at(parts: Parts) -> None:
    request = Request(CHAT)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        called(exchange(request))
        await RouteResolve(answers, RouteResolveConfig(), parts.services)(scope, receive, send)

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        # As another link of ours would have opened it, that does not ask who calls.
        await RouteResolve(decoded, RouteResolveConfig(), parts.services)(scope, receive, send)

    await request.through(opened)
    assert not exchange(request).authenticated
    assert names(exchange(request))[0] == "one"


async def test_what_is_no_call_is_not_looked_at(parts: Parts) -> None:
    request = await Request("/v1/models", "GET").through(RouteResolve(answers, RouteResolveConfig(), parts.services))
    assert request.status == 200
    assert exchange(request).candidates == ()


# -- the order -------------------------------------------------------------------------------------------------------


async def test_a_lower_tier_is_ahead_of_a_higher_one_whatever_the_weights() -> None:
    parts = routed(("late", 9, 1_000_000), ("early", 0, 1), ("later", 10, 5))
    for _ in range(20):
        assert names(await resolved(parts)) == ["early", "late", "later"]


async def test_inside_a_tier_every_backend_is_a_candidate_and_each_is_first_at_times() -> None:
    parts = routed(("a", 0, 1), ("b", 0, 1), ("c", 0, 1))
    orders = [names(await resolved(parts)) for _ in range(100)]
    assert {frozenset(order) for order in orders} == {frozenset("abc")}
    assert set(Counter(order[0] for order in orders)) == {"a", "b", "c"}


async def test_a_backend_whose_breaker_is_open_is_skipped_with_the_reason() -> None:
    parts = routed(("sick", 0, 1), ("well", 1, 1))
    sick = next(backend for backend in parts.snapshot.backends if backend.name == "sick")
    for _ in range(FAILURES_TO_OPEN):
        parts.health.began(sick, parts.clock.monotonic())
        parts.health.ended(sick, GatewayError(Code.BACKEND_ERROR), parts.clock.monotonic())
    found = await resolved(parts)
    assert names(found) == ["well"]
    assert list(found.skipped) == ["sick"]
    assert found.skipped["sick"].startswith("breaker open for ")
    parts.clock.advance(3_600)
    found = await resolved(parts)
    assert (names(found), found.skipped) == (["sick", "well"], {})


async def test_sessions_stay_with_a_backend_each_and_who_names_none_stays_as_the_user() -> None:
    parts = routed(*((name, 0, 1) for name in "abcd"), strategy="sticky", sticky_by="session")

    async def comes_to(session: str | None) -> list[str]:
        return names(await resolved(parts, headers={} if session is None else {"X-ScaiGrid-Session": session}))

    assert len({tuple(await comes_to(f"session {number}")) for number in range(50)}) > 4
    for session in ("one", "x" * 5_000, None):
        assert await comes_to(session) == await comes_to(session)


async def test_what_a_request_is_leaves_backends_out_with_the_reason() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    parts = routed(("a", 0, 1), ("b", 1, 1), more={"a": {"lacks": ["tools"]}})
    assert names(await resolved(parts)) == ["a", "b"]
    found = await resolved(parts, tools=tools)
    assert (names(found), found.skipped) == (["b"], {"a": "lacks tools"})


async def test_where_a_route_refuses_instead_of_trying_the_caller_is_told_when_to_come_back() -> None:
    parts = routed(("a", 0, 1), when_unhealthy="refuse")
    (backend,) = parts.snapshot.backends
    for _ in range(FAILURES_TO_OPEN):
        parts.health.began(backend, parts.clock.monotonic())
        parts.health.ended(backend, GatewayError(Code.BACKEND_ERROR), parts.clock.monotonic())
    error = await refusal(parts, "acme/chat")
    assert (error.code, error.retry_after) == (Code.MODEL_UNAVAILABLE, 10)


async def test_streams_go_where_streams_begin_soonest() -> None:
    parts = routed(("a", 0, 1), ("b", 0, 1), strategy="least_latency")
    for backend, streamed, plain in zip(parts.snapshot.backends, (0.5, 4.0), (8.0, 2.0), strict=True):
        for stream, seconds in ((True, streamed), (False, plain)):
            parts.health.began(backend, parts.clock.monotonic())
            parts.health.ended(backend, None, parts.clock.monotonic(), seconds, stream=stream)
    assert names(await resolved(parts, stream=True))[0] == "a"
    assert names(await resolved(parts))[0] == "b"


# -- what a backend keeps --------------------------------------------------------------------------------------------

RESPONSES = "/oai/v1/responses"


async def about(parts: Parts, path: str, *, backend: str | None, method: str = "GET") -> Exchange:
    """The exchange of a call that refers to something that `backend` keeps; None: to nothing."""
    tenant = parts.principal.tenant.id
    held = None if backend is None else Held(backend, tenant, "acme/chat", "resp_own")
    name = "resp_made_up" if held is None else parts.services.names.name(held)
    body = json.dumps({"model": "acme/chat", "input": "Hi", "previous_response_id": name}).encode()
    request = Request(path.replace("NAME", name), method, body=body)
    link = RouteResolve(answers, RouteResolveConfig(), parts.services)
    await request.through(identified(Intake(link, IntakeConfig(), parts.services), parts))
    return exchange(request)


@pytest.mark.parametrize("path", [RESPONSES, f"{RESPONSES}/NAME/cancel"])
async def test_the_backend_that_keeps_something_is_the_only_candidate_however_it_is(path: str) -> None:
    parts = routed(("near", 0, 1), ("far", 1, 1))
    far = next(backend for backend in parts.snapshot.backends if backend.name == "far")
    for _ in range(FAILURES_TO_OPEN):
        parts.health.began(far, 0.0)
        parts.health.ended(far, GatewayError(Code.BACKEND_ERROR), 0.0)
    assert names(await about(parts, path, backend=far.id, method="POST")) == ["far"]


@pytest.mark.parametrize("backend", [None, "be_gone"])
async def test_what_nobody_keeps_is_a_fault_of_the_field_that_names_it(parts: Parts, backend: str | None) -> None:
    with pytest.raises(GatewayError) as caught:
        await about(parts, RESPONSES, backend=backend, method="POST")
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [detail.field for detail in caught.value.details] == ["previous_response_id"]


@pytest.mark.parametrize("backend", [None, "be_gone"])
async def test_what_nobody_keeps_is_not_found_at_its_path(parts: Parts, backend: str | None) -> None:
    with pytest.raises(GatewayError) as caught:
        await about(parts, f"{RESPONSES}/NAME", backend=backend)
    assert caught.value.code is Code.NOT_FOUND


async def test_where_no_backend_keeps_anything_the_field_is_theirs_to_refuse() -> None:
    """They refuse it by its name, as any field that they have no word for."""
    providers = {"up": {"type": "anthropic", "base_url": "http://provider.invalid/v1", "api_key": "pk"}}
    parts = Parts(providers=providers)
    assert names(await about(parts, RESPONSES, backend=None, method="POST")) == ["one", "two"]


async def test_why_nobody_may_be_asked_is_known_afterwards() -> None:
    only = [{"backend": "one", "when": {"stream": True}}]
    parts = Parts(models={"acme/chat": {**MODEL, "route": {"targets": only}}})
    request = Request(CHAT)
    linked = RouteResolve(answers, RouteResolveConfig(), parts.services)

    async def decoded(scope: Scope, receive: Receive, send: Send) -> None:
        called(exchange(request), model="acme/chat")
        await linked(scope, receive, send)

    with pytest.raises(GatewayError) as caught:
        await request.through(identified(decoded, parts, None))
    assert caught.value.code is Code.MODEL_UNAVAILABLE
    assert (b"x-should-retry", b"false") in caught.value.response_headers()
    assert list(exchange(request).skipped) == ["one"]
