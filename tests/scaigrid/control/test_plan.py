"""What applying a file would do: create, change, delete, and nothing that is not the file's to do."""

from typing import Any

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.plan import Plan, Step, planned, with_reasons
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT, declared, made, plan

MODEL: dict[str, Any] = {"unpriced": "free", "route": {"targets": [{"backend": "one"}]}}
ROUTED: dict[str, Any] = {
    "providers": {"up": {"type": "custom", "base_url": "http://up", "api_key": "pk-secret", "headers": {"x-org": "o"}}},
    "backends": {"one": {"provider": "up", "model": "m"}, "two": {"provider": "up", "model": "m"}},
    "models": {"acme/chat": MODEL},
}


def state_of(*more: Resource, epoch: int = 1, **sections: Any) -> State:
    """The state after a file with these sections was applied, and `more` made over the API."""
    return State.of([*declared(**sections), *more], epoch)


def told(steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    return [(step.kind, step.name) for step in steps]


def fields(found: Plan) -> dict[str, tuple[object, object]]:
    """The changes of the only step that changes."""
    (step,) = found.change
    return {field.field: (field.before, field.after) for field in step.fields}


def refused(found: Plan) -> list[tuple[str, str]]:
    return [(step.name, step.reason) for step in found.refused]


def test_everything_is_created_where_there_is_nothing() -> None:
    found = plan(State.of(()), tenants={"acme": {}}, users={"ann": {"tenant": "acme"}})
    assert told(found.create) == [("partner", "default"), ("tenant", "acme"), ("user", "ann")]
    assert (found.change, found.delete, found.refused, found.unchanged) == ((), (), (), 0)


def test_what_stands_as_it_is_declared_is_left_alone() -> None:
    found = plan(state_of(**ROUTED), **ROUTED)
    assert found.empty
    assert found.unchanged == 7


def test_a_change_names_the_innermost_field() -> None:
    before = state_of(tenants={"acme": {"limits": {"requests_per_minute": 10}}})
    found = plan(before, tenants={"acme": {"limits": {"requests_per_minute": 20}, "display_name": "Acme"}})
    assert fields(found) == {"limits.requests_per_minute": (10, 20), "display_name": (None, "Acme")}


def test_no_limit_is_told_from_the_default_limit() -> None:
    before = state_of(tenants={"acme": {}})
    found = plan(before, tenants={"acme": {"limits": {"requests_per_minute": None}}})
    assert fields(found) == {"limits.requests_per_minute": ("default", None)}


def test_a_document_that_was_read_from_the_database_is_the_same_as_one_that_was_declared() -> None:
    (partner, tenant) = declared()
    document = docs.Tenant(name="default", partner_id=partner.id, limits=Limits())
    state = State.of([partner, msgspec.structs.replace(tenant, document=document)], 1)
    assert plan(state).empty


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (1, True), ([0], [False])])
def test_what_only_python_takes_for_the_same_is_a_change(before: object, after: object) -> None:
    def sections(value: object) -> dict[str, Any]:
        return {**ROUTED, "models": {"acme/chat": {**MODEL, "default_params": {"x": value, "same": [1]}}}}

    assert fields(plan(state_of(**sections(before)), **sections(after))) == {"default_params.x": (before, after)}


def test_a_price_that_is_written_otherwise_is_the_same_price() -> None:
    def sections(price: str) -> dict[str, Any]:
        return {**ROUTED, "models": {"acme/chat": {"route": None, "prices": {"input": price}}}}

    assert plan(state_of(**sections("1.50")), **sections("1.5")).empty


def test_credentials_are_seen_by_their_fingerprints_alone() -> None:
    providers = {"up": {**ROUTED["providers"]["up"], "api_key": "pk-other", "headers": {"x-org": "p"}}}
    found = plan(state_of(**ROUTED), **{**ROUTED, "providers": providers})
    names = {name: [str(value)[:7] for value in values] for name, values in fields(found).items()}
    assert names == {"api_key": ["stored:", "stored:"], "headers.x-org": ["stored:", "stored:"]}
    text = msgspec.json.encode(found).decode()
    assert "pk-secret" not in text
    assert "pk-other" not in text


def test_what_is_declared_no_more_is_deleted_ahead_of_what_it_refers_to() -> None:
    found = plan(state_of(**ROUTED), **{**ROUTED, "models": {}, "backends": {}})
    assert told(found.delete) == [
        ("route", "acme/chat"),
        ("model", "acme/chat"),
        ("backend", "one"),
        ("backend", "two"),
    ]


def test_what_the_api_made_is_not_deleted() -> None:
    group = made(docs.ModelGroup(name="all"), "model_group")
    assert plan(state_of(group)).empty


