"""A token is for somebody, for us, and for a time; what it says more is read by the issuer's mapping alone."""

import json
from typing import Any

import msgspec
import pytest

from scaigrid.config.identity import Issuer
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims
from scaigrid.oidc.claims import check, read_claims
from tests.harness.issuer import NOW

GOOD: dict[str, Any] = {"iss": "https://issuer.test", "sub": "ann-1", "aud": "scaigrid", "exp": NOW + 600}
FAR = 2 * NOW


def rules(**changes: Any) -> Issuer:
    given = {"issuer": "https://issuer.test", "audience": ["scaigrid", "https://gateway.test"], **changes}
    return msgspec.convert(given, Issuer)


def judge(payload: dict[str, Any], now: float = NOW, **changes: Any) -> Code | None:
    """The code of the refusal, None where there is none."""
    try:
        check(payload, rules(**changes), now)
    except GatewayError as error:
        return error.code
    return None


def read(payload: dict[str, Any], **changes: Any) -> Claims:
    return read_claims({**GOOD, **payload}, "acme", rules(**changes))


# -- good here and now -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "audience", ["scaigrid", "https://gateway.test", ["scaigrid"], ["other", "scaigrid"], ["scaigrid", 5, None]]
)
def test_a_token_for_this_gateway_is_good(audience: object) -> None:
    assert judge({**GOOD, "aud": audience}) is None


@pytest.mark.parametrize(
    "audience",
    [
        "other",
        "",
        "scaigri",
        "scaigrid ",
        "SCAIGRID",
        "scaigrid other",
        ["other"],
        [],
        [["scaigrid"]],
        None,
        1,
        {"x": 1},
    ],
)
def test_a_token_for_another_is_not(audience: object) -> None:
    assert judge({**GOOD, "aud": audience}) is Code.AUTH_TOKEN_INVALID


def test_a_token_for_nobody_is_not() -> None:
    assert judge({name: value for name, value in GOOD.items() if name != "aud"}) is Code.AUTH_TOKEN_INVALID


def test_it_is_good_until_it_expires_and_the_leeway_beyond() -> None:
    """RFC 7519, section 4.1.4: the time must be before the expiry."""
    assert judge({**GOOD, "exp": NOW}, NOW + 29.9) is None
    assert judge({**GOOD, "exp": NOW}, NOW + 30) is Code.SESSION_EXPIRED
    assert judge({**GOOD, "exp": NOW}, NOW - 0.1, leeway_seconds=0) is None
    assert judge({**GOOD, "exp": NOW}, NOW, leeway_seconds=0) is Code.SESSION_EXPIRED
    assert judge({**GOOD, "exp": 0}) is Code.SESSION_EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_and_not_before_its_time(claim: str) -> None:
    assert judge({**GOOD, claim: NOW + 30}) is None
    assert judge({**GOOD, claim: NOW + 30.1}) is Code.AUTH_TOKEN_INVALID
    assert judge({**GOOD, claim: 0}) is None
    assert judge({**GOOD, claim: NOW + 0.1}, leeway_seconds=0) is Code.AUTH_TOKEN_INVALID


def test_times_may_have_fractions() -> None:
    assert judge({**GOOD, "exp": NOW + 0.5, "iat": NOW - 0.5}, leeway_seconds=0) is None


@pytest.mark.parametrize(
    "written", ['"1900000000"', "true", "null", "[]", "{}", "-1", "1e400", "1e12", "9" * 400, "-0.1"]
)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_what_is_no_time_is_refused(claim: str, written: str) -> None:
    assert judge({**GOOD, claim: json.loads(written)}) is Code.AUTH_TOKEN_INVALID


def test_a_token_without_an_end_is_refused() -> None:
    assert judge({name: value for name, value in GOOD.items() if name != "exp"}) is Code.AUTH_TOKEN_INVALID


def test_that_it_has_expired_is_told_only_of_a_token_that_was_good_once() -> None:
    assert judge({**GOOD, "exp": 1, "aud": "other"}) is Code.AUTH_TOKEN_INVALID
    assert judge({**GOOD, "exp": 1, "nbf": FAR}) is Code.AUTH_TOKEN_INVALID


# -- for whom --------------------------------------------------------------------------------------------------------


def test_a_token_that_says_no_more_than_it_must_names_a_user() -> None:
    assert read({}) == Claims(issuer="acme", subject="ann-1", expires_at=NOW + 600.0)


@pytest.mark.parametrize("subject", [None, "", 7, True, ["ann"], "a\nb", "\ud800", "x" * 256])
def test_without_a_user_it_is_refused(subject: object) -> None:
    with pytest.raises(GatewayError, match="names the user") as caught:
        read({"sub": subject})
    assert caught.value.code is Code.AUTH_TOKEN_INVALID


def test_another_claim_may_name_the_user() -> None:
    assert read({"oid": "42"}, claims={"user": "oid"}).subject == "42"
    with pytest.raises(GatewayError, match="names the user"):
        read({}, claims={"user": "oid"})


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("a", {"a": "x"}),
        ("a.b", {"a": {"b": "x"}}),
        ("a.b.c", {"a": {"b": {"c": "x"}}}),
        ("https://acme.test/user", {"https://acme.test/user": "x"}),
        ("a.b", {"a.b": "x", "a": {"b": "y"}}),
        ("a.b.c", {"a": {"b.c": "x"}}),
        ("a.b.c", {"a.b": {"c": "x"}}),
        ("a.b.c", {"a": {"b": {}}, "a.b": {"c": "x"}}),
    ],
)
def test_a_dot_leads_into_an_object_unless_it_is_part_of_a_name(path: str, payload: dict[str, Any]) -> None:
    assert read(payload, claims={"user": path}).subject == "x"


