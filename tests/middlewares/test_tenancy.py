import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from starlette.requests import Request as Inner
from starlette.responses import JSONResponse, Response

from middlewares.tenancy import PUBLIC, PUBLIC_FOLDERS, Tenancy, TenancyConfig
from scaigrid.config.snapshot import Principal
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, exchange_of
from scaigrid.identity import Claims
from tests.harness.asgi import Request
from tests.harness.services import BEARER, KEY, Parts
from tests.middlewares.bare import Bare, exchange

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


def linked(parts: Parts, app: Any = None, **config: Any) -> Tenancy:
    return Tenancy(app or Bare(who).app, TenancyConfig(**config), parts.services)


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


async def test_who_is_let_in_is_seen_and_nobody_else(parts: Parts) -> None:
    """So that it is known when a key was last used."""
    seen: list[Principal] = []
    services = msgspec.structs.replace(parts.services, seen=seen.append)
    app = Tenancy(Bare(who).app, TenancyConfig(), services)
    await Request("/do", headers=BEARER).through(app)
    await Request("/health", "GET", BEARER).through(app)
    for refused in ("Bearer sgk_nobody", f"Bearer sgk_{'l' * 32}", f"Bearer sgk_{'b' * 32}"):
        with pytest.raises(GatewayError):
            await Request("/do", headers={"authorization": refused}).through(app)
    assert [caller.user.name for caller in seen] == ["ann"]


@pytest.mark.parametrize("path", [*PUBLIC, *(f"{folder}/a.js" for folder in PUBLIC_FOLDERS)])
async def test_a_public_path_needs_no_key_and_looks_at_none(parts: Parts, path: str) -> None:
    reached: list[str] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        reached.append(scope["path"])
        assert exchange_of(scope) is None

    for headers in ({}, {"authorization": "Bearer wrong"}):
        await Request(path, "GET", headers).through(linked(parts, app))
    assert reached == [path, path]


async def test_a_path_that_the_configuration_opens_needs_no_key_and_looks_at_none(parts: Parts) -> None:
    services = msgspec.structs.replace(parts.services, open_paths=frozenset({"/health/detailed"}))
    reached: list[str] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        reached.append(scope["path"])
        assert exchange_of(scope) is None

    link = Tenancy(app, TenancyConfig(), services)
    await Request("/health/detailed", "GET").through(link)
    assert reached == ["/health/detailed"]
    for path in ("/health/detailed/", "/health/detailed/x", "/v1/models"):
        with pytest.raises(GatewayError) as caught:
            await Request(path, "GET").through(link)
        assert caught.value.code is Code.AUTH_TOKEN_MISSING


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health/",
        "/health/detailed",
        "/healthy",
        "//health",
        "/metrics/x",
        "/docs/x",
        "/docs/assets",
        "/docs/assets/a/b",
        "/docs/assets/../../v1/models",
        "/docs/assets//v1/models",
        "/v1/models",
        "/HEALTH",
    ],
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


# -- tokens ----------------------------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"


class Vouching:
    """A verifier that was told what the tokens say; it is asked about no others."""

    def __init__(self, answers: Mapping[str, Claims | GatewayError]) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    async def verify(self, token: bytes) -> Claims:
        self.asked.append(token)
        answer = self.answers[token.decode()]
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def aclose(self) -> None:
        raise AssertionError("a link closes nothing")


def claims(subject: str = "ann-1", **more: Any) -> Claims:
    return Claims(issuer="sso", subject=subject, expires_at=float(EXPIRY), **more)


def signing_in(answers: Mapping[str, Claims | GatewayError], **issuer: Any) -> Parts:
    """The services of a gateway with one issuer, `sso`, and one user of its."""
    sso = {"issuer": "https://issuer.test", "audience": ["scaigrid"], **issuer}
    made = Parts(
        tenants={"default": {}, "closed": {"suspended": True}},
        users={
            "ann": {"external_id": "sso|ann-1", "email": "ann@example.test", "roles": ["tenant_viewer"]},
            "out": {"external_id": "sso|out", "disabled": True},
            "late": {"external_id": "sso|late", "tenant": "closed"},
        },
        identity={"issuers": {"sso": sso}},
    )
    made.services = msgspec.structs.replace(made.services, identity=Vouching(answers))
    return made


