"""What a plan may not do, each with the reason that a person reads."""

from typing import Any

import msgspec

from adapters import ADAPTERS
from scaigrid.control import documents as docs
from scaigrid.control.plan import Plan, planned
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from tests.harness.deployment import VAULT, declared, made, plan

TENANTS: dict[str, Any] = {"acme": {}, "other": {}}
ACME = declared_id("tenant", "acme")


def state_of(*more: Resource, **sections: Any) -> State:
    return State.of([*declared(**sections), *more], 1)


def refused(found: Plan) -> list[tuple[str, str, str]]:
    return [(step.kind, step.name, step.reason) for step in found.refused]


def test_two_entries_of_one_name_are_refused_once() -> None:
    found = plan(State.of(()), tenants={"acme": {}, "b": {"name": "acme"}})
    ((kind, name, reason),) = refused(found)
    assert (kind, name, reason) == ("tenant", "acme", "the file declares another tenant of this name")


def test_a_name_of_an_entry_that_stays_is_refused() -> None:
    found = plan(state_of(tenants={"acme": {}}), tenants={"acme": {}, "b": {"name": "acme"}})
    assert refused(found) == [("tenant", "acme", "the file declares another tenant of this name")]


def test_names_may_be_changed_for_each_other() -> None:
    before = state_of(tenants={"a": {"name": "one"}, "b": {"name": "two"}})
    found = plan(before, tenants={"a": {"name": "two"}, "b": {"name": "one"}})
    assert found.refused == ()
    assert len(found.change) == 2


def test_one_name_in_two_tenants_is_two_names() -> None:
    users = {"a": {"tenant": "acme", "name": "ann"}, "b": {"tenant": "other", "name": "ann"}}
    assert plan(State.of(()), tenants=TENANTS, users=users).refused == ()


def test_names_of_keys_are_labels() -> None:
    keys = {name: {"user": "ann", "name": "app", "sha256": name * 64} for name in ("a", "b")}
    assert plan(State.of(()), users={"ann": {}}, keys=keys).refused == ()


def test_a_key_that_the_api_made_is_not_declared_a_second_time() -> None:
    user = declared_id("user", "ann")
    theirs = made(docs.ApiKey(name="theirs", user_id=user, sha256="a" * 64), "api_key")
    found = plan(
        state_of(theirs, users={"ann": {}}), users={"ann": {}}, keys={"mine": {"user": "ann", "sha256": "a" * 64}}
    )
    assert refused(found) == [
        ("api_key", "mine", f"the same key as {theirs.id}: each needs a key of its own"),
    ]


def test_what_is_in_use_is_not_deleted_and_its_users_are_named() -> None:
    theirs = [made(docs.User(name=f"u{number}", tenant_id=ACME), "user") for number in range(7)]
    found = plan(state_of(*theirs, tenants=TENANTS), tenants={"other": {}})
    ((kind, name, reason),) = refused(found)
    assert (kind, name) == ("tenant", "acme")
    assert reason.startswith(f"in use by user u0 ({theirs[0].id}), user u1")
    assert reason.endswith(" and 2 more")


def test_what_only_goes_together_may_go_together() -> None:
    before = state_of(tenants=TENANTS, users={"ann": {"tenant": "acme"}})
    assert plan(before, tenants={"other": {}}).refused == ()


def test_a_rule_that_the_file_alone_cannot_see_is_kept() -> None:
    """The budget is the API's, and the model the file's."""
    budget = made(docs.Budget(name="b", scope="tenant", scope_id=ACME, period="daily", token_limit=1), "budget")
    found = plan(
        state_of(budget, tenants=TENANTS),
        tenants=TENANTS,
        models={"acme/chat": {"unpriced": "free", "route": None}},
    )
    ((kind, name, reason),) = refused(found)
    assert (kind, name) == ("model", "acme/chat")
    assert reason.startswith("max_output_tokens: is required")


def test_a_user_that_moves_may_not_leave_its_membership_behind() -> None:
    users = {"ann": {"tenant": "acme"}}
    group = made(docs.Group(name="g", tenant_id=ACME, user_ids=(declared_id("user", "ann"),)), "group")
    before = state_of(group, tenants=TENANTS, users=users)
    found = plan(before, tenants=TENANTS, users={"ann": {"tenant": "other"}})
    assert refused(found) == [("group", "g", "user_ids[0]: is a user of another tenant")]


def test_what_was_wrong_before_stands_in_nobody_s_way() -> None:
    ann = declared_id("user", "ann")
    group = made(docs.Group(name="g", tenant_id=ACME, user_ids=(ann, ann)), "group")
    before = state_of(group, tenants=TENANTS, users={"ann": {"tenant": "acme"}})
    assert plan(before, tenants=TENANTS, users={"ann": {"tenant": "acme", "email": "a@b.test"}}).refused == ()


def test_a_reference_to_nothing_is_refused_and_nothing_else_is_said_of_it() -> None:
    (user,) = (one for one in declared(users={"ann": {}}) if one.kind == "user")
    lost = msgspec.structs.replace(user, document=docs.User(name="ann", tenant_id=ACME, custom_role_ids=("role_x",)))
    found = planned(State.of((), 1), [*declared(), lost], VAULT, ADAPTERS).plan
    assert refused(found) == [
        ("user", "ann", f"tenant_id: there is no tenant {ACME}"),
        ("user", "ann", "custom_role_ids[0]: there is no role role_x"),
    ]
