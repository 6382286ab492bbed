"""Request limits of every party side by side: seen by those whom they bind, set from the level above."""

from typing import Any

import msgspec
import pytest

from scaigrid.config import entities
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Take
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, declared

PATH = "/v1/rate-limits"


async def make(plane: ControlPlane, tenant: str = "a") -> dict[str, str]:
    """A tenant, a user of `tenant` and a key of its own, made over the API: path of the limit of each, by scope."""
    header = {"X-ScaiGrid-Tenant": tenant}
    made = {
        "tenant": await plane.ask("POST", "/v1/tenants", {"slug": f"new-{tenant}"}, who="partner_one"),
        "user": await plane.ask("POST", "/v1/users", {"name": f"new_{tenant}"}, who="super", headers=header),
    }
    ids = {scope: answer.json["data"]["id"] for scope, answer in made.items()}
    made["key"] = await plane.ask("POST", "/v1/api-keys", {"name": "k", "assigned_user_id": ids["user"]}, who="super")
    ids["key"] = made["key"].json["data"]["id"]
    return {scope: f"{PATH}/{scope}/{id_}" for scope, id_ in ids.items()}


def declared_path(plane: ControlPlane, scope: str, name: str) -> str:
    kind = "api_key" if scope == "key" else scope
    (id_,) = (one.id for one in plane.control.state.all(kind).values() if one.name == name)
    return f"{PATH}/{scope}/{id_}"


async def listed(plane: ControlPlane, who: str, query: str = "?limit=1000", **more: Any) -> list[dict[str, Any]]:
    answer = await plane.get(f"{PATH}{query}", who, **more)
    assert answer.status == 200, answer.json
    items: list[dict[str, Any]] = answer.json["data"]["items"]
    return items


async def test_a_limit_is_the_default_until_it_is_set_and_again_when_it_is_deleted(plane: ControlPlane) -> None:
    for scope, path in (await make(plane)).items():
        first = await plane.get(path, "super")
        default = {"tenant": 1000, "user": 120, "key": 60}[scope]
        assert first.json["data"]["requests_per_minute"] == default
        assert (first.json["data"]["source"], first.json["data"]["origin"]) == ("default", "api")
        for limit in (7, 0, None):
            answer = await plane.ask("PUT", path, {"requests_per_minute": limit}, who="super")
            assert answer.status == 200
            assert (answer.json["data"]["requests_per_minute"], answer.json["data"]["source"]) == (limit, "own")
            assert (await plane.get(path, "super")).json["data"] == answer.json["data"]
        assert (await plane.ask("DELETE", path, who="super")).status == 204
        assert (await plane.get(path, "super")).json["data"] == first.json["data"]


async def test_a_limit_is_in_force_when_its_answer_is_there(plane: ControlPlane) -> None:
    paths = await make(plane)
    user = paths["user"].rpartition("/")[2]
    await plane.ask("PUT", paths["user"], {"requests_per_minute": 3}, who="super")
    (principal,) = (one for one in plane.services.current.snapshot.keys.values() if one.user.id == user)
    assert [take.bucket.limit for take in principal.windows] == [60, 3, 1000, 5000]


async def test_the_party_shows_the_limit_that_was_set_here(plane: ControlPlane) -> None:
    path = (await make(plane))["tenant"]
    set_ = await plane.ask("PUT", path, {"requests_per_minute": 5}, who="partner_one")
    tenant = await plane.get(f"/v1/tenants/{path.rpartition('/')[2]}", "partner_one")
    assert tenant.json["data"]["limits"] == {"requests_per_minute": 5}
    assert tenant.headers["etag"] == set_.headers["etag"]


FULL = {
    "requests_per_minute": 1,
    "requests_per_day": 2,
    "tokens_per_minute": 3,
    "tokens_per_day": 4,
    "concurrent_requests": 5,
    "on_store_failure": "allow_bounded",
}
NONE: dict[str, Any] = {**dict.fromkeys(FULL), "on_store_failure": "deny"}


