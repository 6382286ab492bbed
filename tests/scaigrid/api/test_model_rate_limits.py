"""Limits of models: seen by those who may use them, set by the platform alone."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, model

PATH = "/v1/rate-limits/model"
FULL: dict[str, Any] = {
    "requests_per_minute": 1,
    "requests_per_day": 2,
    "tokens_per_minute": 3,
    "tokens_per_day": 4,
    "concurrent_requests": 5,
    "on_store_failure": "allow",
}
NONE: dict[str, Any] = {**dict.fromkeys(FULL), "on_store_failure": "deny"}


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    """Beside the models below, which the configuration declares, `made/chat` is the API's."""
    sections = platform(
        models={
            "acme/chat": model(max_output_tokens=9),
            "tenant/a/own": model(max_output_tokens=9),
            "acme/granted": model(max_output_tokens=9, access="granted"),
        },
    )
    made = await ControlPlane(sections, url=database_url).open()
    answer = await made.ask("POST", "/v1/models", {"slug": "made/chat", "unpriced": "free"}, who="super")
    assert answer.status == 201
    yield made
    await made.close()


async def slugs(plane: ControlPlane, who: str, query: str = "") -> list[str]:
    answer = await plane.get(f"{PATH}{query}", who)
    assert answer.status == 200, answer.json
    return [item["scope_id"] for item in answer.json["data"]["items"]]


def held(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in FULL}


async def test_a_limit_is_none_until_it_is_set_and_again_when_it_is_deleted(plane: ControlPlane) -> None:
    path = f"{PATH}/made/chat"
    first = await plane.get(path, "super")
    assert (held(first.json["data"]), first.json["data"]["source"]) == (NONE, "default")
    limits = {**FULL, "tokens_per_minute": None, "tokens_per_day": None}
    answer = await plane.ask("PUT", path, limits, who="super")
    assert (held(answer.json["data"]), answer.json["data"]["source"]) == (limits, "own")
    assert (answer.json["data"]["scope"], answer.json["data"]["scope_id"]) == ("model", "made/chat")
    in_force = plane.services.current.snapshot.models["made/chat"]
    assert [take.bucket.limit for take in in_force.windows] == [1, 2, 5]
    assert (await plane.ask("DELETE", path, who="super")).status == 204
    assert (await plane.get(path, "super")).json["data"] == first.json["data"]


async def test_a_limit_on_tokens_needs_the_models_own_bound(plane: ControlPlane) -> None:
    refused = await plane.ask("PUT", f"{PATH}/made/chat", FULL, who="super")
    assert (refused.status, list(refused.details)) == (422, ["tokens_per_minute"])
    await plane.ask("PATCH", "/v1/models/made/chat", {"max_output_tokens": 10}, who="super")
    assert (await plane.ask("PUT", f"{PATH}/made/chat", FULL, who="super")).status == 200


async def test_what_is_used_is_told_of_one_model(plane: ControlPlane) -> None:
    limits = {"requests_per_minute": None, "requests_per_day": 5, "concurrent_requests": 5}
    await plane.ask("PUT", f"{PATH}/made/chat", limits, who="super")
    await plane.services.limiter.acquire(plane.services.current.snapshot.models["made/chat"].windows)
    used = (await plane.get(f"{PATH}/made/chat", "super")).json["data"]["used"]
    assert {name: count for name, count in used.items() if count is not None} == {
        "requests_per_day": 1,
        "concurrent_requests": 1,
    }


async def test_each_sees_the_models_that_it_may_use(plane: ControlPlane) -> None:
    everybody = ["acme/chat", "made/chat"]
    assert await slugs(plane, "user_b") == everybody
    assert await slugs(plane, "user_a") == [*everybody, "tenant/a/own"]
    assert await slugs(plane, "super") == ["acme/chat", "acme/granted", "made/chat", "tenant/a/own"]
    for slug in ("tenant/a/own", "acme/granted", "no/such"):
        assert (await plane.get(f"{PATH}/{slug}", "user_b")).code == "MODEL_NOT_FOUND"


async def test_pages_and_sources(plane: ControlPlane) -> None:
    await plane.ask("PUT", f"{PATH}/made/chat", {"requests_per_minute": 5}, who="super")
    assert await slugs(plane, "super", "?source=own") == ["made/chat"]
    first = (await plane.get(f"{PATH}?limit=3", "super")).json
    rest = await slugs(plane, "super", f"?limit=3&cursor={first['pagination']['next_cursor']}")
    assert [*(item["scope_id"] for item in first["data"]["items"]), *rest] == await slugs(plane, "super")


@pytest.mark.parametrize("who", ["partner_one", "admin_a", "user_a"])
async def test_only_the_platform_sets_it(plane: ControlPlane, who: str) -> None:
    for slug in ("made/chat", "tenant/a/own"):
        for method, body in (("PUT", {"requests_per_minute": 5}), ("DELETE", None)):
            refused = await plane.ask(method, f"{PATH}/{slug}", body, who=who)
            assert (refused.status, refused.code) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_what_the_file_declares_is_read_only(plane: ControlPlane) -> None:
    answer = await plane.ask("PUT", f"{PATH}/acme/chat", {"requests_per_minute": 5}, who="super")
    assert (answer.status, answer.code) == (409, "MANAGED_BY_CONFIG")


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    path = f"{PATH}/made/chat"
    tag = (await plane.get(path, "super")).headers["etag"]
    body = {"requests_per_minute": 5}
    assert (await plane.ask("PUT", path, body, who="super", headers={"If-Match": tag})).status == 200
    late = await plane.ask("PUT", path, body, who="super", headers={"If-Match": tag})
    assert (late.status, late.code) == (412, "PRECONDITION_FAILED")


async def test_a_change_is_recorded_with_what_was_and_what_is(plane: ControlPlane) -> None:
    plane.kept.records.clear()
    await plane.ask("PUT", f"{PATH}/made/chat", {"requests_per_minute": 9}, who="super")
    await plane.ask("DELETE", f"{PATH}/made/chat", who="user_a")
    done, refused = plane.kept.audit
    assert (done.action, done.resource_type, done.status) == ("rate_limit.update", "rate_limit", "SUCCESS")
    assert done.resource_id == plane.services.current.snapshot.models["made/chat"].id
    assert b'"requests_per_minute":null' in bytes(done.before or b"")
    assert b'"requests_per_minute":9' in bytes(done.after or b"")
    assert (refused.action, refused.status) == ("rate_limit.delete", "FAILURE")
