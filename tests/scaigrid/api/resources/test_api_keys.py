"""Keys: seen and changed by their users and by who manages these, and no key can do more than its maker."""

from typing import Any

import pytest

from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, model
from tests.scaigrid.api.people import (
    CONFLICT,
    DENIED,
    INVALID,
    MANAGED,
    NO_SCOPE,
    NOT_THERE,
    make,
    make_caller,
    make_help_desk,
    make_user,
    refused,
    user,
)

PATH = "/v1/api-keys"


async def _made(plane: ControlPlane, who: str = "user_a", **fields: Any) -> dict[str, Any]:
    answer = await plane.ask("POST", PATH, {"name": "k", **fields}, who=who)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json["data"]
    return found


async def _items(plane: ControlPlane, query: str = "", **who: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await plane.ask("GET", f"{PATH}{query}", **who)).json["data"]["items"]
    return found


async def test_a_key_is_read_changed_and_deleted_and_never_told_again(plane: ControlPlane) -> None:
    made = await _made(plane, scopes=["models:use"], addresses=["127.0.0.1", "10.0.0.0/8"])
    text = made.pop("key")
    path = f"{PATH}/{made['id']}"
    assert (await plane.get(path, "user_a")).json["data"] == made
    budget = {"period": "daily", "cost_limit": "1.50", "request_limit": 3}
    changed = await plane.ask("PATCH", path, {"name": "new", "budget": budget}, who="user_a")
    told = {
        "timezone": "UTC",
        "token_limit": None,
        "hard_action": "block",
        "soft_limit_pct": 0.8,
        "throttle_per_minute": 1,
        "on_store_failure": "deny",
        **budget,
        "cost_limit": "1.5",
    }
    assert changed.json["data"] == {**made, "name": "new", "budget": told}
    replaced = (await plane.ask("PUT", path, {"name": "newer"}, who="user_a")).json["data"]
    assert (replaced["scopes"], replaced["addresses"], replaced["budget"]) == (None, None, None)
    assert replaced["prefix"] == made["prefix"]
    assert (await plane.ask("GET", "/v1/me", token=text)).status == 200
    assert (await plane.ask("DELETE", path, who="user_a")).status == 204
    assert (await plane.ask("GET", "/v1/me", token=text)).code == "AUTH_TOKEN_INVALID"
    assert refused(await plane.get(path, "user_a")) == NOT_THERE


async def test_every_fault_is_named(plane: ControlPlane) -> None:
    body = {
        "name": "",
        "expires_at": "2030-01-01T00:00:00",
        "scopes": ["all"],
        "models": [""],
        "limits": {"requests_per_minute": -1},
        "budget": {"period": "hourly", "cost_limit": 1.5},
        "revoked": False,
    }
    answer = await plane.ask("POST", PATH, body, who="user_a")
    assert refused(answer) == INVALID
    assert set(answer.details) == {
        "name",
        "expires_at",
        "scopes[0]",
        "models[0]",
        "limits.requests_per_minute",
        "budget.period",
        "budget.cost_limit",
        "revoked",
    }


async def test_faults_that_no_shape_can_see_are_named_too(plane: ControlPlane) -> None:
    body = {
        "name": "k",
        "expires_at": "2020-01-01T00:00:00Z",
        "addresses": ["10.0.0.0/8", "10.0.0.1/8", "localhost"],
        "budget": {"timezone": "Mars/Base"},
    }
    answer = await plane.ask("POST", PATH, body, who="user_a")
    assert refused(answer) == INVALID
    assert list(answer.details) == ["expires_at", "addresses[1]", "addresses[2]", "budget", "budget.timezone"]
    for moment in ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"):
        answer = await plane.ask("POST", PATH, {"name": "k", "expires_at": moment}, who="user_a")
        assert (refused(answer), list(answer.details)) == (INVALID, ["expires_at"])


async def test_scopes_are_permissions_that_there_are_or_those_of_a_module(plane: ControlPlane) -> None:
    body = {"name": "k", "scopes": ["models:use", "mail:box:read", "models:fly"]}
    answer = await plane.ask("POST", PATH, body, who="user_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["scopes[2]"])


async def test_a_key_that_has_expired_is_renamed_and_does_not_come_back_by_that(plane: ControlPlane) -> None:
    soon = await _made(plane, expires_at="2027-01-15T08:01:00Z")
    assert soon["status"] == "active"
    plane.clock.wall += 60
    (item,) = await _items(plane, "?status=expired", who="user_a")
    assert item["id"] == soon["id"]
    renamed = await plane.ask("PATCH", f"{PATH}/{soon['id']}", {"name": "old"}, who="user_a")
    assert (renamed.status, renamed.json["data"]["status"]) == (200, "expired")
    assert (await plane.ask("GET", "/v1/me", token=soon["key"])).code == "SESSION_EXPIRED"


async def test_a_key_moves_to_no_other_user(plane: ControlPlane) -> None:
    made = await _made(plane)
    path = f"{PATH}/{made['id']}"
    answer = await plane.ask("PATCH", path, {"assigned_user_id": user("admin_a")}, who="admin_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["assigned_user_id"])
    same = await plane.ask("PATCH", path, {"assigned_user_id": user("user_a")}, who="admin_a")
    assert same.status == 200


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    (declared,) = await _items(plane, "?origin=config", who="user_a")
    path = f"{PATH}/{declared['id']}"
    for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who="user_a")) == MANAGED


