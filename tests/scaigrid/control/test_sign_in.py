"""What a verified token says becomes a caller: a user who is known, or whom the issuer vouches for."""

from typing import Any

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.config import entities, schema
from scaigrid.config.identity import ClaimNames, Identity, Issuer
from scaigrid.config.snapshot import Snapshot
from scaigrid.control.compile import compile_snapshot
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims

ANN = entities.User(external_id="corp|ann-1", email="Ann@Example.com", roles=("tenant_viewer",))
TENANTS = {"default": entities.Tenant(), "acme": entities.Tenant()}


def _snapshot(let_in: Any = "declared", **sections: Any) -> Snapshot:
    issuer = Issuer(issuer="https://id.example", audience=("here",), users=let_in, claims=ClaimNames(tenant="t"))
    said: dict[str, Any] = {"identity": Identity(issuers={"corp": issuer}), "tenants": TENANTS, **sections}
    config = schema.Config(**said)
    return compile_snapshot(config, ADAPTERS)


def _claims(**fields: Any) -> Claims:
    said: dict[str, Any] = {"issuer": "corp", "subject": "ann-1", "expires_at": 1e9, **fields}
    return Claims(**said)


def _refused(snapshot: Snapshot, **fields: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        snapshot.sign_in(_claims(**fields))
    assert caught.value.code is Code.AUTH_TOKEN_INVALID


def test_a_user_is_found_by_who_it_is_at_the_issuer() -> None:
    caller = _snapshot(users={"ann": ANN}).sign_in(_claims())
    assert (caller.user.name, caller.roles, caller.key) == ("ann", ("tenant_viewer",), None)


def test_or_by_an_address_that_is_one_users_alone() -> None:
    snapshot = _snapshot(users={"ann": ANN, "bob": entities.User(email="bob@example.com")})
    assert snapshot.sign_in(_claims(subject="x", email="ann@example.COM")).user.name == "ann"
    twins = {"ann": ANN, "twin": entities.User(tenant="acme", email="ann@example.com")}
    _refused(_snapshot(users=twins), subject="x", email="ann@example.com")
    told = _snapshot(users=twins).sign_in(_claims(subject="x", email="ann@example.com", tenant="acme"))
    assert told.user.name == "twin"


def test_somebody_elses_subject_is_not_the_same_at_another_issuer() -> None:
    _refused(_snapshot(users={"ann": msgspec.structs.replace(ANN, external_id="other|ann-1")}))


def test_who_is_disabled_or_of_another_tenant_is_not_let_in() -> None:
    _refused(_snapshot(users={"ann": msgspec.structs.replace(ANN, disabled=True)}))
    _refused(_snapshot(users={"ann": ANN}), tenant="acme")


def test_who_is_not_declared_is_let_in_where_any_is() -> None:
    _refused(_snapshot())
    caller = _snapshot("any").sign_in(
        _claims(name="Ann", email="ann@example.com", tenant="acme", roles=("tenant_user",))
    )
    assert (caller.user.name, caller.email, caller.tenant.name) == ("Ann", "ann@example.com", "acme")
    assert "models:use" in caller.permissions
    again = _snapshot("any").sign_in(_claims(tenant="acme"))
    assert (again.user.id, again.permissions) == (caller.user.id, frozenset())
    _refused(_snapshot("any"), tenant="nowhere")


def test_roles_and_groups_of_the_token_add_to_the_users_own() -> None:
    sections: dict[str, Any] = {
        "users": {"ann": ANN},
        "roles": {"extra": entities.CustomRole(core_permissions=("users:manage",))},
        "groups": {
            "ops": entities.Group(external_name="corp-ops"),
            "elsewhere": entities.Group(tenant="acme", external_name="corp-ops"),
        },
        "role_mappings": {
            "m": entities.RoleMapping(group="ops", role="tenant_admin"),
            "n": entities.RoleMapping(group="elsewhere", role="super_admin"),
        },
    }
    snapshot = _snapshot(**sections)
    assert "users:manage" not in snapshot.sign_in(_claims()).permissions
    assert "users:manage" in snapshot.sign_in(_claims(roles=("extra",))).permissions
    by_group = snapshot.sign_in(_claims(groups=("corp-ops", "unheard-of")))
    assert by_group.roles == ("tenant_viewer", "tenant_admin")
    assert "users:manage" not in snapshot.sign_in(_claims()).permissions, "what one token says is not kept"


def test_budgets_of_the_groups_that_a_token_names_are_its_callers() -> None:
    budget = entities.Budget(scope="group", of="ops", period="daily", request_limit=3)
    snapshot = _snapshot(
        users={"ann": ANN}, groups={"ops": entities.Group(external_name="corp-ops")}, budgets={"b": budget}
    )
    assert snapshot.sign_in(_claims()).funds == ()
    caller = snapshot.sign_in(_claims(groups=("corp-ops",)))
    assert [(fund.level, fund.subject) for fund in caller.funds] == [("group", caller.groups[0])]


def test_a_renewed_token_is_the_same_caller() -> None:
    snapshot = _snapshot(users={"ann": ANN})
    one = snapshot.sign_in(_claims(roles=("tenant_user",)))
    assert snapshot.sign_in(_claims(roles=("tenant_user",), expires_at=2e9)) is one
