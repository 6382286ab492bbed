"""Budgets: set from the level above, seen by those whom they bind, with what is spent of them now."""

from collections.abc import AsyncGenerator
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from scaigrid.config import entities
from scaigrid.config.snapshot import Fund
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Take
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, declared, model

PATH = "/v1/accounting/budgets"
NEIGHBOURS = ("admin_b", "admin_c", "partner_two", "user_b")


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    """The platform, with models `bounded` and `tenant/a/own`, a budget in the file, and keys that carry less."""
    made = platform(
        models={"bounded": model(max_output_tokens=10), "tenant/a/own": model(max_output_tokens=10)},
        budgets={"filed": entities.Budget(scope="tenant", of="b", period="total", request_limit=7)},
    )
    narrow = {
        "admin_a_own": declared("admin_a_own", "admin_a", scopes=("accounting:view_own",)),
        "admin_a_other": declared("admin_a_other", "admin_a", scopes=("models:list",)),
        "partner_one_tenant": declared("partner_one_tenant", "partner_one_viewer", scopes=("accounting:view_tenant",)),
    }
    config = msgspec.structs.replace(made, keys={**made.keys, **narrow})
    running = await ControlPlane(config, url=database_url).open()
    yield running
    await running.close()


def id_of(plane: ControlPlane, name: str) -> str:
    """`partner/one`, `tenant/a`, `user/user_a`, `key/user_a`, `model/bounded`."""
    kind, _, rest = name.partition("/")
    if kind == "model":
        return rest
    kind = "api_key" if kind == "key" else kind
    (found,) = (one.id for one in plane.control.state.all(kind).values() if one.name == rest)
    return found


def body(plane: ControlPlane, of: str, **more: Any) -> dict[str, Any]:
    given = {"scope": of.partition("/")[0], "scope_id": id_of(plane, of), "period": "monthly", "request_limit": 10}
    return {**given, **more}


async def make(plane: ControlPlane, of: str, who: str = "super", **more: Any) -> dict[str, Any]:
    made = await plane.ask("POST", PATH, body(plane, of, **more), who=who)
    assert made.status == 201, made.json
    item: dict[str, Any] = made.json["data"]
    return item


async def listed(plane: ControlPlane, who: str, query: str = "", **more: Any) -> list[str]:
    answer = await plane.get(f"{PATH}{query}", who, **more)
    assert answer.status == 200, answer.json
    return [item["id"] for item in answer.json["data"]["items"]]


async def spend(plane: ControlPlane, budget_id: str, **amounts: int) -> None:
    """Spends so much of a budget, by kind, in the present period."""
    funds: dict[str, Fund] = {fund.kind: fund for fund in plane.services.current.snapshot.funds if fund.id == budget_id}
    now = plane.clock.now()
    await plane.services.limiter.preset({funds[kind].at(now).key: n for kind, n in amounts.items()})


async def test_a_budget_is_made_read_changed_and_deleted(plane: ControlPlane) -> None:
    given = body(
        plane, "user/user_a", name="small", timezone="Europe/Amsterdam", cost_limit="12.50", request_limit=None
    )
    made = await plane.ask("POST", PATH, given, who="admin_a")
    assert made.status == 201
    item = made.json["data"]
    assert {name: item[name] for name in given} == {**given, "cost_limit": "12.5"}
    assert (item["hard_action"], item["origin"], item["state"]) == ("block", "api", "ok")
    assert (item["soft_limit_pct"], item["throttle_per_minute"], item["on_store_failure"]) == (0.8, 1, "deny")
    assert item["usage"] == {
        "period_start": "2026-12-31T23:00:00.000000Z",
        "period_end": "2027-01-31T23:00:00.000000Z",
        "cost": "0",
        "tokens": None,
        "requests": None,
        "reserved": {"cost": "0", "tokens": None, "requests": None},
        "remaining": {"cost": "12.5", "tokens": None, "requests": None},
    }
    path = f"{PATH}/{item['id']}"
    assert made.headers["location"] == path
    read = await plane.get(path, "admin_a")
    assert (read.json["data"], read.headers["etag"]) == (item, made.headers["etag"])
    changed = (await plane.ask("PATCH", path, {"cost_limit": None, "token_limit": 5}, who="admin_a")).json["data"]
    assert (changed["cost_limit"], changed["token_limit"], changed["name"]) == (None, 5, "small")
    replaced = (await plane.ask("PUT", path, body(plane, "user/user_a"), who="admin_a")).json["data"]
    assert (replaced["token_limit"], replaced["request_limit"], replaced["timezone"]) == (None, 10, "UTC")
    assert replaced["name"] == "small"
    assert (await plane.ask("DELETE", path, who="admin_a")).status == 204
    assert (await plane.get(path, "admin_a")).code == "NOT_FOUND"


