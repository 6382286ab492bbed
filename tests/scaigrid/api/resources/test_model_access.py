"""Grants of models: within one's reach, and never of what is hidden from whoever grants."""

from typing import Any

import pytest

from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import id_of, made, model, slugs, told


def to(plane: ControlPlane, subject: str, name: str) -> dict[str, Any]:
    return {"subject_type": subject, "subject_id": id_of(plane, subject, name)}


async def test_a_grant_shows_the_model_to_whoever_got_it_and_to_nobody_else(plane: ControlPlane) -> None:
    await model(plane, "secret", access="granted")
    assert await slugs(plane, "super") == ["secret"]
    everybody = ("partner_one", "admin_a", "user_a", "user_b", "user_c")
    for subject, name, seeing in (
        ("user", "user_a", {"user_a"}),
        ("tenant", "a", {"partner_one", "admin_a", "user_a"}),  # partner_one belongs to tenant a
        ("partner", "one", {"partner_one", "admin_a", "user_a", "user_b"}),
    ):
        answer = await plane.ask(
            "POST", "/v1/model-access", {**to(plane, subject, name), "model": "secret"}, who="super"
        )
        assert answer.status == 201
        grant = answer.json["data"]
        assert (grant["model"], grant["model_group_id"], grant["subject_type"]) == ("secret", None, subject)
        for who in everybody:
            assert await slugs(plane, who) == (["secret"] if who in seeing else []), (subject, who)
            assert [one["id"] for one in (await plane.get("/oai/v1/models", who)).json["data"]] == await slugs(
                plane, who
            )
        assert (await plane.ask("DELETE", f"/v1/model-access/{grant['id']}", who="super")).status == 204
        assert await slugs(plane, "user_a") == []


async def test_a_group_of_users_gets_a_group_of_models(plane: ControlPlane) -> None:
    await model(plane, "secret", access="granted")
    team = await made(plane, "/v1/groups", {"name": "team", "user_ids": [id_of(plane, "user", "user_a")]}, "admin_a")
    models = await made(plane, "/v1/model-groups", {"name": "g", "scope": "global", "models": ["secret"]})
    body = {"subject_type": "group", "subject_id": team["id"], "model_group_id": models["id"]}
    grant = await made(plane, "/v1/model-access", body)
    assert (grant["model"], grant["model_group_id"]) == (None, models["id"])
    assert await slugs(plane, "user_a") == ["secret"]
    await plane.ask("PATCH", f"/v1/model-groups/{models['id']}", {"models": []}, who="super")
    assert await slugs(plane, "user_a") == []
    refused = await plane.ask("DELETE", f"/v1/model-groups/{models['id']}", who="super")
    assert (*told(refused), grant["id"] in refused.details["model_access"]) == (409, "CONFLICT", True)


async def test_what_was_granted_is_granted_once(plane: ControlPlane) -> None:
    found = await model(plane, "secret", access="granted")
    body = {**to(plane, "user", "user_a"), "model": "secret"}
    await made(plane, "/v1/model-access", body)
    for again in (body, {**body, "model": found["id"]}):
        assert told(await plane.ask("POST", "/v1/model-access", again, who="super")) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("who", "subject", "status"),
    [
        ("super", ("partner", "two"), 201),
        ("super", ("tenant", "c"), 201),
        ("partner_one", ("partner", "one"), 403),
        ("partner_one", ("tenant", "b"), 201),
        ("partner_one", ("user", "user_b"), 201),
        ("partner_one", ("tenant", "c"), 404),
        ("partner_one", ("user", "user_c"), 404),
        ("admin_a", ("partner", "one"), 404),
        ("admin_a", ("tenant", "a"), 403),
        ("admin_a", ("user", "user_a"), 201),
        ("admin_a", ("user", "user_b"), 404),
        ("user_a", ("user", "user_a"), 403),
    ],
)
async def test_one_grants_within_ones_reach(
    plane: ControlPlane, who: str, subject: tuple[str, str], status: int
) -> None:
    await model(plane, "secret", access="granted")
    if who != "super":
        await made(plane, "/v1/model-access", {**to(plane, "user", who), "model": "secret"})
    if subject == ("user", who):
        subject = ("user", "viewer_a")
    answer = await plane.ask("POST", "/v1/model-access", {**to(plane, *subject), "model": "secret"}, who=who)
    assert answer.status == status
    if status == 404:
        assert list(answer.details) == ["subject_id"]


