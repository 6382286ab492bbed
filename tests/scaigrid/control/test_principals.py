"""A caller is made when it first comes: its roles, its models, its limits, from all that the state says of it."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters import ADAPTERS
from scaigrid import roles
from scaigrid.config import entities, schema, terms
from scaigrid.config.snapshot import Principal, Snapshot
from scaigrid.control.compile import compile_snapshot


def _key(user: str, **fields: Any) -> entities.Key:
    return entities.Key(user=user, sha256=_digest(user).hex(), **fields)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _snapshot(**sections: Any) -> Snapshot:
    users: dict[str, entities.User] = sections.pop("users", {"ann": entities.User()})
    sections.setdefault("keys", {name: _key(name) for name in users})
    return compile_snapshot(schema.Config(users=users, **sections), ADAPTERS)


def _ann(**sections: Any) -> Principal:
    return _snapshot(**sections).keys[_digest("ann")]


def _model(access: Any = "all") -> entities.Model:
    return entities.Model(route=None, unpriced="free", access=access)


def test_the_same_caller_is_made_once() -> None:
    snapshot = _snapshot()
    assert snapshot.keys[_digest("ann")] is snapshot.keys[_digest("ann")]


def test_an_unknown_key_is_no_caller() -> None:
    snapshot = _snapshot()
    assert _digest("bob") not in snapshot.keys
    assert snapshot.keys.get(_digest("bob")) is None
    assert (len(snapshot.keys), list(snapshot.keys)) == (1, [_digest("ann")])


@pytest.mark.parametrize(
    "sections",
    [
        {"keys": {"ann": _key("ann", revoked=True)}},
        {"users": {"ann": entities.User(disabled=True)}},
    ],
)
def test_a_revoked_key_and_a_disabled_users_are_not_known(sections: dict[str, Any]) -> None:
    assert _snapshot(**sections).keys.get(_digest("ann")) is None


def test_the_key_before_a_rotation_is_good_until_its_end() -> None:
    until = datetime(2027, 1, 1, tzinfo=UTC)
    expires = datetime(2028, 1, 1, tzinfo=UTC)
    keys = {
        "ann": _key("ann", previous_sha256=_digest("old").hex(), previous_until=until, expires_at=expires),
    }
    snapshot = _snapshot(keys=keys)
    old, new = snapshot.keys[_digest("old")], snapshot.keys[_digest("ann")]
    assert (old.expires_at, new.expires_at) == (until.timestamp(), expires.timestamp())
    assert old.key == new.key


def test_a_key_that_somebody_of_less_reach_has_made_counts_no_role_beyond_it() -> None:
    users = {"ann": entities.User(roles=("tenant_user", "partner_viewer"))}
    groups = {"g": entities.Group(users=("ann",))}
    mappings = {"m": entities.RoleMapping(group="g", role="partner_admin")}
    keys = {"ann": _key("ann"), "made": entities.Key(user="ann", sha256=_digest("made").hex(), reach="tenant")}
    snapshot = _snapshot(users=users, groups=groups, role_mappings=mappings, keys=keys)
    own, made = snapshot.keys[_digest("ann")], snapshot.keys[_digest("made")]
    assert (own.roles, own.reach) == (("tenant_user", "partner_viewer", "partner_admin"), "partner")
    assert (made.roles, made.reach, made.permissions) == (("tenant_user",), "tenant", roles.ROLES["tenant_user"])
    assert made.user == own.user


def test_which_key_it_is_makes_no_difference_where_nobody_reaches_beyond() -> None:
    keys = {"ann": _key("ann"), "made": entities.Key(user="ann", sha256=_digest("made").hex(), reach="partner")}
    snapshot = _snapshot(keys=keys)
    assert snapshot.keys[_digest("made")].roles == snapshot.keys[_digest("ann")].roles == ("tenant_user",)


@pytest.mark.parametrize("suspended", ["partners", "tenants"])
def test_the_users_of_a_suspended_tenant_or_partner_are_suspended(suspended: str) -> None:
    sections: dict[str, Any] = {
        "partners": {"default": entities.Partner(suspended=suspended == "partners")},
        "tenants": {"default": entities.Tenant(suspended=suspended == "tenants")},
    }
    assert _ann(**sections).suspended
    assert not _ann().suspended


@pytest.mark.parametrize("keeps", [True, False])
def test_the_users_of_a_tenant_have_their_answers_kept_where_it_allows_that(keeps: bool) -> None:
    assert _ann(tenants={"default": entities.Tenant(keep_bodies=keeps)}).keeps_bodies == keeps
    assert _ann().keeps_bodies


def test_custom_roles_and_module_permissions_add_up() -> None:
    user = entities.User(roles=("tenant_viewer",), custom_roles=("extra",), module_permissions=("mail:box:read",))
    role = entities.CustomRole(core_permissions=("users:manage",), module_permissions=("mail:box:write",))
    ann = _ann(users={"ann": user}, roles={"extra": role})
    added = {"users:manage", "mail:box:read", "mail:box:write"}
    assert ann.permissions == roles.permissions(("tenant_viewer",)) | added
    assert (ann.roles, ann.reach) == (("tenant_viewer",), "tenant")


def test_the_members_of_a_group_have_its_roles() -> None:
    sections: dict[str, Any] = {
        "users": {"ann": entities.User(roles=()), "bob": entities.User(roles=())},
        "groups": {"team": entities.Group(users=("ann",))},
        "roles": {"extra": entities.CustomRole(core_permissions=("webhooks:manage",))},
        "role_mappings": {
            "one": entities.RoleMapping(group="team", role="partner_viewer"),
            "two": entities.RoleMapping(group="team", custom_role="extra"),
        },
    }
    snapshot = _snapshot(**sections)
    ann, bob = snapshot.keys[_digest("ann")], snapshot.keys[_digest("bob")]
    assert (ann.roles, ann.reach) == (("partner_viewer",), "partner")
    assert "webhooks:manage" in ann.permissions
    assert (bob.roles, bob.permissions) == ((), frozenset())


def test_what_a_key_carries_is_on_the_caller() -> None:
    keys = {"ann": _key("ann", scopes=("models:use",), models=("m",), addresses=("10.0.0.0/8", "::1"))}
    ann = _ann(keys=keys)
    assert (ann.scopes, ann.models) == (frozenset({"models:use"}), frozenset({"m"}))
    assert ann.addresses is not None
    assert [str(network) for network in ann.addresses] == ["10.0.0.0/8", "::1/128"]


def test_a_tenants_own_models_are_hidden_from_others() -> None:
    sections: dict[str, Any] = {
        "partners": {"p": entities.Partner(), "q": entities.Partner()},
        "tenants": {
            "a": entities.Tenant(partner="p"),
            "b": entities.Tenant(partner="p"),
            "c": entities.Tenant(partner="q"),
        },
        "users": {
            **{name: entities.User(tenant=name) for name in "abc"},
            "root": entities.User(tenant="c", roles=("super_admin",)),
        },
        "models": {"tenant/a/x": _model(), "partner/p/x": _model(), "open": _model(), "tenant-ish": _model()},
    }
    snapshot = _snapshot(**sections)
    hidden = {name: set(snapshot.keys[_digest(name)].hidden) for name in ("a", "b", "c", "root")}
    assert hidden == {"a": set(), "b": {"tenant/a/x"}, "c": {"tenant/a/x", "partner/p/x"}, "root": set()}


@pytest.mark.parametrize(
    ("subject", "of"), [("partner", "default"), ("tenant", "default"), ("group", "team"), ("user", "ann")]
)
@pytest.mark.parametrize("by", ["model", "model_group"])
def test_a_granted_model_is_hidden_from_those_who_did_not_get_it(subject: Any, of: str, by: str) -> None:
    sections: dict[str, Any] = {
        "users": {"ann": entities.User(), "bob": entities.User()},
        "groups": {"team": entities.Group(users=("ann",))},
        "models": {"m": _model("granted")},
        "model_groups": {"all": entities.ModelGroup(models=("m",))},
    }
    assert _ann(**sections).hidden == {"m"}
    what: dict[str, Any] = {"model": "m"} if by == "model" else {"model_group": "all"}
    grant = entities.ModelAccess(subject=subject, of=of, **what)
    snapshot = _snapshot(**sections, model_access={"g": grant})
    assert snapshot.keys[_digest("ann")].hidden == frozenset()
    everybody = subject in ("partner", "tenant")
    assert snapshot.keys[_digest("bob")].hidden == (frozenset() if everybody else {"m"})


def test_limits_of_every_kind_stand_narrowest_level_first() -> None:
    limits = terms.Limits(requests_per_minute=9, requests_per_day=8, tokens_per_minute=7, concurrent_requests=6)
    ann = _ann(
        partners={"default": entities.Partner(limits=limits)},
        users={"ann": entities.User(limits=limits)},
        keys={"ann": _key("ann", limits=limits)},
    )
    taken = [(take.bucket.level, take.bucket.kind, take.bucket.limit) for take in ann.windows]
    three = (("requests", 9), ("requests", 8), ("concurrency", 6))
    assert taken == [
        *(("key", *one) for one in three),
        *(("user", *one) for one in three),
        ("tenant", "requests", 1000),
        *(("partner", *one) for one in three),
    ]
    assert [(bucket.level, bucket.limit) for bucket in ann.token_windows] == [("key", 7), ("user", 7), ("partner", 7)]


def test_who_stands_alone_has_no_permission() -> None:
    anonymous = _snapshot().anonymous
    assert (anonymous.permissions, anonymous.tenant.name, anonymous.partner.name) == (frozenset(), "default", "default")