async def signed_in(parts: Parts, token: str = TOKEN) -> dict[str, Any]:
    request = Request("/do", headers={"authorization": f"Bearer {token}"})
    told: dict[str, Any] = (await request.through(linked(parts))).json
    return told


async def test_a_token_becomes_the_user_that_it_is_of() -> None:
    told = await signed_in(signing_in({TOKEN: claims()}))
    assert (told["tenant"], told["user"], told["key"], told["authenticated"]) == ("default", "ann", None, True)
    assert set(told["permissions"]) == {"models:list", "accounting:view_own"}


async def test_what_the_token_gives_adds_to_what_the_user_has() -> None:
    told = await signed_in(signing_in({TOKEN: claims(roles=("tenant_user",))}))
    assert "models:use" in told["permissions"]


async def test_a_user_is_found_by_a_verified_address_too() -> None:
    assert (await signed_in(signing_in({TOKEN: claims("else", email="ANN@example.test")})))["user"] == "ann"


async def test_a_user_whom_nobody_knows_is_let_in_where_the_configuration_says_any() -> None:
    stranger = {TOKEN: claims("eve", name="Eve", roles=("tenant_user",))}
    assert (await refusal(signing_in(stranger), f"Bearer {TOKEN}")).code is Code.AUTH_TOKEN_INVALID
    told = await signed_in(signing_in(stranger, users="any"))
    assert (told["tenant"], told["user"]) == ("default", "Eve")
    assert "models:use" in told["permissions"]


@pytest.mark.parametrize(("subject", "code"), [("out", Code.AUTH_TOKEN_INVALID), ("late", Code.TENANT_SUSPENDED)])
async def test_a_good_token_does_not_open_what_is_closed(subject: str, code: Code) -> None:
    assert (await refusal(signing_in({TOKEN: claims(subject)}), f"Bearer {TOKEN}")).code is code


@pytest.mark.parametrize("code", [Code.AUTH_TOKEN_INVALID, Code.SESSION_EXPIRED, Code.AUTH_BACKEND_UNAVAILABLE])
async def test_what_the_verifier_refuses_is_refused(code: Code) -> None:
    assert (await refusal(signing_in({TOKEN: GatewayError(code)}), f"Bearer {TOKEN}")).code is code


async def test_without_an_issuer_no_token_is_accepted(parts: Parts) -> None:
    error = await refusal(parts, f"Bearer {TOKEN}")
    assert error.code is Code.AUTH_TOKEN_INVALID
    assert "send an API key" in error.message


@pytest.mark.parametrize(
    "token", ["sgk_a.b.c", f"sgk_{TOKEN}", "a.b", "a.b.c.d", "a.b.c.d.e", "abc", "", "SGK_" + "x" * 40, "." * 8192]
)
async def test_what_does_not_look_like_a_token_is_not_shown_to_the_verifier(token: str) -> None:
    parts = signing_in({})
    assert (await refusal(parts, f"Bearer {token}")).code is Code.AUTH_TOKEN_INVALID
    assert isinstance(parts.services.identity, Vouching)
    assert parts.services.identity.asked == []


async def test_keys_are_good_beside_tokens() -> None:
    parts = signing_in({TOKEN: claims()})
    parts.services.current.snapshot = Parts().snapshot
    assert (await Request("/do", headers=BEARER).through(linked(parts))).json["key"] == "ann"
    assert isinstance(parts.services.identity, Vouching)
    assert parts.services.identity.asked == []


# -- where the caller is ---------------------------------------------------------------------------------------------

PEER = "192.0.2.7"
"""Where a Request comes from."""


def bound(*addresses: str, **more: Any) -> Parts:
    """A key that may be used from these addresses."""
    return Parts(keys={"ann": {"user": "ann", "key": KEY, "addresses": list(addresses)}}, **more)


async def called(parts: Parts, *forwarded: str, peer: object = (PEER, 50_000), **config: Any) -> Exchange:
    """A call with the key; each text is a header that proxies have added."""
    request = Request("/do", headers=BEARER)
    request.scope["client"] = peer
    request.scope["headers"] += [(b"x-forwarded-for", value.encode()) for value in forwarded]
    await request.through(linked(parts, **config))
    return exchange(request)


