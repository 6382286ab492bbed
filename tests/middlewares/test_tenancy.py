import hashlib
from typing import Any

import pytest
from starlette.requests import Request as Inner
from starlette.responses import JSONResponse, Response

from middlewares.tenancy import PUBLIC, Tenancy, TenancyConfig
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import exchange_of
from tests.harness.asgi import Request
from tests.harness.services import BEARER, KEY, Parts
from tests.middlewares.bare import Bare

OTHER = "sgk_bob_".ljust(44, "1")
EXPIRY = 1_900_000_000
"""2030-03-17T17:46:40Z."""


@pytest.fixture
def parts() -> Parts:
    return Parts(
        partners={"acme": {}},
        tenants={"default": {"partner": "acme"}, "closed": {"partner": "acme", "suspended": True}},
        users={
            "ann": {"email": "ann@example.test", "roles": ["tenant_admin"]},
            "bob": {"tenant": "default"},
            "late": {"tenant": "closed"},
        },
        keys={
            "ann": {"user": "ann", "key": KEY},
            "bob": {"user": "bob", "sha256": hashlib.sha256(OTHER.encode()).hexdigest()},
            "short": {"user": "ann", "key": "sgk_" + "s" * 32, "expires_at": "2030-03-17T17:46:40Z"},
            "late": {"user": "late", "key": "sgk_" + "l" * 32},
            "both": {"user": "late", "key": "sgk_" + "b" * 32, "expires_at": "2020-01-01T00:00:00Z"},
        },
    )


async def who(request: Inner) -> Response:
    """Who the application inside is told that it serves."""
    found = exchange_of(request.scope)
    assert found is not None
    principal = found.principal
    return JSONResponse(
        {
            "partner": principal.partner.name,
            "tenant": principal.tenant.name,
            "user": principal.user.name,
            "key": principal.key.name if principal.key else None,
            "permissions": sorted(principal.permissions),
            "authenticated": found.authenticated,
        }
    )


def linked(parts: Parts, app: Any = None) -> Tenancy:
    return Tenancy(app or Bare(who).app, TenancyConfig(), parts.services)


async def refusal(parts: Parts, authorization: str | None, path: str = "/do") -> GatewayError:
    async def never(*_: object) -> None:
        raise AssertionError("nobody gets in")

    headers = {} if authorization is None else {"authorization": authorization}
    request = Request(path, headers=headers)
    with pytest.raises(GatewayError) as caught:
        await request.through(linked(parts, never))
    assert not request.started
    assert request.reads == 0, "no body is read for a stranger"
    return caught.value


async def test_a_key_becomes_partner_tenant_user_and_permissions(parts: Parts) -> None:
    told = (await Request("/do", headers=BEARER).through(linked(parts))).json
    permissions = told.pop("permissions")
    assert told == {"partner": "acme", "tenant": "default", "user": "ann", "key": "ann", "authenticated": True}
    assert {"models:use", "users:manage"} <= set(permissions)


async def test_a_key_of_which_only_the_digest_is_declared_opens_too(parts: Parts) -> None:
    told = (await Request("/do", headers={"authorization": f"Bearer {OTHER}"}).through(linked(parts))).json
    assert (told["user"], told["key"]) == ("bob", "bob")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_read_without_regard_to_case(parts: Parts, scheme: str) -> None:
    """RFC 9110, section 11.1."""
    request = await Request("/do", headers={"authorization": f"{scheme} {KEY}"}).through(linked(parts))
    assert request.json["user"] == "ann"


async def test_blanks_around_the_key_are_no_part_of_it(parts: Parts) -> None:
    request = await Request("/do", headers={"authorization": f"Bearer   {KEY} "}).through(linked(parts))
    assert request.json["user"] == "ann"


async def test_no_key_is_missing_and_says_how_to_send_one(parts: Parts) -> None:
    error = await refusal(parts, None)
    assert error.code is Code.AUTH_TOKEN_MISSING
    assert "Authorization: Bearer" in error.message


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        KEY,
        f"Basic {KEY}",
        f"Bearer{KEY}",
        f"Token {KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        f"Bearer {KEY} {KEY}",
        "Bearer \u00fc",
        f"Bearer {'x' * 8193}",
    ],
)
async def test_anything_else_is_invalid(parts: Parts, authorization: str) -> None:
    error = await refusal(parts, authorization)
    assert error.code is Code.AUTH_TOKEN_INVALID
    assert KEY not in error.message


async def test_a_key_opens_until_the_second_at_which_it_expires(parts: Parts) -> None:
    short = {"authorization": f"Bearer sgk_{'s' * 32}"}
    parts.clock.wall = EXPIRY - 0.001
    assert (await Request("/do", headers=short).through(linked(parts))).json["key"] == "short"
    parts.clock.wall = EXPIRY
    assert (await refusal(parts, short["authorization"])).code is Code.SESSION_EXPIRED


async def test_a_suspended_tenant_s_keys_open_nothing(parts: Parts) -> None:
    assert (await refusal(parts, f"Bearer sgk_{'l' * 32}")).code is Code.TENANT_SUSPENDED


async def test_an_expired_key_learns_nothing_of_its_tenant(parts: Parts) -> None:
    assert (await refusal(parts, f"Bearer sgk_{'b' * 32}")).code is Code.SESSION_EXPIRED


@pytest.mark.parametrize("path", PUBLIC)
async def test_a_public_path_needs_no_key_and_looks_at_none(parts: Parts, path: str) -> None:
    reached: list[str] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        reached.append(scope["path"])
        assert exchange_of(scope) is None

    for headers in ({}, {"authorization": "Bearer wrong"}):
        await Request(path, "GET", headers).through(linked(parts, app))
    assert reached == [path, path]


@pytest.mark.parametrize(
    "path",
    ["/", "/health/", "/health/detailed", "/healthy", "//health", "/metrics/x", "/docs/x", "/v1/models", "/HEALTH"],
)
async def test_no_other_path_is_public(parts: Parts, path: str) -> None:
    assert (await refusal(parts, None, path)).code is Code.AUTH_TOKEN_MISSING


async def test_a_swapped_configuration_holds_for_the_next_request(parts: Parts) -> None:
    app = linked(parts)
    assert (await Request("/do", headers=BEARER).through(app)).status == 200
    parts.services.current.snapshot = Parts(keys={}).snapshot
    with pytest.raises(GatewayError) as caught:
        await Request("/do", headers=BEARER).through(app)
    assert caught.value.code is Code.AUTH_TOKEN_INVALID


async def test_two_callers_at_once_are_not_taken_for_each_other(parts: Parts) -> None:
    bare = Bare()

    async def later(request: Inner) -> Response:
        await bare.gates[0].wait()
        return await who(request)

    app = linked(parts, Bare(later).app)
    requests = [Request("/do", headers={"authorization": f"Bearer {key}"}) for key in (KEY, OTHER, KEY)]
    running = [request.start(app) for request in requests]
    bare.open()
    for task in running:
        await task
    assert [request.json["user"] for request in requests] == ["ann", "bob", "ann"]