async def test_every_kind_is_set_and_what_is_left_out_is_none_from_then_on(plane: ControlPlane) -> None:
    for scope, path in (await make(plane)).items():
        answer = await plane.ask("PUT", path, FULL, who="super")
        assert {name: answer.json["data"][name] for name in FULL} == FULL, scope
        assert (await plane.get(path, "super")).json["data"] == answer.json["data"]
        again = await plane.ask("PUT", path, {"requests_per_minute": 7}, who="super")
        assert {name: again.json["data"][name] for name in FULL} == {**NONE, "requests_per_minute": 7}


async def test_the_party_shows_and_takes_every_kind(plane: ControlPlane) -> None:
    paths = await make(plane)
    for scope, path in paths.items():
        resource = f"/v1/{'api-keys' if scope == 'key' else f'{scope}s'}/{path.rpartition('/')[2]}"
        await plane.ask("PUT", path, FULL, who="super")
        assert (await plane.get(resource, "super")).json["data"]["limits"] == FULL
        less = await plane.ask("PATCH", resource, {"limits": {"tokens_per_day": None}}, who="super")
        assert less.status == 200, less.json
        assert (await plane.get(path, "super")).json["data"]["tokens_per_day"] is None
        assert (await plane.get(path, "super")).json["data"]["tokens_per_minute"] == 3


async def test_all_kinds_are_in_force_when_the_answer_is_there(plane: ControlPlane) -> None:
    paths = await make(plane)
    await plane.ask("PUT", paths["user"], FULL, who="super")
    user = paths["user"].rpartition("/")[2]
    (principal,) = (one for one in plane.services.current.snapshot.keys.values() if one.user.id == user)
    buckets = [*(take.bucket for take in principal.windows), *principal.token_windows]
    ours = [(one.kind, one.limit, one.on_store_failure) for one in buckets if one.level == "user"]
    assert ours == [
        ("requests", 1, "allow_bounded"),
        ("requests", 2, "allow_bounded"),
        ("concurrency", 5, "allow_bounded"),
        ("tokens", 3, "allow_bounded"),
        ("tokens", 4, "allow_bounded"),
    ]


async def test_what_is_used_of_each_limit_stands_in_the_answer_about_one_party(plane: ControlPlane) -> None:
    path = (await make(plane))["user"]
    await plane.ask("PUT", path, {**FULL, "tokens_per_minute": None}, who="super")
    user = path.rpartition("/")[2]
    (principal,) = (one for one in plane.services.current.snapshot.keys.values() if one.user.id == user)
    takes = [take for take in principal.windows if take.bucket.level == "user"]
    await plane.services.limiter.acquire([*takes, *(Take(bucket, 4) for bucket in principal.token_windows)])
    used = (await plane.get(path, "super")).json["data"]["used"]
    assert used == {
        "requests_per_minute": 1,
        "requests_per_day": 1,
        "tokens_per_minute": None,
        "tokens_per_day": 4,
        "concurrent_requests": 1,
    }
    assert not [item for item in await listed(plane, "super") if "used" in item]