async def test_what_was_spent_is_shown_until_the_next_period(plane: ControlPlane) -> None:
    item = await make(plane, "tenant/a", period="daily", cost_limit="1", token_limit=100)
    await spend(plane, item["id"], cost=250_000_001, tokens=99, requests=3)
    read = (await plane.get(f"{PATH}/{item['id']}", "super")).json["data"]
    usage = {name: read["usage"][name] for name in ("cost", "tokens", "requests")}
    amounts = {"cost": "0.250000001", "tokens": 99, "requests": 3}
    assert (usage, read["state"]) == (amounts, "soft_limit_reached")
    (shown,) = (await plane.get(f"{PATH}?scope=tenant&scope_id={item['scope_id']}", "super")).json["data"]["items"]
    assert shown == read
    plane.clock.advance(86_400)
    later = (await plane.get(f"{PATH}/{item['id']}", "super")).json["data"]["usage"]
    assert (later["cost"], later["period_start"]) == ("0", read["usage"]["period_end"])


async def test_what_it_does_at_its_limit_is_set_and_changed(plane: ControlPlane) -> None:
    said: dict[str, Any] = {
        "hard_action": "throttle",
        "soft_limit_pct": 0.3,
        "throttle_per_minute": 7,
        "on_store_failure": "allow",
    }
    item = await make(plane, "user/user_a", **said)
    assert {name: item[name] for name in said} == said
    (fund,) = [fund for fund in plane.services.current.snapshot.funds if fund.id == item["id"]]
    assert (fund.action, fund.soft, fund.throttle, fund.on_store_failure) == ("throttle", Fraction(3, 10), 7, "allow")
    path = f"{PATH}/{item['id']}"
    changed = (await plane.ask("PATCH", path, {"soft_limit_pct": None}, who="super")).json["data"]
    assert {name: changed[name] for name in said} == {**said, "soft_limit_pct": None}
    changed = (await plane.ask("PATCH", path, {"hard_action": "notify"}, who="super")).json["data"]
    assert (changed["hard_action"], changed["throttle_per_minute"]) == ("notify", 7)


@pytest.mark.parametrize(
    ("action", "spent", "state"),
    [
        ("block", 7, "ok"),
        ("block", 8, "soft_limit_reached"),
        ("block", 10, "exhausted"),
        ("notify", 12, "exhausted"),
        ("throttle", 9, "soft_limit_reached"),
        ("throttle", 10, "throttled"),
    ],
)
async def test_the_state_is_what_its_limit_makes_of_the_next_call(
    plane: ControlPlane, action: str, spent: int, state: str
) -> None:
    item = await make(plane, "user/user_a", hard_action=action)
    await spend(plane, item["id"], requests=spent)
    assert (await plane.get(f"{PATH}/{item['id']}", "super")).json["data"]["state"] == state


