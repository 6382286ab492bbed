import pytest

from scaigrid.roles import ROLES, permissions, spread, widest

PUBLISHED = {
    "tenant_viewer": ["accounting:view_own", "models:list"],
    "tenant_user": ["accounting:view_own", "api_keys:manage", "models:list", "models:use", "modules:use"],
    "tenant_admin": [
        "accounting:manage_budgets",
        "accounting:view_own",
        "accounting:view_tenant",
        "admin:access",
        "api_keys:manage",
        "models:list",
        "models:use",
        "modules:manage",
        "modules:use",
        "routing:view",
        "users:manage",
        "webhooks:manage",
    ],
    "partner_viewer": ["accounting:view_own", "accounting:view_partner", "accounting:view_tenant", "models:list"],
    "partner_admin": [
        "accounting:manage_budgets",
        "accounting:view_own",
        "accounting:view_partner",
        "accounting:view_tenant",
        "admin:access",
        "models:list",
        "users:manage",
    ],
}


@pytest.mark.parametrize("role", PUBLISHED)
def test_a_role_allows_what_is_published(role: str) -> None:
    assert sorted(ROLES[role]) == PUBLISHED[role]


def test_no_role_is_there_that_is_not_published() -> None:
    assert set(ROLES) == {*PUBLISHED, "super_admin"}


def test_a_super_admin_may_do_all_that_others_may_and_manage_models_and_routes() -> None:
    others = permissions(PUBLISHED)
    assert ROLES["super_admin"] - others == {"accounting:view_all", "models:manage", "routing:manage"}
    assert others < ROLES["super_admin"]


def test_who_views_uses_no_model() -> None:
    assert [role for role in ROLES if "viewer" in role and "models:use" in ROLES[role]] == []


def test_roles_add_up() -> None:
    assert permissions(["tenant_user", "partner_viewer"]) == ROLES["tenant_user"] | ROLES["partner_viewer"]


def test_no_role_allows_nothing() -> None:
    assert permissions([]) == frozenset()


def test_a_role_that_is_not_published_is_an_error() -> None:
    with pytest.raises(KeyError, match="tenant_owner"):
        permissions(["tenant_user", "tenant_owner"])


def test_a_permission_goes_as_far_as_the_widest_role_that_gives_it() -> None:
    found = spread(["partner_viewer", "tenant_admin"])
    assert set(found) == permissions(["partner_viewer", "tenant_admin"])
    assert (found["users:manage"], found["models:list"]) == ("tenant", "partner")
    assert spread(["tenant_admin", "partner_viewer"]) == found
    assert set(spread(["super_admin", "tenant_admin"]).values()) == {"platform"}


def test_the_widest_of_no_reaches_is_none() -> None:
    assert widest([]) is None
    assert widest(["tenant", "platform", "partner"]) == "platform"