@pytest.mark.parametrize(
    ("path", "payload"), [("a.b", {"a": "b"}), ("a.b", {"a": ["b"]}), ("a.", {"a": {}}), (".", {}), ("a..b", {"a": {}})]
)
def test_a_path_that_leads_nowhere_finds_nothing(path: str, payload: dict[str, Any]) -> None:
    with pytest.raises(GatewayError, match="names the user"):
        read(payload, claims={"user": path})


@pytest.mark.parametrize(
    ("payload", "claims", "email"),
    [
        ({"email_verified": True}, {}, "ann@acme.test"),
        ({"email_verified": "true"}, {}, "ann@acme.test"),
        ({}, {}, None),
        ({"email_verified": False}, {}, None),
        ({"email_verified": "false"}, {}, None),
        ({"email_verified": 1}, {}, None),
        ({"email_verified": "yes"}, {}, None),
        ({"email_verified": [True]}, {}, None),
        ({"email_verified": {}}, {}, None),
        ({}, {"email_verified": None}, "ann@acme.test"),
        ({"ours": True}, {"email_verified": "ours"}, "ann@acme.test"),
        ({"email_verified": True}, {"email_verified": "ours"}, None),
        ({"email_verified": True}, {"email": None}, None),
        ({"email_verified": True, "mail": "a@b"}, {"email": "mail"}, "a@b"),
        ({"email_verified": True, "email": "ann"}, {}, None),
        ({"email_verified": True, "email": ["ann@acme.test"]}, {}, None),
        ({"email_verified": True, "email": "ann@acme.test\n"}, {}, None),
    ],
)
def test_an_address_counts_where_the_issuer_has_verified_it(
    payload: dict[str, Any], claims: dict[str, Any], email: str | None
) -> None:
    assert read({"email": "ann@acme.test", **payload}, claims=claims).email == email


def test_a_name_is_for_people() -> None:
    assert read({"name": "Ann Öz"}).name == "Ann Öz"
    assert read({"name": "Ann"}, claims={"name": None}).name is None
    assert read({"name": {"first": "Ann"}}).name is None


def test_a_tenant_is_fixed_or_told_by_a_claim() -> None:
    assert read({"org": "north"}).tenant is None
    assert read({"org": "north"}, tenant="south").tenant == "south"
    assert read({"org": "north"}, claims={"tenant": "org"}).tenant == "north"


@pytest.mark.parametrize("tenant", [None, "", 5, ["north"]])
def test_who_has_no_tenant_over_there_gets_none_of_ours(tenant: object) -> None:
    with pytest.raises(GatewayError, match="names the tenant") as caught:
        read({"org": tenant}, claims={"tenant": "org"})
    assert caught.value.code is Code.AUTH_TOKEN_INVALID


# -- what they may do ------------------------------------------------------------------------------------------------

MAPPED: dict[str, Any] = {
    "claims": {"roles": "realm_access.roles", "groups": "groups"},
    "roles": {"llm-admin": "tenant_admin", "llm-user": "tenant_user", "boss": "tenant_admin"},
}


def with_roles(roles: object, **changes: Any) -> tuple[str, ...]:
    return read({"realm_access": {"roles": roles}}, **{**MAPPED, **changes}).roles


def test_roles_are_those_that_the_configuration_makes_of_the_token_s() -> None:
    assert with_roles(["llm-user", "offline_access", "llm-admin"]) == ("tenant_user", "tenant_admin")
    assert with_roles(["boss", "llm-admin"]) == ("tenant_admin",)
    assert with_roles("openid llm-user  llm-admin") == ("tenant_user", "tenant_admin")


@pytest.mark.parametrize(
    "roles", [["super_admin"], "super_admin tenant_admin", ["LLM-ADMIN"], ["llm-admin "], [["boss"]]]
)
def test_no_word_of_a_token_is_a_role_by_itself(roles: object) -> None:
    assert with_roles(roles) == ()


@pytest.mark.parametrize("roles", [None, 5, True, {}, {"llm-admin": True}, [], "", [5, None, {}]])
def test_what_is_no_list_of_texts_gives_nothing(roles: object) -> None:
    assert with_roles(roles) == ()


def test_default_roles_are_everybody_s_and_come_first() -> None:
    assert with_roles([], default_roles=["tenant_viewer"]) == ("tenant_viewer",)
    assert with_roles(["llm-user"], default_roles=["tenant_user", "analyst"]) == ("tenant_user", "analyst")
    assert read({"roles": ["llm-admin"]}, default_roles=["tenant_viewer"]).roles == ("tenant_viewer",)


def test_groups_are_the_issuer_s_own_words() -> None:
    assert read({"groups": ["/eng", "/eng", "Domain Users", 5]}, **MAPPED).groups == ("/eng", "Domain Users")
    assert read({"groups": ["/eng"]}).groups == ()