async def test_what_is_used_is_unknown_while_the_counters_are_away(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    path = (await make(plane))["user"]
    monkeypatch.setattr(plane.services.limiter, "spent", away)
    answer = await plane.ask("PUT", path, FULL, who="super")
    assert (answer.status, answer.json["data"]["used"]) == (200, None)


async def test_a_limit_on_tokens_needs_models_whose_answers_are_bounded(plane: ControlPlane) -> None:
    path = (await make(plane))["user"]
    await plane.ask("POST", "/v1/models", {"slug": "acme/chat", "unpriced": "free"}, who="super")
    for kind in ("tokens_per_minute", "tokens_per_day"):
        refused = await plane.ask("PUT", path, {"requests_per_minute": 1, kind: 5}, who="super")
        assert (refused.status, refused.details) == (
            422,
            {kind: "model acme/chat has no max_output_tokens, so no limit on tokens can be kept"},
        )
    await plane.ask("PATCH", "/v1/models/acme/chat", {"max_output_tokens": 10}, who="super")
    assert (await plane.ask("PUT", path, FULL, who="super")).status == 200
    unbound = await plane.ask("PATCH", "/v1/models/acme/chat", {"max_output_tokens": None}, who="super")
    assert list(unbound.details) == ["max_output_tokens"]


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    path = (await make(plane))["user"]
    tag = (await plane.get(path, "admin_a")).headers["etag"]
    body = {"requests_per_minute": 5}
    first = await plane.ask("PUT", path, body, who="admin_a", headers={"If-Match": tag})
    assert (first.status, first.headers["etag"] != tag) == (200, True)
    for method, sent in (("PUT", body), ("DELETE", None)):
        late = await plane.ask(method, path, sent, who="admin_a", headers={"If-Match": tag})
        assert (late.status, late.code) == (412, "PRECONDITION_FAILED")


SETS = {
    "super": {"tenant", "user", "key"},
    "partner_one": {"tenant", "user", "key"},
    "admin_a": {"user", "key"},
    "partner_one_viewer": set[str](),
    "user_a": set[str](),
    "viewer_a": set[str](),
}


@pytest.mark.parametrize("who", SETS)
async def test_a_limit_is_set_from_a_level_above(plane: ControlPlane, who: str) -> None:
    paths = await make(plane)
    paths["tenant"] = declared_path(plane, "tenant", "a")
    for scope, path in paths.items():
        for method, body in (("PUT", {"requests_per_minute": 5}), ("DELETE", None)):
            answer = await plane.ask(method, path, body, who=who)
            if scope not in SETS[who]:
                assert (scope, answer.status, answer.code) == (scope, 403, "AUTHZ_PERMISSION_DENIED")
            elif scope == "tenant":
                assert (answer.status, answer.code) == (409, "MANAGED_BY_CONFIG")
            else:
                assert answer.status in (200, 204)


async def test_only_the_platform_sets_the_limit_of_a_partner(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/partners", {"slug": "three"}, who="super")
    path = f"{PATH}/partner/{made.json['data']['id']}"
    assert (await plane.ask("PUT", path, {"requests_per_minute": 5}, who="super")).status == 200
    own = declared_path(plane, "partner", "one")
    assert (await plane.get(own, "partner_one")).status == 200
    assert (await plane.ask("PUT", own, {"requests_per_minute": 5}, who="partner_one")).status == 403
    assert (await plane.ask("PUT", own, {"requests_per_minute": 5}, who="super")).code == "MANAGED_BY_CONFIG"


async def test_each_sees_what_binds_it_and_what_it_administers(plane: ControlPlane) -> None:
    def names(items: list[dict[str, Any]]) -> set[str]:
        return {f"{item['scope']}/{item['name']}" for item in items}

    assert names(await listed(plane, "user_a")) == {"user/user_a", "key/user_a"}
    ours = names(await listed(plane, "admin_a"))
    assert {"tenant/a", "user/user_a", "key/viewer_a"} <= ours
    assert not {name for name in ours if name.endswith(("_b", "_c", "/b", "/c", "/one", "/two"))}
    assert {"partner/one", "tenant/b", "key/user_b"} <= names(await listed(plane, "partner_one"))
    assert not {"partner/two", "tenant/c", "user/user_c"} & names(await listed(plane, "partner_one"))
    assert {"partner/two", "tenant/c"} <= names(await listed(plane, "super"))
    header = {"X-ScaiGrid-Tenant": "c"}
    assert "user/user_a" not in names(await listed(plane, "super", headers=header))


async def test_a_neighbours_limits_are_not_there(plane: ControlPlane) -> None:
    for path in (declared_path(plane, "user", "user_a"), declared_path(plane, "tenant", "a")):
        for who in ("admin_b", "admin_c", "partner_two", "user_b"):
            assert (await plane.get(path, who)).code == "NOT_FOUND"
        for who in ("admin_b", "partner_two"):
            assert (await plane.ask("PUT", path, {"requests_per_minute": 1}, who=who)).code == "NOT_FOUND"
            assert (await plane.ask("DELETE", path, who=who)).code == "NOT_FOUND"


async def test_who_sees_a_partner_and_manages_one_of_its_tenants_sets_those_of_that_tenant_alone(
    database_url: str,
) -> None:
    made = platform()
    both = entities.User(tenant="a", roles=("tenant_admin", "partner_viewer"))
    config = msgspec.structs.replace(
        made, users={**made.users, "both": both}, keys={**made.keys, "both": declared("both", "both")}
    )
    plane = await ControlPlane(config, url=database_url).open()
    own, other = [(await make(plane, tenant))["user"] for tenant in ("a", "b")]
    for path, status in ((own, 200), (other, 403)):
        assert (await plane.get(path, "both")).status == 200
        assert (await plane.ask("PUT", path, {"requests_per_minute": 0}, who="both")).status == status
    assert (await plane.ask("DELETE", other, who="both")).status == 403
    await plane.close()


@pytest.mark.parametrize("scope", ["group", "api_key", "models", "Partner"])
async def test_another_scope_is_not_found(plane: ControlPlane, scope: str) -> None:
    refused = await plane.get(f"{PATH}/{scope}/x", "super")
    assert (refused.status, refused.code) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "requests_per_minute"),
        ({"requests_per_minute": -1}, "requests_per_minute"),
        ({"requests_per_minute": "5"}, "requests_per_minute"),
        ({"requests_per_minute": 1, "tokens_per_day": -1}, "tokens_per_day"),
        ({"requests_per_minute": 1, "on_store_failure": "hope"}, "on_store_failure"),
    ],
)
async def test_every_fault_is_named(plane: ControlPlane, body: dict[str, Any], field: str) -> None:
    refused = await plane.ask("PUT", (await make(plane))["user"], body, who="super")
    assert (refused.status, list(refused.details)) == (422, [field])