async def test_what_calls_under_way_have_reserved_does_not_remain(plane: ControlPlane) -> None:
    item = await make(plane, "user/user_a")
    await spend(plane, item["id"], requests=4)
    (fund,) = [fund for fund in plane.services.current.snapshot.funds if fund.id == item["id"]]
    await plane.services.limiter.acquire([Take(fund.at(plane.clock.now()), 3)])
    usage = (await plane.get(f"{PATH}/{item['id']}", "super")).json["data"]["usage"]
    told = [usage["requests"], usage["reserved"]["requests"], usage["remaining"]["requests"]]
    assert told == [4, 3, 3]


async def test_a_budget_that_others_leave_less_names_those_of_them_that_the_caller_sees(plane: ControlPlane) -> None:
    above = [(await make(plane, of, request_limit=limit))["id"] for of, limit in (("tenant/a", 9), ("partner/one", 8))]
    item = await make(plane, "user/user_a", who="admin_a")
    assert item["bounded_by"] == above[:1]
    path = f"{PATH}/{item['id']}"
    assert (await plane.get(path, "super")).json["data"]["bounded_by"] == above
    assert (await plane.get(path, "user_a")).json["data"]["bounded_by"] == []
    smaller = (await plane.ask("PATCH", path, {"request_limit": 8}, who="admin_a")).json["data"]
    assert smaller["bounded_by"] == []


async def test_a_group_has_a_budget_that_its_members_do_not_see(plane: ControlPlane) -> None:
    """They would see what the others spend."""
    given = {"name": "team", "user_ids": [id_of(plane, "user/user_a")]}
    group = (await plane.ask("POST", "/v1/groups", given, who="admin_a")).json["data"]
    item = await make(plane, "group/team", who="admin_a")
    assert (item["scope"], item["scope_id"]) == ("group", group["id"])
    path = f"{PATH}/{item['id']}"
    seen = {who: (await plane.get(path, who)).status for who in ("admin_a", "partner_one", "user_a", "admin_b")}
    assert seen == {"admin_a": 200, "partner_one": 200, "user_a": 404, "admin_b": 404}
    refused = await plane.ask("DELETE", f"/v1/groups/{group['id']}", who="admin_a")
    assert (refused.status, refused.code) == (409, "CONFLICT")


@pytest.mark.parametrize("amounts", [{"requests": 10}, {"requests": 12}, {"requests": 1, "tokens": 7}])
async def test_a_budget_of_which_one_limit_is_reached_is_exhausted(
    plane: ControlPlane, amounts: dict[str, int]
) -> None:
    item = await make(plane, "user/user_a", period="total", token_limit=7)
    await spend(plane, item["id"], **amounts)
    read = (await plane.get(f"{PATH}/{item['id']}", "user_a")).json["data"]
    assert (read["state"], read["usage"]["period_start"], read["usage"]["period_end"]) == ("exhausted", None, None)


async def test_a_budget_of_nothing_is_exhausted_from_the_start(plane: ControlPlane) -> None:
    assert (await make(plane, "user/user_a", request_limit=0))["state"] == "exhausted"


