"""A state is looked things up in, walked, and left behind for the next one."""

from typing import Any

import pytest

from scaigrid.control import documents as docs
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import Gone, State
from scaigrid.ids import declared_id
from tests.harness.deployment import declared

SECTIONS: dict[str, Any] = {
    "partners": {"p": {}},
    "tenants": {"t": {"partner": "p"}, "u": {"partner": "p"}},
    "users": {"ann": {"tenant": "t"}, "bob": {"tenant": "t"}},
    "groups": {"g": {"tenant": "t", "users": ["ann", "bob"]}},
    "role_mappings": {"m": {"group": "g", "role": "tenant_admin"}},
    "keys": {"k": {"user": "ann", "sha256": "0" * 64}},
    "budgets": {
        "of-key": {"scope": "key", "of": "k", "period": "daily", "request_limit": 1},
        "of-model": {"scope": "model", "of": "tenant/t/x", "period": "daily", "request_limit": 1},
    },
    "models": {
        "tenant/t/x": {"unpriced": "free", "route": None},
        "partner/p/x": {"unpriced": "free", "route": None},
        "tenant/nobody/x": {"unpriced": "free", "route": None},
        "acme/x": {"unpriced": "free", "route": None},
    },
    "model_groups": {"mine": {"scope": "tenant", "of": "t"}, "all": {}},
    "model_access": {"a": {"subject": "group", "of": "g", "model": "acme/x"}},
    "providers": {"up": {"type": "custom"}},
}
STATE = State.of(declared(**SECTIONS), 3)
TENANT, PARTNER = declared_id("tenant", "t"), declared_id("partner", "p")


def one(kind: str, name: str) -> Resource:
    (found,) = (resource for resource in STATE.all(kind).values() if resource.name == name)
    return found


def test_what_is_there_is_found_by_id_and_by_name() -> None:
    ann = one("user", "ann")
    assert STATE.get("user", ann.id) is ann
    assert STATE.named("user", "ann", TENANT) is ann
    assert STATE.named("user", "ann") is None
    assert STATE.get("user", "user_x") is None
    assert STATE.document(docs.User, ann.id) is ann.document
    with pytest.raises(KeyError):
        STATE.document(docs.User, "user_x")


def test_it_is_walked_in_the_order_of_kinds() -> None:
    order = list(KINDS)
    places = [order.index(resource.kind) for resource in STATE]
    assert places == sorted(places)
    assert len(places) == len(STATE)
    assert [document.name for _, document in STATE.documents(docs.User)] == ["ann", "bob"]


def test_those_who_refer_to_a_resource_are_known_once_each() -> None:
    ann = one("user", "ann")
    assert {(user.kind, user.name) for user in STATE.users_of("user", ann.id)} == {("group", "g"), ("api_key", "k")}
    assert len(STATE.users_of("user", ann.id)) == 2
    assert STATE.users_of("user", "user_x") == ()


def test_the_next_state_has_the_changes_and_the_old_one_has_not() -> None:
    ann = one("user", "ann")
    cat = Resource(kind="user", id="user_c", origin="api", document=docs.User(name="cat", tenant_id=TENANT))
    after = STATE.after([cat], [Gone("user", ann.id), Gone("user", "user_x")], 4)
    assert {resource.name for resource in after.all("user").values()} == {"bob", "cat"}
    assert {resource.name for resource in STATE.all("user").values()} == {"ann", "bob"}
    assert (STATE.epoch, after.epoch) == (3, 4)
    assert after.named("user", "ann", TENANT) is None
    assert after.all("tenant") is STATE.all("tenant"), "what has not changed is shared"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tenant", "t"),
        ("user", "ann"),
        ("group", "g"),
        ("role_mapping", "m"),
        ("api_key", "k"),
        ("budget", "of-key"),
        ("budget", "of-model"),
        ("model", "tenant/t/x"),
        ("model_group", "mine"),
        ("model_access", "a"),
    ],
)
def test_what_belongs_to_a_tenant_belongs_to_its_partner(kind: str, name: str) -> None:
    assert STATE.tenant_of(one(kind, name)) == TENANT
    assert STATE.partner_of(one(kind, name)) == PARTNER


@pytest.mark.parametrize(
    ("kind", "name"), [("provider", "up"), ("model", "acme/x"), ("model", "tenant/nobody/x"), ("model_group", "all")]
)
def test_the_platform_s_own_belongs_to_nobody_else(kind: str, name: str) -> None:
    assert STATE.tenant_of(one(kind, name)) is None
    assert STATE.partner_of(one(kind, name)) is None


def test_a_partner_s_model_belongs_to_no_tenant() -> None:
    model = one("model", "partner/p/x")
    assert (STATE.tenant_of(model), STATE.partner_of(model)) == (None, PARTNER)


def test_users_are_known_by_what_their_identity_provider_calls_them() -> None:
    state = State.of(declared(users={"ann": {"external_id": "corp|1"}, "bob": {}}))
    assert state.users_known_as("corp|1") == [declared_id("user", "ann")]
    assert state.users_known_as("corp|2") == ()