def test_an_id_of_what_the_api_made_takes_it_over() -> None:
    tenant = made(docs.Tenant(name="acme", partner_id=declared_id("partner", "default")), "tenant")
    found = plan(state_of(tenant), tenants={"default": {}, "acme": {"id": tenant.id, "suspended": True}})
    assert fields(found) == {"origin": ("api", "config"), "suspended": (False, True)}


def test_the_name_of_what_the_api_made_is_refused_and_its_id_is_told() -> None:
    tenant = made(docs.Tenant(name="acme", partner_id=declared_id("partner", "default")), "tenant")
    ((name, reason),) = refused(plan(state_of(tenant), tenants={"default": {}, "acme": {}}))
    assert name == "acme"
    assert f"the name belongs to {tenant.id}" in reason


def test_a_route_goes_with_its_model() -> None:
    before = state_of(**ROUTED)
    found = plan(before, **{**ROUTED, "models": {"acme/chat": {**MODEL, "route": None}}})
    assert told(found.delete) == [("route", "acme/chat")]
    assert found.change == ()


def test_a_route_that_the_api_gave_goes_with_a_model_that_the_file_takes_over() -> None:
    model = made(docs.Model(name="acme/x", unpriced="free"), "model")
    (backend,) = (one.id for one in declared(**ROUTED) if one.kind == "backend" and one.name == "one")
    target = docs.Target(backend_id=backend)
    route = Resource(
        kind="route",
        id=route_id(model.id),
        origin="api",
        document=docs.Route(name=model.id, model_id=model.id, targets=(target,)),
    )
    models = {**ROUTED["models"], "acme/x": {"id": model.id, "unpriced": "free", "route": None}}
    found = plan(state_of(model, route, **ROUTED), **{**ROUTED, "models": models})
    assert told(found.delete) == [("route", "acme/x")]
    assert told(found.change) == [("model", "acme/x")]
    assert found.refused == ()


# -- entries with `origin: api` --------------------------------------------------------------------------------------

ALICE = {"id": "user_" + "a" * 32, "origin": "api"}


def test_they_are_created_where_there_has_never_been_anything() -> None:
    found = planned(State.of(()), declared(users={"alice": ALICE}), VAULT, ADAPTERS)
    assert told(found.plan.create)[-1] == ("user", "alice")
    assert found.put[-1].origin == "api"


def test_they_are_left_as_the_api_has_them() -> None:
    (user,) = (one for one in declared(users={"alice": ALICE}) if one.kind == "user")
    changed = msgspec.structs.replace(user, document=msgspec.structs.replace(user.document, email="a@example.test"))
    found = plan(state_of(changed), users={"alice": ALICE})
    assert found.empty
    assert found.absent == ()


def test_one_that_the_api_has_deleted_is_told_and_not_made_again() -> None:
    found = plan(state_of(), users={"alice": ALICE})
    assert found.empty
    assert told(found.absent) == [("user", "alice")]


def test_an_entry_may_not_refer_to_one_that_is_gone() -> None:
    found = plan(state_of(), users={"alice": ALICE}, keys={"k": {"user": "alice", "sha256": "0" * 64}})
    ((name, reason),) = refused(found)
    assert name == "k"
    assert reason.startswith("user_id: there is no user user_")


def test_the_file_hands_over_what_it_managed() -> None:
    before = state_of(users={"bob": {}})
    id_ = declared_id("user", "bob")
    found = plan(before, users={"bob": {"id": id_, "origin": "api", "email": "b@example.test"}})
    assert fields(found) == {"origin": ("config", "api"), "email": (None, "b@example.test")}


# -- credentials that the database keeps -----------------------------------------------------------------------------


def test_a_stored_credential_stays() -> None:
    kept = f"stored:{VAULT.fingerprint(Secret('pk-secret'))}"
    providers = {"up": {**ROUTED["providers"]["up"], "api_key": kept}}
    assert plan(state_of(**ROUTED), **{**ROUTED, "providers": providers}).empty


def test_a_refused_resource_is_told_once_and_stays_as_it_is() -> None:
    providers = {"up": {**ROUTED["providers"]["up"], "api_key": "stored:000000000000"}}
    found = plan(state_of(**ROUTED), **{**ROUTED, "providers": providers})
    reason = "api_key: the database has another credential than the one that is to be kept"
    assert refused(found) == [("up", reason)]
    assert (found.create, found.change, found.delete) == ((), (), ())


def test_one_id_for_two_entries_is_refused() -> None:
    users = {"ann": {}, "bob": {"id": declared_id("user", "ann")}}
    assert refused(plan(State.of(()), users=users)) == [("bob", "ann has this id already")]


def test_reasons_are_told_one_a_line() -> None:
    users = {"ann": {}, "bob": {"id": declared_id("user", "ann")}}
    id_ = declared_id("user", "ann")
    assert with_reasons(plan(State.of(()), users=users).refused) == f"user bob ({id_}): ann has this id already"
