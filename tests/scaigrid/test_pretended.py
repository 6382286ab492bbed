"""A call that is not made meets what a real one meets, and leaves nothing behind."""

import json
from typing import Any

import msgspec
import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Reserved
from scaigrid.limiter import Take
from scaigrid.pretended import Asking, Pretended, pretended, room
from tests.harness.services import MODEL, Parts

PATH = "/v1/inference/chat"


def asking(parts: Parts, *, body: dict[str, Any] | None = None, **changes: Any) -> Asking:
    asked = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}]} if body is None else body
    given: dict[str, Any] = {
        "principal": parts.principal,
        "path": PATH,
        "body": json.dumps(asked).encode(),
        "model": parts.model,
    }
    return Asking(**{**given, **changes})


def codes(found: Pretended) -> list[Code]:
    return [error.code for error in found.refusals]


def poor(action: str = "block") -> Parts:
    budget = {"scope": "user", "of": "ann", "period": "daily", "cost_limit": "0.000000001", "hard_action": action}
    return Parts(budgets={"little": budget})


async def test_a_call_that_would_be_made_has_its_backends_in_order_and_its_bounds() -> None:
    found = await pretended(Parts().services, asking(Parts()))
    assert found.refusals == []
    assert found.route is not None
    assert [(target.backend.name, target.rank, target.tier) for target in found.route.targets] == [
        ("one", 1, 0),
        ("two", 2, 1),
    ]
    assert found.reserved is not None
    assert found.reserved.cost > 0


async def test_nothing_is_taken_and_nothing_recorded() -> None:
    parts = Parts(users={"ann": {"limits": {"requests_per_minute": 1, "tokens_per_minute": 90_000}}})
    for _ in range(3):
        assert (await pretended(parts.services, asking(parts))).refusals == []
    assert parts.kept.records == []
    assert set(await parts.taken()) == {(0, 0)}


async def test_what_a_limit_has_left_is_told_and_one_that_is_used_up_refuses() -> None:
    parts = Parts(users={"ann": {"limits": {"requests_per_minute": 2}}})
    bucket = next(take.bucket for take in parts.principal.windows if take.bucket.level == "user")
    for left, refusals in ((2, []), (1, []), (0, [Code.RATE_LIMITED])):
        found = await pretended(parts.services, asking(parts))
        (one,) = [each for each in found.asked if each.bucket.key == bucket.key]
        assert (room(one), one.refuses, codes(found)) == (left, left == 0, refusals)
        await parts.limiter.acquire([Take(bucket, 1)])


async def test_every_obstacle_is_told_the_first_one_first() -> None:
    parts = poor()
    lame = msgspec.structs.replace(parts.principal, permissions=frozenset[str](), models=frozenset({"acme/other"}))
    found = await pretended(parts.services, asking(parts, principal=lame))
    assert codes(found) == [Code.AUTHZ_PERMISSION_DENIED, Code.MODEL_ACCESS_DENIED]
    lame = msgspec.structs.replace(parts.principal, permissions=frozenset[str](), suspended=True, expires_at=1.0)
    found = await pretended(parts.services, asking(parts, principal=lame))
    assert codes(found) == [
        Code.SESSION_EXPIRED,
        Code.TENANT_SUSPENDED,
        Code.BUDGET_EXCEEDED,
        Code.AUTHZ_PERMISSION_DENIED,
    ]


@pytest.mark.parametrize(("action", "refusals"), [("block", [Code.BUDGET_EXCEEDED]), ("throttle", []), ("notify", [])])
async def test_a_budget_refuses_as_its_action_says(action: str, refusals: list[Code]) -> None:
    parts = poor(action)
    found = await pretended(parts.services, asking(parts))
    assert codes(found) == refusals
    (one,) = [each for each in found.asked if each.bucket.name == "little"]
    assert (one.limit, one.action) == (1, action)
    assert (await pretended(parts.services, asking(parts, budgets=False))).refusals == []


async def test_a_budget_that_throttles_refuses_once_its_calls_of_the_minute_are_gone() -> None:
    parts = poor("throttle")
    (fund,) = parts.principal.funds
    await parts.limiter.acquire([Take(fund.window, fund.throttle)])
    assert codes(await pretended(parts.services, asking(parts))) == [Code.RATE_LIMITED]


async def test_a_body_that_nobody_could_read_ends_it() -> None:
    found = await pretended(Parts().services, asking(Parts(), body={"model": "acme/chat", "messages": 1}))
    assert codes(found) == [Code.VALIDATION_ERROR]
    assert (found.call, found.route) == (None, None)


async def test_a_key_that_opens_nothing_is_told_as_such() -> None:
    assert codes(await pretended(Parts().services, asking(Parts(), principal=None))) == [Code.AUTH_TOKEN_INVALID]


async def test_a_backend_that_rests_is_left_out_with_the_reason() -> None:
    parts = Parts(models={"acme/chat": {**MODEL, "route": {**MODEL["route"], "when_unhealthy": "refuse"}}})
    found = await pretended(parts.services, asking(parts))
    for backend in parts.snapshot.backends:
        parts.health.began(backend, parts.clock.monotonic())
        error = GatewayError(Code.BACKEND_RATE_LIMITED, retry_after=9)
        parts.health.ended(backend, error, parts.clock.monotonic())
        found = await pretended(parts.services, asking(parts))
        assert found.route is not None
        (told,) = [target for target in found.route.targets if target.backend is backend]
        assert (told.rank, told.health) == (None, "unavailable")
        assert told.reason is not None
    assert codes(found) == [Code.MODEL_UNAVAILABLE]