async def test_what_was_spent_is_unknown_while_the_counters_are_away(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(plane.services.limiter, "spent", away)
    item = await make(plane, "user/user_a")
    assert (item["usage"], item["state"], item["request_limit"]) == (None, None, 10)


ALL = frozenset({"partner/one", "tenant/a", "user/user_a", "key/user_a", "model/bounded", "model/tenant/a/own"})
SETS = {
    "super": ALL,
    "partner_one": {"tenant/a", "user/user_a", "key/user_a"},
    "admin_a": {"user/user_a", "key/user_a"},
    "partner_one_viewer": frozenset[str](),
    "user_a": frozenset[str](),
    "viewer_a": frozenset[str](),
    "admin_a_own": frozenset[str](),
}


@pytest.mark.parametrize("who", SETS)
async def test_a_budget_is_set_from_a_level_above(plane: ControlPlane, who: str) -> None:
    for of in sorted(ALL):
        answer = await plane.ask("POST", PATH, body(plane, of), who=who)
        assert (of, answer.status) == (of, 201 if of in SETS[who] else 403)


async def test_what_binds_somebody_is_seen_and_what_was_set_above_is_not_changed(plane: ControlPlane) -> None:
    made = {of: (await make(plane, of))["id"] for of in sorted(ALL)}
    sees = {
        "super": ALL,
        "partner_one": ALL - {"model/bounded"},
        "partner_one_viewer": ALL - {"model/bounded"},
        "admin_a": ALL - {"model/bounded", "partner/one"},
        "user_a": {"user/user_a", "key/user_a"},
        "viewer_a": set[str](),
        "admin_a_own": set[str](),
        "partner_one_tenant": ALL - {"model/bounded", "partner/one"},
    }
    for who, expected in sees.items():
        shown = set(await listed(plane, who))
        assert (who, shown & set(made.values())) == (who, {made[of] for of in expected})
        for of, id_ in made.items():
            assert (await plane.get(f"{PATH}/{id_}", who)).status == (200 if of in expected else 404)
    for who in ("admin_a", "partner_one"):
        for of in sees[who] - SETS[who]:
            path = f"{PATH}/{made[of]}"
            for method, sent in (("PUT", body(plane, of)), ("PATCH", {"request_limit": 99}), ("DELETE", None)):
                refused = await plane.ask(method, path, sent, who=who)
                assert (of, method, refused.status, refused.code) == (of, method, 403, "AUTHZ_PERMISSION_DENIED")
    kept = (await plane.get(f"{PATH}?origin=api", "super")).json["data"]["items"]
    assert [one["request_limit"] for one in kept] == [10] * len(ALL)


async def test_a_neighbours_budgets_are_not_there(plane: ControlPlane) -> None:
    path = f"{PATH}/{(await make(plane, 'user/user_a'))['id']}"
    for who in NEIGHBOURS:
        assert (await plane.get(path, who)).status == 404
        assert path.rpartition("/")[2] not in await listed(plane, who)
    for who in ("admin_b", "partner_two"):
        assert (await plane.ask("DELETE", path, who=who)).status == 404
        refused = await plane.ask("POST", PATH, body(plane, "user/user_a"), who=who)
        assert (refused.status, list(refused.details)) == (404, ["scope_id"])


async def test_who_sees_a_partner_and_manages_one_of_its_tenants_sets_those_of_that_tenant_alone(
    database_url: str,
) -> None:
    made = platform()
    both = entities.User(tenant="a", roles=("tenant_admin", "partner_viewer"))
    config = msgspec.structs.replace(
        made, users={**made.users, "both": both}, keys={**made.keys, "both": declared("both", "both")}
    )
    plane = await ControlPlane(config, url=database_url).open()
    assert (await plane.ask("POST", PATH, body(plane, "user/user_a"), who="both")).status == 201
    path = f"{PATH}/{(await make(plane, 'user/user_b'))['id']}"
    assert (await plane.get(path, "both")).status == 200
    new = await plane.ask("POST", PATH, body(plane, "user/user_b", name="other"), who="both")
    changed = await plane.ask("PATCH", path, {"request_limit": 0}, who="both")
    gone = await plane.ask("DELETE", path, who="both")
    assert {answer.code for answer in (new, changed, gone)} == {"AUTHZ_PERMISSION_DENIED"}
    await plane.close()


async def test_a_key_that_carries_less_is_told_so(plane: ControlPlane) -> None:
    refused = await plane.get(PATH, "admin_a_other")
    assert (refused.status, refused.code) == (403, "AUTH_INSUFFICIENT_SCOPE")
    refused = await plane.ask("POST", PATH, body(plane, "user/user_a"), who="admin_a_own")
    assert (refused.status, refused.code) == (403, "AUTH_INSUFFICIENT_SCOPE")


async def test_the_header_narrows_to_one_tenant(plane: ControlPlane) -> None:
    here, there, above = [(await make(plane, of))["id"] for of in ("tenant/a", "tenant/b", "partner/one")]
    shown = await listed(plane, "super", headers={"X-ScaiGrid-Tenant": "b"})
    assert there in shown
    assert not {here, above} & set(shown)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"request_limit": None}, "cost_limit"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"cost_limit": 5}, "cost_limit"),
        ({"cost_limit": "-5"}, "cost_limit"),
        ({"request_limit": -1}, "request_limit"),
        ({"scope": "team"}, "scope"),
        ({"period": "hourly"}, "period"),
        ({"hard_action": "warn"}, "hard_action"),
        ({"soft_limit_pct": 0}, "soft_limit_pct"),
        ({"soft_limit_pct": 1.01}, "soft_limit_pct"),
        ({"soft_limit_pct": "0.8"}, "soft_limit_pct"),
        ({"throttle_per_minute": 0}, "throttle_per_minute"),
        ({"on_store_failure": "guess"}, "on_store_failure"),
    ],
)
async def test_every_fault_is_named(plane: ControlPlane, change: dict[str, Any], field: str) -> None:
    refused = await plane.ask("POST", PATH, body(plane, "user/user_a", **change), who="super")
    assert (refused.status, list(refused.details)) == (422, [field])


