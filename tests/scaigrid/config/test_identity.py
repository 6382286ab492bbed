"""An issuer that could be impersonated, or whose rules contradict each other, is refused when the file is read."""

from typing import Any, get_args

import msgspec
import pytest

from scaigrid.config.identity import Algorithm, Identity, Issuer, loopback, trusted

GIVEN: dict[str, Any] = {"issuer": "https://issuer.test/realms/acme", "audience": ["scaigrid"]}


def issuer(**changes: Any) -> Issuer:
    return msgspec.convert({**GIVEN, **changes}, Issuer)


def test_an_address_and_an_audience_are_all_that_an_issuer_needs() -> None:
    made = issuer()
    assert set(made.algorithms) == set(get_args(Algorithm))
    assert (made.users, made.claims.user, made.claims.email_verified) == ("declared", "sub", "email_verified")
    assert (made.roles, made.default_roles, made.tenant) == ({}, (), None)


def test_without_issuers_there_are_none() -> None:
    assert Identity().issuers == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.test",
        "https://issuer.test/",
        "https://issuer.test:8443/a/b",
        "http://localhost:8080/realms/x",
        "http://127.0.0.1",
        "http://127.8.8.8:1/x",
        "http://[::1]:8080/x",
    ],
)
def test_an_address_is_https_or_of_this_machine(url: str) -> None:
    assert trusted(url)
    assert issuer(issuer=url, jwks_url=url).issuer == url


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test",
        "http://localhost.issuer.test",
        "http://127.0.0.1.issuer.test/",
        "http://192.0.2.1/",
        "http://[2001:db8::1]/",
        "http://0.0.0.0/",
        "https:///keys",
        "https://[::1/x",
        "https://issuer.test:99999/",
        "http://issuer.test/http://localhost",
    ],
)
def test_any_other_is_refused(url: str) -> None:
    assert not trusted(url)
    for key in ("issuer", "jwks_url"):
        with pytest.raises(msgspec.ValidationError, match=f"`{key}` must be a https"):
            issuer(**{key: url})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "issuer.test",
        "https://",
        "ftp://issuer.test",
        "https://a@issuer.test",
        "https://issuer.test/#x",
        "https://a b",
    ],
)
def test_what_is_no_address_at_all_is_refused(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="matching regex"):
        issuer(issuer=url)


def test_an_issuer_has_no_query_and_its_keys_may() -> None:
    with pytest.raises(msgspec.ValidationError, match="no query"):
        issuer(issuer="https://issuer.test/?p=x")
    assert issuer(jwks_url="https://issuer.test/keys?p=x").jwks_url is not None


def test_only_this_machine_is_this_machine() -> None:
    assert loopback("http://localhost/")
    assert not loopback("https://issuer.test/")
    assert not loopback("https:///")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS384", "HS512", "ES256K", "RSA-OAEP", "rs256", ""])
def test_no_signature_that_anybody_else_could_make_can_be_accepted(algorithm: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value"):
        issuer(algorithms=[algorithm])


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": []},
        {"audience": [""]},
        {"algorithms": []},
        {"leeway_seconds": -1},
        {"leeway_seconds": 301},
        {"refresh_seconds": 0},
        {"timeout_seconds": 0},
        {"claims": {"user": ""}},
        {"claims": {"user": None}},
        {"users": "all"},
        {"tenant": "No Name"},
        {"unknown": 1},
    ],
)
def test_what_would_let_in_anybody_or_nobody_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        issuer(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stale_seconds": 299}, "from short to long"),
        ({"refetch_seconds": 301}, "from short to long"),
        ({"tenant": "acme", "claims": {"tenant": "org"}}, "at most one of"),
        ({"roles": {"a": "tenant_user"}}, "name it in `claims.roles`"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        issuer(**changes)


def test_an_audience_is_never_implied() -> None:
    with pytest.raises(msgspec.ValidationError, match="audience"):
        msgspec.convert({"issuer": "https://issuer.test"}, Issuer)