async def test_when_a_key_was_last_used_is_told_at_once_and_after_a_restart(plane: ControlPlane) -> None:
    made = await _made(plane)
    assert made["last_used_at"] is None
    plane.clock.wall += 5
    await plane.ask("GET", "/v1/me", token=made["key"])
    plane.clock.wall += 5
    for _ in range(2):
        told = (await plane.get(f"{PATH}/{made['id']}", "user_a")).json["data"]
        assert told["last_used_at"] == "2027-01-15T08:00:05.000000Z"
        # As it is when a worker stops: what it has seen is in the database alone.
        await plane.control.close()


async def test_filters_find_those_that_are_meant(plane: ControlPlane) -> None:
    made = await _made(plane, name="find me")
    await plane.ask("POST", f"{PATH}/{made['id']}/revoke", who="user_a")
    for query in ("?status=revoked", "?origin=api", "?name=find%20me", f"?user_id={user('user_a')}&origin=api"):
        assert [item["id"] for item in await _items(plane, query, who="admin_a")] == [made["id"]]
    assert await _items(plane, f"?user_id={user('user_b')}", who="admin_a") == []


# -- whose keys somebody sees and changes ----------------------------------------------------------------------------


async def test_who_manages_no_users_sees_its_own_keys_alone(plane: ControlPlane) -> None:
    other = await _made(plane, "admin_a")
    own = await _made(plane)
    assert {item["user_id"] for item in await _items(plane, who="user_a")} == {user("user_a")}
    path = f"{PATH}/{other['id']}"
    assert refused(await plane.get(path, "user_a")) == NOT_THERE
    for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who="user_a")) == NOT_THERE
    assert (await plane.ask("PATCH", f"{PATH}/{own['id']}", {"name": "x"}, who="user_a")).status == 200


async def test_who_holds_no_keys_by_its_roles_sees_none(plane: ControlPlane) -> None:
    for who in ("viewer_a", "partner_one_viewer"):
        assert refused(await plane.get(PATH, who)) == DENIED
        assert refused(await plane.ask("POST", PATH, {"name": "k"}, who=who)) == DENIED


async def test_administrators_see_the_keys_of_those_they_reach(plane: ControlPlane) -> None:
    tenants = {
        who: {item["tenant_id"] for item in await _items(plane, who=who)} for who in ("admin_a", "partner_one", "super")
    }
    assert [len(found) for found in tenants.values()] == [1, 2, 3]
    far = await _made(plane, "user_c")
    for who in ("admin_a", "partner_one"):
        assert refused(await plane.get(f"{PATH}/{far['id']}", who)) == NOT_THERE
        assert refused(await plane.ask("DELETE", f"{PATH}/{far['id']}", who=who)) == NOT_THERE
    assert (await plane.get(f"{PATH}/{far['id']}", "super")).status == 200


