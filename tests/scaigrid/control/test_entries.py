"""Resources become entries again: whatever a document has, an entry says."""

from typing import Any

import pytest

from scaigrid.config import entities, routing
from scaigrid.config.key_budget import KeyBudget
from scaigrid.control import documents as docs
from scaigrid.control.entries import ENTITIES, Writer
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT, declared

SECTIONS: dict[str, Any] = {
    "tenants": {"acme": {}},
    "roles": {"auditor": {"tenant": "acme", "core_permissions": ["models:list"]}},
    "users": {"ann": {"tenant": "acme", "custom_roles": ["auditor"]}},
    "groups": {"g": {"tenant": "acme", "users": ["ann"]}},
    "role_mappings": {"m": {"group": "g", "custom_role": "auditor"}},
    "keys": {
        "k": {
            "user": "ann",
            "sha256": "0" * 64,
            "models": ["acme/x"],
            "budget": {"period": "daily", "request_limit": 1},
        }
    },
    "budgets": {"b": {"scope": "key", "of": "k", "period": "daily", "cost_limit": "1.50"}},
    "providers": {"up": {"type": "custom", "base_url": "http://up", "api_key": "pk", "headers": {"x": "y"}}},
    "backends": {"one": {"provider": "up", "model": "m", "granted_to": ["tenant/acme", "partner/default"]}},
    "models": {"acme/x": {"unpriced": "free", "route": {"targets": [{"backend": "one"}], "max_attempts": 2}}},
    "model_groups": {"mg": {"scope": "tenant", "of": "acme", "models": ["acme/x"]}},
    "model_access": {"ma": {"subject": "group", "of": "g", "model_group": "mg"}},
}
STATE = State.of(declared(**SECTIONS), 1)
NAMES = {one.id: one.name for one in STATE}


def entry(kind: str, handles: dict[str, str] | None = None) -> entities.Entry:
    (found,) = (one for one in STATE.all(kind).values() if one.name != "default")
    return Writer(STATE, {**NAMES, **(handles or {})}, VAULT).entry(found)


def test_every_kind_with_a_section_has_its_entry() -> None:
    assert set(ENTITIES) == {kind.document for kind in KINDS.values() if kind.section is not None}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("tenant", entities.Tenant()),
        ("role", entities.CustomRole(tenant="acme", core_permissions=("models:list",))),
        ("user", entities.User(tenant="acme", custom_roles=("auditor",))),
        ("group", entities.Group(tenant="acme", users=("ann",))),
        ("role_mapping", entities.RoleMapping(group="g", custom_role="auditor")),
        ("model_group", entities.ModelGroup(scope="tenant", of="acme", models=("acme/x",))),
        ("model_access", entities.ModelAccess(subject="group", of="g", model_group="mg")),
    ],
)
def test_ids_become_handles(kind: str, wanted: entities.Entry) -> None:
    assert entry(kind) == wanted


def test_a_key_is_written_by_its_hash() -> None:
    wanted = entities.Key(
        user="ann",
        sha256="0" * 64,
        models=("acme/x",),
        budget=KeyBudget(period="daily", request_limit=1),
    )
    assert entry("api_key") == wanted


def test_credentials_are_written_as_fingerprints() -> None:
    provider = entry("provider")
    assert isinstance(provider, entities.Provider)
    assert provider.api_key == Secret(f"stored:{VAULT.fingerprint(Secret('pk'))}")
    assert provider.headers == {"x": Secret(f"stored:{VAULT.fingerprint(Secret('y'))}")}


def test_a_model_has_its_route_in_it() -> None:
    model = entry("model")
    assert isinstance(model, entities.Model)
    assert model.route == routing.Route(targets=(routing.RouteTarget(backend="one"),), max_attempts=2)


def test_a_backend_says_partner_or_tenant() -> None:
    backend = entry("backend")
    assert isinstance(backend, entities.Backend)
    assert backend.granted_to == ("tenant/acme", "partner/default")


def test_a_handle_that_is_not_the_name_leaves_the_name_and_the_id() -> None:
    (user,) = STATE.all("user")
    assert entry("user", {user: "somebody"}) == entities.User(
        id=user, name="ann", tenant="acme", custom_roles=("auditor",)
    )


def test_what_the_api_made_has_its_id_in_any_case() -> None:
    (tenant,) = (one for one in STATE.all("tenant").values() if one.name == "acme")
    theirs = Resource(kind="tenant", id=tenant.id, origin="api", document=tenant.document)
    written = Writer(State.of([*STATE, theirs]), NAMES, VAULT).entry(theirs)
    assert (written.id, written.origin) == (tenant.id, "api")


def test_a_model_that_is_gone_keeps_its_slug_in_a_key() -> None:
    (key,) = STATE.all("api_key").values()
    without = Writer(State.of(one for one in STATE if one.kind != "model"), NAMES, VAULT).entry(key)
    assert isinstance(without, entities.Key)
    assert without.models == ("acme/x",)


def test_a_document_of_every_kind_has_no_field_that_an_entry_cannot_say() -> None:
    """A field that is added to a document has to be written by somebody."""
    renamed = {"name", "sha256", "targets"}
    for resource in STATE:
        if resource.kind == "route":
            continue
        said = dict(Writer(STATE, NAMES, VAULT).said(resource.document))
        fields = set(ENTITIES[type(resource.document)].__struct_fields__)
        assert set(said) - fields <= renamed, resource.kind
        assert isinstance(resource.document, docs.Document)
