"""What an issuer refers to is there, or the file is refused."""

from typing import Any

import msgspec
import pytest

from scaigrid.config.identity_references import check_identity
from scaigrid.config.schema import Config

ISSUER: dict[str, Any] = {"issuer": "https://issuer.test", "audience": ["scaigrid"]}


def faults(issuer: dict[str, Any], **sections: Any) -> list[str]:
    """The faults of a file with one issuer, as `path: reason`."""
    return of({"acme": {**ISSUER, **issuer}}, **sections)


def of(issuers: dict[str, Any], **sections: Any) -> list[str]:
    config = msgspec.convert({"identity": {"issuers": issuers}, **sections}, Config)
    return [f"{'.'.join(map(str, path))}: {reason}" for path, reason in check_identity(config)]


def test_a_file_without_issuers_has_no_faults() -> None:
    assert of({}) == []


@pytest.mark.parametrize(
    ("issuer", "sections"),
    [
        ({}, {}),
        ({"users": "any"}, {}),
        ({"tenant": "default"}, {}),
        ({"tenant": "shop"}, {"tenants": {"shop": {}}}),
        ({"tenant": "shop"}, {"tenants": {"handle": {"name": "shop"}}}),
        ({"users": "any", "tenant": "shop"}, {"tenants": {"shop": {}}}),
        ({"users": "any", "claims": {"tenant": "org"}}, {"tenants": {"shop": {}}}),
        ({"users": "declared"}, {"tenants": {"shop": {}}}),
        ({"default_roles": ["tenant_user", "super_admin"]}, {}),
        ({"claims": {"roles": "roles"}, "roles": {"x": "partner_admin", "y": "analyst"}}, {"roles": {"analyst": {}}}),
        ({"default_roles": ["analyst"]}, {"roles": {"handle": {"name": "analyst"}}}),
    ],
)
def test_what_is_there_may_be_referred_to(issuer: dict[str, Any], sections: dict[str, Any]) -> None:
    assert faults(issuer, **sections) == []


@pytest.mark.parametrize(
    ("issuer", "sections", "expected"),
    [
        ({"tenant": "shop"}, {}, "tenant: there is no tenant 'shop' (there are: default)"),
        ({"tenant": "default"}, {"tenants": {"shop": {}}}, "tenant: there is no tenant 'default' (there are: shop)"),
        (
            {"tenant": "handle"},
            {"tenants": {"handle": {"name": "shop"}}},
            "tenant: there is no tenant 'handle' (there are: shop)",
        ),
        (
            {"users": "any"},
            {"tenants": {"shop": {}}},
            "users: users who are not declared need a tenant: give `tenant` or `claims.tenant`",
        ),
        (
            {"default_roles": ["tenant_user", "tenant_admn"]},
            {},
            (
                "default_roles.1: there is no role 'tenant_admn' (there are: partner_admin, partner_viewer, "
                "super_admin, tenant_admin, tenant_user, tenant_viewer)"
            ),
        ),
        (
            {"claims": {"roles": "roles"}, "roles": {"boss": "analyst"}},
            {},
            (
                "roles.boss: there is no role 'analyst' (there are: partner_admin, partner_viewer, "
                "super_admin, tenant_admin, tenant_user, tenant_viewer)"
            ),
        ),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    issuer: dict[str, Any], sections: dict[str, Any], expected: str
) -> None:
    assert faults(issuer, **sections) == [f"identity.issuers.acme.{expected}"]


def test_one_issuer_has_one_entry() -> None:
    """Or it would be the order of the file that says what its tokens mean."""
    assert of({"acme": ISSUER, "again": {**ISSUER, "audience": ["other"]}}) == [
        "identity.issuers.again.issuer: the same issuer as 'acme': one entry may have several audiences"
    ]


def test_every_fault_is_told() -> None:
    bad = {"tenant": "shop", "default_roles": ["x"], "claims": {"roles": "r"}, "roles": {"a": "y", "b": "z"}}
    assert len(faults(bad)) == 4