@pytest.mark.parametrize(
    ("who", "role"),
    [("admin_a", "partner_viewer"), ("admin_a", "super_admin"), ("partner_one", "super_admin")],
)
async def test_nobody_changes_a_key_of_a_user_beyond_itself(plane: ControlPlane, who: str, role: str) -> None:
    """Neither widened for the next step nor taken away."""
    chief = await make_user(plane, roles=[role])
    made = await _made(plane, "super", assigned_user_id=chief, addresses=["10.0.0.1"])
    path = f"{PATH}/{made['id']}"
    assert (await plane.get(path, who)).status == 200
    for method, body in (("PATCH", {"addresses": None}), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert refused(await plane.ask(method, path, body, who=who)) == DENIED


async def test_who_is_no_administrator_changes_no_key_of_who_may_do_more(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    chief = await make_user(plane, roles=["tenant_admin"])
    made = await _made(plane, "super", assigned_user_id=chief)
    assert refused(await plane.ask("PATCH", f"{PATH}/{made['id']}", {"name": "x"}, token=desk)) == DENIED


async def test_a_key_with_the_scope_of_its_own_keys_alone_sees_no_others(plane: ControlPlane) -> None:
    key = await make_caller(plane, roles=["tenant_admin"], key={"scopes": ["api_keys:manage"]})
    mine = (await plane.ask("GET", "/v1/me", token=key)).json["data"]["user"]["id"]
    assert {item["user_id"] for item in await _items(plane, token=key)} == {mine}
    narrow = await make_caller(plane, roles=["tenant_admin"], key={"scopes": ["models:use"]})
    assert refused(await plane.ask("GET", PATH, token=narrow)) == NO_SCOPE


# -- what a key may make of itself and of others ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "wider"),
    [
        ({"scopes": ["api_keys:manage", "models:use"]}, {"scopes": None}),
        ({"scopes": ["api_keys:manage", "models:use"]}, {"scopes": ["models:use", "models:list"]}),
        ({"models": ["m/one"]}, {"models": None}),
        ({"models": ["m/one"]}, {"models": ["m/one", "m/two"]}),
        ({"addresses": ["127.0.0.0/8"]}, {"addresses": None}),
        ({"addresses": ["127.0.0.0/8"]}, {"addresses": ["127.0.0.1", "10.0.0.1"]}),
        ({"addresses": ["127.0.0.0/8"]}, {"addresses": ["::1"]}),
        ({"expires_at": "2027-02-01T00:00:00Z"}, {"expires_at": None}),
        ({"expires_at": "2027-02-01T00:00:00Z"}, {"expires_at": "2027-02-02T00:00:00Z"}),
        ({"limits": {"requests_per_minute": 10}}, {"limits": {"requests_per_minute": None}}),
        ({"limits": {"requests_per_minute": 10}}, {"limits": {"requests_per_minute": 5}}),
        ({"budget": {"request_limit": 1}}, {"budget": None}),
        ({"budget": {"request_limit": 1}}, {"budget": {"request_limit": 2}}),
    ],
)
async def test_no_key_loosens_what_it_is_bound_by(
    bound: dict[str, Any], wider: dict[str, Any], database_url: str
) -> None:
    models = {"m/one": model(max_output_tokens=9), "m/two": model(max_output_tokens=9)}
    plane = await ControlPlane(platform(models=models), url=database_url).open()
    made = await _made(plane, **bound)
    path = f"{PATH}/{made['id']}"
    (field,) = wider
    answer = await plane.ask("PATCH", path, wider, token=made["key"])
    assert (refused(answer), list(answer.details)) == (NO_SCOPE, [field])
    whole = {"name": "k", **bound, **wider}
    assert refused(await plane.ask("PUT", path, whole, token=made["key"])) == NO_SCOPE
    assert (await plane.ask("PATCH", path, {"name": "same"}, token=made["key"])).status == 200
    assert (await plane.ask("PATCH", path, wider, who="user_a")).status == 200
    await plane.close()


async def test_a_key_narrows_itself_for_good(plane: ControlPlane) -> None:
    made = await _made(plane)
    narrow = {"scopes": ["api_keys:manage"], "addresses": ["127.0.0.1"], "expires_at": "2027-02-01T00:00:00Z"}
    path = f"{PATH}/{made['id']}"
    assert (await plane.ask("PATCH", path, narrow, token=made["key"])).status == 200
    back = await plane.ask("PATCH", path, dict.fromkeys(narrow), token=made["key"])
    assert (refused(back), set(back.details)) == (NO_SCOPE, set(narrow))


# -- models ----------------------------------------------------------------------------------------------------------


async def test_a_model_that_its_user_may_not_see_is_as_one_that_there_is_not(database_url: str) -> None:
    """Or the answers would tell what others have."""
    models = {"all": model(), "tenant/b/own": model(), "granted": model(access="granted")}
    plane = await ControlPlane(platform(models=models), url=database_url).open()
    told: list[dict[str, str]] = []
    for slug in ("tenant/b/own", "granted", "nothing"):
        answer = await plane.ask("POST", PATH, {"name": "k", "models": ["all", slug]}, who="user_a")
        assert refused(answer) == INVALID
        told.append(answer.details)
    assert told == [{"models[1]": "there is no such model"}] * 3
    for who, slug in (("user_b", "tenant/b/own"), ("super", "granted")):
        assert (await _made(plane, who, models=[slug]))["models"] == [slug]
    await plane.close()


async def test_a_budget_of_money_needs_models_whose_answers_are_bounded(database_url: str) -> None:
    plane = await ControlPlane(platform(models={"free": model()}), url=database_url).open()
    answer = await plane.ask("POST", PATH, {"name": "k", "budget": {"cost_limit": "1"}}, who="user_a")
    assert (refused(answer), list(answer.details)) == (INVALID, ["budget.cost_limit"])
    await plane.close()


async def test_a_key_with_a_budget_on_it_stays_until_that_is_gone(plane: ControlPlane) -> None:
    made = await _made(plane)
    body = {"scope": "key", "scope_id": made["id"], "period": "daily", "request_limit": 1}
    await make(plane, "/v1/accounting/budgets", body)
    assert refused(await plane.ask("DELETE", f"{PATH}/{made['id']}", who="user_a")) == CONFLICT