async def test_pages_follow_each_other_partners_first(plane: ControlPlane) -> None:
    every = await listed(plane, "super")
    assert [item["scope"] for item in every] == sorted(
        (item["scope"] for item in every), key=["partner", "tenant", "user", "key"].index
    )
    met: list[dict[str, Any]] = []
    query = "?limit=4"
    while query:
        answer = (await plane.get(f"{PATH}{query}", "super")).json
        met += answer["data"]["items"]
        cursor = answer["pagination"]["next_cursor"]
        query = "" if cursor is None else f"?limit=4&cursor={cursor}"
    assert met == every


async def test_limits_are_found_by_scope_and_by_who_said_them(plane: ControlPlane) -> None:
    path = (await make(plane))["user"]
    await plane.ask("PUT", path, {"requests_per_minute": 9}, who="admin_a")
    (own,) = await listed(plane, "super", "?source=own")
    assert own["scope_id"] == path.rpartition("/")[2]
    assert {item["scope"] for item in await listed(plane, "super", "?scope=tenant&source=default")} == {"tenant"}


async def test_a_change_is_recorded_with_what_was_and_what_is(plane: ControlPlane) -> None:
    path = (await make(plane))["user"]
    plane.kept.records.clear()
    await plane.ask("PUT", path, {"requests_per_minute": 9}, who="partner_one")
    await plane.ask("DELETE", path, who="user_a")
    done, refused = plane.kept.audit
    assert (done.action, done.resource_type) == ("rate_limit.update", "rate_limit")
    assert (done.resource_id, done.status) == (path.rpartition("/")[2], "SUCCESS")
    tenants = {one.name: one.id for one in plane.control.state.all("tenant").values()}
    assert done.tenant_id == tenants["a"]
    assert b'"requests_per_minute":120' in bytes(done.before or b"")
    assert b'"requests_per_minute":9' in bytes(done.after or b"")
    assert (refused.action, refused.status, refused.error_code) == (
        "rate_limit.delete",
        "FAILURE",
        "AUTHZ_PERMISSION_DENIED",
    )