async def where(*forwarded: str, peer: object = (PEER, 50_000), trusted: tuple[str, ...] = ()) -> str | None:
    return (await called(Parts(), *forwarded, peer=peer, trusted_proxies=trusted)).client_address


async def test_the_caller_is_where_its_connection_comes_from() -> None:
    assert await where() == PEER
    assert await where("203.0.113.1") == PEER, "whatever it says itself"
    assert await where("203.0.113.1", trusted=("10.0.0.0/8",)) == PEER
    assert await where(peer=None) is None
    assert await where(peer=("/run/gateway.sock", 0)) == "/run/gateway.sock"
    assert await where("203.0.113.1", peer=None, trusted=("0.0.0.0/0",)) is None


async def test_or_where_a_trusted_proxy_says() -> None:
    trusted = ("192.0.2.0/24", "2001:db8::/32")
    assert await where("203.0.113.1", trusted=trusted) == "203.0.113.1"
    assert await where("127.0.0.1, 203.0.113.1, 192.0.2.9", trusted=trusted) == "203.0.113.1"
    assert await where("127.0.0.1, 203.0.113.1", "2001:db8::9", trusted=trusted) == "203.0.113.1"
    assert await where("unknown", trusted=trusted) is None
    assert await where(trusted=trusted) == PEER
    assert await where("203.0.113.1", peer=("::ffff:192.0.2.7", 1), trusted=trusted) == "203.0.113.1"


@pytest.mark.parametrize("addresses", [(PEER,), ("198.51.100.0/24", "192.0.2.0/24"), ("0.0.0.0/0",)])
async def test_a_key_opens_where_it_may_be_used(addresses: tuple[str, ...]) -> None:
    assert (await called(bound(*addresses))).authenticated


async def test_a_mapped_address_is_the_one_inside() -> None:
    """What a socket for both kinds tells of an IPv4 caller."""
    assert (await called(bound("192.0.2.0/24"), peer=(f"::ffff:{PEER}", 1))).authenticated


@pytest.mark.parametrize("addresses", [("192.0.2.8",), ("198.51.100.0/24",), ("::/0",), ()])
async def test_and_nowhere_else(addresses: tuple[str, ...]) -> None:
    with pytest.raises(GatewayError) as caught:
        await called(bound(*addresses))
    assert caught.value.code is Code.ADDRESS_NOT_ALLOWED


async def test_a_header_does_not_move_a_caller_to_where_the_key_is_good() -> None:
    for config in ({}, {"trusted_proxies": ("10.0.0.0/8",)}):
        with pytest.raises(GatewayError) as caught:
            await called(bound("203.0.113.1"), "203.0.113.1", **config)
        assert caught.value.code is Code.ADDRESS_NOT_ALLOWED
    assert (await called(bound("203.0.113.1"), "203.0.113.1", trusted_proxies=(PEER,))).authenticated


@pytest.mark.parametrize("peer", [None, ("", 0), ("somewhere", 1), ("/run/gateway.sock", 0)])
async def test_a_caller_whose_place_nobody_knows_is_not_where_a_key_is_bound_to(peer: object) -> None:
    with pytest.raises(GatewayError) as caught:
        await called(bound("0.0.0.0/0", "::/0"), peer=peer)
    assert caught.value.code is Code.ADDRESS_NOT_ALLOWED
    assert (await called(Parts(), peer=peer)).authenticated


async def test_the_place_is_known_of_those_who_are_refused_too() -> None:
    """It is what an auditor asks for first."""
    request = Request("/do", headers={"authorization": "Bearer wrong"})
    with pytest.raises(GatewayError):
        await request.through(linked(Parts()))
    assert exchange(request).client_address == PEER


async def test_who_is_elsewhere_does_not_learn_that_the_tenant_is_suspended() -> None:
    with pytest.raises(GatewayError) as caught:
        await called(bound("198.51.100.1", tenants={"default": {"suspended": True}}))
    assert caught.value.code is Code.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize("proxy", ["10.0.0.1/8", "proxy.test", ""])
def test_a_proxy_that_is_no_address_is_refused_when_the_file_is_read(proxy: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="`trusted_proxies`"):
        msgspec.convert({"trusted_proxies": ["192.0.2.1", proxy]}, TenancyConfig)