def mixed(*kinds: str) -> Parts:
    """A model with one backend of each of these types of provider, in that order."""
    names = [f"b{number}" for number in range(len(kinds))]
    targets = [{"backend": name, "priority": place} for place, name in enumerate(names)]
    return Parts(
        providers={
            name: {"type": kind, "base_url": "http://b.invalid/v1", "api_key": "k"}
            for name, kind in zip(names, kinds, strict=True)
        },
        backends={name: {"provider": name, "model": "m"} for name in names},
        models={"acme/chat": {**MODEL, "route": {"targets": targets}}},
    )


async def test_a_backend_that_has_no_word_for_the_call_is_gone_past() -> None:
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    parts = mixed("anthropic", "openai")
    found = await pretended(parts.services, asking(parts, body=body))
    assert found.refusals == []
    assert found.route is not None
    assert [(one.backend.name, one.rank) for one in found.route.targets] == [("b1", 1), ("b0", None)]
    assert "n has no counterpart" in str(found.route.targets[1].reason)


async def test_a_call_that_no_backend_has_words_for_is_refused_as_it_would_be() -> None:
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    parts = mixed("anthropic", "anthropic")
    found = await pretended(parts.services, asking(parts, body=body))
    assert [(error.code, [one.field for one in error.details]) for error in found.refusals] == [
        (Code.UNSUPPORTED_BY_MODEL, ["n"])
    ]


@pytest.mark.parametrize(("said", "refusals"), [("deny", [Code.STORE_UNAVAILABLE]), ("allow", [])])
async def test_while_the_counters_are_away_it_is_as_each_limit_says(
    said: str, refusals: list[Code], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(users={"ann": {"limits": {"requests_per_minute": 2}}})
    principal = msgspec.structs.replace(
        parts.principal,
        windows=tuple(
            Take(msgspec.structs.replace(take.bucket, on_store_failure=said), take.amount)
            for take in parts.principal.windows
        ),
    )

    async def away(_: object) -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(parts.limiter, "spent", away)
    found = await pretended(parts.services, asking(parts, principal=principal))
    assert codes(found) == refusals
    assert {one.used for one in found.asked} == {None}


def standing_in(others: dict[str, Any], **sections: Any) -> Parts:
    """`acme/chat` names `long` for what is too long, and `open` for what is refused."""
    fallbacks = {"context_too_long": "long", "content_refused": "open"}
    own = {**MODEL, "route": {**MODEL["route"], "fallbacks": fallbacks}}
    models = {"acme/chat": own, "long": MODEL, "open": MODEL, **others}
    return Parts(models=models, **sections)


async def test_both_models_that_stand_in_are_told_with_what_they_would_cost() -> None:
    dear = {**MODEL, "prices": {"input": 30, "output": 150}}
    parts = standing_in({"long": dear}, users={"ann": {"limits": {"requests_per_minute": 1}}})
    found = await pretended(parts.services, asking(parts))
    assert [(one.because, one.model, codes(one.found)) for one in found.instead] == [
        ("context_too_long", "long", []),
        ("content_refused", "open", []),
    ]
    long, same = [one.found.reserved for one in found.instead]
    assert found.reserved is not None
    assert (long, same) == (Reserved(found.reserved.tokens, found.reserved.cost * 10), found.reserved)
    assert not (await pretended(parts.services, asking(Parts()))).instead
    assert set(await parts.taken()) == {(0, 0)}


async def test_the_request_is_not_counted_again_for_the_model_that_stands_in() -> None:
    parts = standing_in({}, users={"ann": {"limits": {"requests_per_minute": 5}}})
    found = await pretended(parts.services, asking(parts))
    assert "user" in {one.bucket.level for one in found.asked if one.bucket.kind == "requests"}
    for one in found.instead:
        assert [each for each in one.found.asked if each.bucket.kind == "requests"] == []


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({**MODEL, "status": "disabled"}, Code.MODEL_UNAVAILABLE),
        ({**MODEL, "prices": None, "unpriced": "refuse"}, Code.MODEL_UNAVAILABLE),
    ],
)
async def test_a_model_that_cannot_stand_in_is_told_with_the_reason(other: dict[str, Any], code: Code) -> None:
    parts = standing_in({"long": {name: value for name, value in other.items() if value is not None}})
    found = await pretended(parts.services, asking(parts))
    assert (codes(found), [codes(one.found) for one in found.instead]) == ([], [[code], []])


async def test_who_may_not_use_the_model_or_cannot_pay_it_hears_so() -> None:
    budget = {"scope": "user", "of": "ann", "period": "daily", "cost_limit": "0.05"}
    parts = standing_in({"open": {**MODEL, "prices": {"input": 30, "output": 150}}}, budgets={"little": budget})
    confined = msgspec.structs.replace(parts.principal, models=frozenset({"acme/chat", "open"}))
    found = await pretended(parts.services, asking(parts, principal=confined))
    assert (codes(found), [codes(one.found) for one in found.instead]) == (
        [],
        [[Code.MODEL_ACCESS_DENIED], [Code.BUDGET_EXCEEDED]],
    )


async def test_a_count_of_tokens_is_put_to_no_other_model() -> None:
    parts = standing_in({})
    found = await pretended(parts.services, asking(parts, path="/anthropic/v1/messages/count_tokens"))
    assert found.call is not None
    assert found.call.operation == "count_tokens"
    assert [codes(one.found) for one in found.instead] == [[Code.UNSUPPORTED_BY_MODEL]] * 2