async def test_nobody_grants_what_is_hidden_from_them(plane: ControlPlane) -> None:
    await model(plane, "secret", access="granted")
    await model(plane, "tenant/b/x")
    group = await made(plane, "/v1/model-groups", {"name": "g", "scope": "global", "models": ["secret"]})
    own = await made(plane, "/v1/model-groups", {"name": "of-b", "scope": "tenant"}, "admin_b")
    body = to(plane, "user", "user_a")
    for hidden in ("secret", "tenant/b/x", "nowhere"):
        refused = await plane.ask("POST", "/v1/model-access", {**body, "model": hidden}, who="admin_a")
        assert (*told(refused), list(refused.details)) == (404, "MODEL_NOT_FOUND", ["model"])
    for hidden in (own["id"], "modelgroup_x"):
        refused = await plane.ask("POST", "/v1/model-access", {**body, "model_group_id": hidden}, who="admin_a")
        assert (*told(refused), list(refused.details)) == (404, "NOT_FOUND", ["model_group_id"])
    within = await plane.ask("POST", "/v1/model-access", {**body, "model_group_id": group["id"]}, who="admin_a")
    assert told(within) == (403, "AUTHZ_PERMISSION_DENIED")
    assert await slugs(plane, "user_a") == []


async def test_a_model_of_somebodys_own_is_granted_within_them_alone(plane: ControlPlane) -> None:
    await model(plane, "tenant/a/x", access="granted")
    await model(plane, "partner/one/x", access="granted")
    for slug, subject in (("tenant/a/x", ("user", "user_b")), ("partner/one/x", ("tenant", "c"))):
        refused = await plane.ask("POST", "/v1/model-access", {**to(plane, *subject), "model": slug}, who="super")
        assert (refused.status, list(refused.details)) == (422, ["model"])
    await made(plane, "/v1/model-access", {**to(plane, "user", "user_a"), "model": "tenant/a/x"}, "admin_a")
    await made(plane, "/v1/model-access", {**to(plane, "tenant", "b"), "model": "partner/one/x"}, "partner_one")
    assert await slugs(plane, "user_a") == ["tenant/a/x"]
    assert await slugs(plane, "user_b") == ["partner/one/x"]


@pytest.mark.parametrize("body", [{}, {"model": "one", "model_group_id": "modelgroup_x"}])
async def test_either_a_model_or_a_group_is_granted(plane: ControlPlane, body: dict[str, str]) -> None:
    await model(plane, "one")
    refused = await plane.ask("POST", "/v1/model-access", {**to(plane, "user", "user_a"), **body}, who="super")
    assert (refused.status, list(refused.details)) == (422, ["model"])


async def test_one_sees_the_grants_within_ones_reach_and_takes_back_what_one_could_give(plane: ControlPlane) -> None:
    await model(plane, "one", access="granted")
    await model(plane, "two", access="granted")
    grants = {
        name: await made(plane, "/v1/model-access", {**to(plane, *subject), "model": slug})
        for name, subject, slug in (
            ("a", ("tenant", "a"), "one"),
            ("user_a", ("user", "user_a"), "one"),
            ("unseen", ("user", "user_a"), "two"),
            ("user_b", ("user", "user_b"), "one"),
            ("c", ("tenant", "c"), "one"),
        )
    }

    async def seen(who: str, query: str = "") -> set[str]:
        items = (await plane.get(f"/v1/model-access{query}", who)).json["data"]["items"]
        return {name for name, grant in grants.items() if grant["id"] in {item["id"] for item in items}}

    assert await seen("super") == set(grants)
    assert await seen("super", "?model=two") == {"unseen"}
    assert await seen("super", f"?subject_id={id_of(plane, 'tenant', 'c')}") == {"c"}
    assert await seen("partner_one") == {"a", "user_a", "user_b"}
    assert await seen("admin_a") == {"a", "user_a"}

    async def taken(who: str, name: str) -> int:
        return (await plane.ask("DELETE", f"/v1/model-access/{grants[name]['id']}", who=who)).status

    assert [await taken("admin_a", name) for name in ("c", "unseen", "a", "user_a")] == [404, 404, 403, 204]
    assert [await taken("partner_one", name) for name in ("c", "a")] == [404, 204]


async def test_a_grant_is_given_and_taken_and_never_changed(plane: ControlPlane) -> None:
    await model(plane, "one", access="granted")
    grant = await made(plane, "/v1/model-access", {**to(plane, "user", "user_a"), "model": "one"})
    path = f"/v1/model-access/{grant['id']}"
    assert (await plane.get(path, "super")).json["data"] == grant
    for method in ("PUT", "PATCH"):
        assert told(await plane.ask(method, path, {}, who="super")) == (405, "METHOD_NOT_ALLOWED")
