"""What entries refer to: each reference to nothing, and each thing that two may not share, is named by its key."""

from typing import Any

import pytest

from scaigrid.config.entity_references import check_entities
from tests.harness.deployment import configured

A, B = "a" * 32, "b" * 32
MODEL: dict[str, Any] = {"unpriced": "free", "route": None}
SOUND: dict[str, Any] = {
    "partners": {"north": {}},
    "tenants": {"acme": {"partner": "north"}, "shop": {"partner": "north"}},
    "roles": {"auditor": {"tenant": "acme", "core_permissions": ["models:list"]}},
    "users": {"ann": {"tenant": "acme", "custom_roles": ["auditor"]}, "bob": {"tenant": "shop"}},
    "groups": {"staff": {"tenant": "acme", "users": ["ann"]}},
    "role_mappings": {"staff": {"group": "staff", "custom_role": "auditor"}},
    "keys": {"app": {"user": "ann", "sha256": "0" * 64, "scopes": ["models:list", "rag:docs:read"]}},
    "providers": {"up": {"type": "openai"}},
    "backends": {"one": {"provider": "up", "model": "m", "granted_to": ["partner/north", "tenant/acme"]}},
    "models": {"acme/chat": MODEL, "tenant/acme/own": MODEL, "partner/north/own": MODEL},
    "model_groups": {"all": {"models": ["acme/chat"]}, "theirs": {"scope": "tenant", "of": "acme"}},
    "model_access": {"a": {"subject": "group", "of": "staff", "model_group": "all"}},
}


def faults(**sections: Any) -> list[str]:
    """Each fault as `path: reason`, of a sound file with other sections in it."""
    config = configured(**{**SOUND, **sections})
    return [f"{'.'.join(map(str, path))}: {reason}" for path, reason in check_entities(config)]


def test_a_sound_file_has_none() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("section", "entry", "expected"),
    [
        ("users", {"custom_roles": ["none"]}, "users.x.custom_roles.0: there is no role 'none' (declared: auditor)"),
        (
            "users",
            {"tenant": "shop", "custom_roles": ["auditor"]},
            "users.x.custom_roles.0: a role of the tenant 'acme'",
        ),
        ("groups", {"tenant": "none"}, "groups.x.tenant: there is no tenant 'none' (declared: acme, shop)"),
        ("groups", {"tenant": "acme", "users": ["bob"]}, "groups.x.users.0: a user of the tenant 'shop'"),
        ("groups", {"tenant": "acme", "users": ["none"]}, "groups.x.users.0: there is no user 'none'"),
        ("roles", {"tenant": "none"}, "roles.x.tenant: there is no tenant 'none'"),
        (
            "roles",
            {"tenant": "acme", "core_permissions": ["routing:manage"]},
            "roles.x.core_permissions.0: not a permission that a tenant can give",
        ),
        ("role_mappings", {"group": "none", "role": "tenant_user"}, "role_mappings.x.group: there is no group 'none'"),
        (
            "role_mappings",
            {"group": "staff", "role": "super_admin"},
            "role_mappings.x.role: cannot be given to a group",
        ),
        ("role_mappings", {"group": "staff", "custom_role": "none"}, "role_mappings.x.custom_role: there is no role"),
        (
            "keys",
            {"user": "ann", "sha256": "1" * 64, "scopes": ["models:nothing"]},
            "keys.x.scopes.0: not a permission",
        ),
        (
            "backends",
            {"provider": "up", "model": "m", "granted_to": ["acme"]},
            "backends.x.granted_to.0: must be partner/NAME or tenant/NAME",
        ),
        (
            "backends",
            {"provider": "up", "model": "m", "granted_to": ["tenant/none"]},
            "backends.x.granted_to.0: there is no tenant 'none'",
        ),
        ("model_groups", {"scope": "partner", "of": "none"}, "model_groups.x.of: there is no partner 'none'"),
        ("model_groups", {"models": ["none"]}, "model_groups.x.models.0: there is no model 'none'"),
        (
            "model_access",
            {"subject": "user", "of": "none", "model": "acme/chat"},
            "model_access.x.of: there is no user",
        ),
        ("model_access", {"subject": "user", "of": "ann", "model": "none"}, "model_access.x.model: there is no model"),
        (
            "model_access",
            {"subject": "user", "of": "ann", "model_group": "none"},
            "model_access.x.model_group: there is no model group 'none'",
        ),
        ("users", {"id": f"tenant_{A}"}, "users.x.id: the ids here begin with user_"),
        ("users", {"name": "a\x07"}, "users.x.name: must be printable"),
        ("users", {"origin": "api"}, "users.x.origin: `api` needs the `id` of what the API made"),
    ],
)
def test_each_fault_is_named(section: str, entry: dict[str, Any], expected: str) -> None:
    (found,) = faults(**{section: {**SOUND[section], "x": entry}})
    assert found.startswith(expected)


def test_an_id_is_given_once() -> None:
    users = {**SOUND["users"], "x": {"id": f"user_{A}"}, "y": {"id": f"user_{A}"}, "z": {"id": f"user_{B}"}}
    assert faults(users=users) == ["users.y.id: the id of users.x already"]


def test_one_identity_is_one_user_s() -> None:
    users = {**SOUND["users"], "x": {"external_id": "corp|1"}, "y": {"external_id": "corp|1"}}
    assert faults(users=users) == ["users.y.external_id: the same as that of 'x'"]


def test_a_slug_names_its_owner_by_name_and_not_by_handle() -> None:
    tenants = {"acme": {"partner": "north"}, "shop": {"partner": "north", "name": "webshop"}}
    assert faults(tenants=tenants, models={**SOUND["models"], "tenant/webshop/x": MODEL}) == []
    assert faults(tenants=tenants, models={**SOUND["models"], "tenant/shop/x": MODEL}) == [
        "models.tenant/shop/x: there is no tenant 'shop' (declared: acme, webshop)"
    ]
    assert faults(models={**SOUND["models"], "x": {**MODEL, "name": "partner/none/x"}}) == [
        "models.x: there is no partner 'none' (declared: north)"
    ]


def test_what_the_api_made_is_not_the_file_s_to_judge() -> None:
    model = {**MODEL, "id": f"model_{A}", "origin": "api"}
    user = {"id": f"user_{A}", "origin": "api", "name": "a\x07"}
    assert faults(models={**SOUND["models"], "tenant/gone/x": model}, users={**SOUND["users"], "x": user}) == []
