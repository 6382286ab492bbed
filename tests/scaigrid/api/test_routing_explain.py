"""`POST /v1/routing/explain`: for oneself, and for the keys of those whom one manages; nothing is sent or taken."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from scaigrid.config import entities, routing
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import declared_id
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import Answer, ControlPlane, declared, model

pytestmark = pytest.mark.anyio

PATH = "/v1/routing/explain"
SECTIONS: dict[str, Any] = {
    "models": {
        "acme/chat": model("one", "two", context_window=8_000, max_output_tokens=500),
        "acme/embed": model(modality="embedding"),
        "acme/hidden": model(access="granted"),
        "acme/stood-in": entities.Model(
            unpriced="free",
            route=routing.Route(
                targets=(routing.RouteTarget(backend="one"),),
                fallbacks=routing.Fallbacks(context_too_long="acme/chat", content_refused="acme/hidden"),
            ),
        ),
    },
    "budgets": {"purse": entities.Budget(scope="tenant", of="a", period="monthly", request_limit=0)},
}


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    users = platform().keys
    keys = {**users, "narrow": declared("narrow", "user_a", models=("acme/embed",))}
    made = await ControlPlane(platform(**SECTIONS, keys=keys), url=database_url).open()
    yield made
    await made.close()


async def ask(plane: ControlPlane, who: str, **body: Any) -> Answer:
    return await plane.ask("POST", PATH, {"model": "acme/chat", **body}, who=who)


async def test_a_caller_asks_for_itself_in_every_dialect(plane: ControlPlane) -> None:
    for dialect, path in (
        ("native", "/v1/inference/chat"),
        ("openai", "/oai/v1/chat/completions"),
        ("anthropic", "/anthropic/v1/messages"),
    ):
        told = (await ask(plane, "user_b", dialect=dialect)).json["data"]
        assert (told["allowed"], told["refusal"], told["dialect"], told["path"]) == (True, None, dialect, path)
        assert {one["backend"] for one in told["route"]["targets"]} == {"one", "two"}
        assert sorted(one["rank"] for one in told["route"]["targets"]) == [1, 2]
    told = (await ask(plane, "user_b", model="acme/embed")).json["data"]
    assert (told["path"], told["operation"]) == ("/v1/inference/embed", "embed")
    assert plane.kept.usage == []


async def test_weights_are_for_those_who_see_routes_and_costs_for_the_operator(plane: ControlPlane) -> None:
    seen = {}
    for name in ("user_b", "admin_b", "super"):
        (first, _) = (await ask(plane, name)).json["data"]["route"]["targets"]
        seen[name] = sorted({"weight", "share", "cost"} & set(first))
    assert seen == {"user_b": [], "admin_b": ["share", "weight"], "super": ["cost", "share", "weight"]}


async def test_a_budget_that_refuses_is_named_and_its_numbers_are_for_who_sees_them(plane: ControlPlane) -> None:
    told = {name: (await ask(plane, name)).json["data"] for name in ("user_a", "admin_a")}
    for one in told.values():
        assert (one["refusal"]["code"], one["refusal"]["level"]) == ("BUDGET_EXCEEDED", "tenant")
    (hidden,) = [one for one in told["user_a"]["limits"] if one["name"] == "purse"]
    (shown,) = [one for one in told["admin_a"]["limits"] if one["name"] == "purse"]
    assert (hidden["refuses"], hidden["limit"], hidden["left"]) == (True, None, None)
    assert (shown["refuses"], shown["limit"], shown["left"], shown["asked"]) == (True, "0", "0", "1")


async def test_an_administrator_asks_for_the_keys_that_it_reaches(plane: ControlPlane) -> None:
    key_id = declared_id("apikey", "narrow")
    for name in ("admin_a", "partner_one", "super", "user_a"):
        answer = await ask(plane, name, key_id=key_id)
        assert (name, answer.status) == (name, 200)
        told = answer.json["data"]
        assert (told["key_id"], told["user_id"]) == (key_id, declared_id("user", "user_a"))
        assert "MODEL_ACCESS_DENIED" in [one["code"] for one in told["refusals"]]
    for name in ("admin_b", "partner_two"):
        assert (await ask(plane, name, key_id=key_id)).status == 404
    assert (await ask(plane, "user_b", key_id=key_id)).code == "AUTHZ_PERMISSION_DENIED"


async def test_what_a_caller_may_not_see_does_not_exist(plane: ControlPlane) -> None:
    for slug in ("acme/hidden", "acme/none"):
        answer = await ask(plane, "user_b", model=slug)
        assert (answer.status, answer.code, answer.details) == (
            404,
            "MODEL_NOT_FOUND",
            {"model": "there is no such model"},
        )
    assert (await ask(plane, "super", model="acme/hidden")).status == 200


async def test_a_model_that_one_may_not_see_is_not_named_as_the_one_that_stands_in(plane: ControlPlane) -> None:
    told = {name: (await ask(plane, name, model="acme/stood-in")).json["data"] for name in ("user_b", "super")}
    assert told["user_b"]["route"]["fallbacks"] == {"context_too_long": "acme/chat", "content_refused": None}
    assert told["super"]["route"]["fallbacks"] == {"context_too_long": "acme/chat", "content_refused": "acme/hidden"}
    (seen,) = told["user_b"]["stand_ins"]
    assert (seen["model"], seen["because"], seen["allowed"], seen["refusals"]) == (
        "acme/chat",
        "context_too_long",
        True,
        [],
    )
    # The super admin's own tenant has a budget that has no room for any model.
    assert [(one["model"], [why["code"] for why in one["refusals"]]) for one in told["super"]["stand_ins"]] == [
        ("acme/chat", ["BUDGET_EXCEEDED"]),
        ("acme/hidden", ["BUDGET_EXCEEDED"]),
    ]


async def test_a_body_is_judged_as_it_would_be_sent(plane: ControlPlane) -> None:
    message = {"role": "user", "content": "Hi"}
    told = (await ask(plane, "user_b", request={"messages": [message], "stream": True})).json["data"]
    assert (told["allowed"], told["stream"]) == (True, True)
    told = (await ask(plane, "user_b", request={"messages": [message], "made_up": 1})).json["data"]
    assert (told["refusal"]["code"], told["route"]) == ("VALIDATION_ERROR", None)
    assert [detail["field"] for detail in told["refusal"]["details"]] == ["made_up"]
    told = (await ask(plane, "user_b", path="/v1/inference/embed")).json["data"]
    assert told["refusal"]["code"] == "UNSUPPORTED_BY_MODEL"


async def test_a_question_that_makes_no_sense_is_refused(plane: ControlPlane) -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"path": "/v1/models"}, "path"),
        ({"model": "acme/embed", "dialect": "anthropic"}, "dialect"),
        ({"request": {"model": "acme/other"}}, "request.model"),
    ]
    for body, field in asked:
        answer = await ask(plane, "user_b", **body)
        assert (answer.code, list(answer.details)) == ("VALIDATION_ERROR", [field])


async def test_who_asks_for_itself_needs_no_database(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(plane.control, "refresh", away)
    assert (await ask(plane, "user_b")).json["data"]["allowed"] is True
    assert (await ask(plane, "admin_a", key_id=declared_id("apikey", "narrow"))).code == "STORE_UNAVAILABLE"