async def test_money_can_be_bounded_only_where_answers_are(database_url: str) -> None:
    plane = await ControlPlane(platform(models={"unbounded": model()}), url=database_url).open()
    refused = await plane.ask("POST", PATH, body(plane, "user/user_a", cost_limit="1"), who="super")
    assert (refused.status, list(refused.details)) == (422, ["cost_limit"])
    assert (await plane.ask("POST", PATH, body(plane, "user/user_a"), who="super")).status == 201
    await plane.close()


async def test_whose_a_budget_is_does_not_change(plane: ControlPlane) -> None:
    item = await make(plane, "user/user_a", who="admin_a")
    path = f"{PATH}/{item['id']}"
    for change in (body(plane, "user/viewer_a"), body(plane, "key/user_a")):
        refused = await plane.ask("PUT", path, change, who="admin_a")
        assert (refused.status, list(refused.details)) == (422, ["scope_id"])


async def test_a_budget_without_a_name_is_called_after_its_period(plane: ControlPlane) -> None:
    names = [(await make(plane, "user/user_a"))["name"] for _ in range(3)]
    assert names == ["monthly", "monthly-2", "monthly-3"]
    assert (await make(plane, "user/viewer_a"))["name"] == "monthly"
    taken = await plane.ask("POST", PATH, body(plane, "user/user_a", name="monthly-2"), who="super")
    assert (taken.status, taken.code, list(taken.details)) == (409, "SLUG_CONFLICT", ["name"])


async def test_a_model_is_named_by_its_slug(plane: ControlPlane) -> None:
    item = await make(plane, "model/bounded")
    assert item["scope_id"] == "bounded"
    assert await listed(plane, "super", "?scope_id=bounded") == [item["id"]]
    kept = (await plane.ask("PATCH", f"{PATH}/{item['id']}", {"request_limit": 4}, who="super")).json["data"]
    assert (kept["scope_id"], kept["request_limit"]) == ("bounded", 4)
    refused = await plane.ask("POST", PATH, {**body(plane, "model/bounded"), "scope_id": "none"}, who="super")
    assert (refused.status, refused.code, list(refused.details)) == (404, "MODEL_NOT_FOUND", ["scope_id"])


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    (filed,) = await listed(plane, "super", "?origin=config")
    for who, code in (("super", "MANAGED_BY_CONFIG"), ("admin_b", "AUTHZ_PERMISSION_DENIED")):
        assert (await plane.ask("DELETE", f"{PATH}/{filed}", who=who)).code == code


async def test_a_budget_is_in_force_when_its_answer_is_there(plane: ControlPlane) -> None:
    item = await make(plane, "user/user_a", request_limit=3)
    (fund,) = [fund for fund in plane.services.current.snapshot.funds if fund.id == item["id"]]
    assert (fund.subject, fund.kind, fund.limit) == (id_of(plane, "user/user_a"), "requests", 3)
