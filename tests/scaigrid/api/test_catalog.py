import msgspec
import pytest

from scaigrid.api.catalog import Condition, condition, find, visible
from scaigrid.config import entities
from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.health import FAILURES_TO_OPEN, OPEN_SECONDS
from tests.scaigrid.api.control_plane import ControlPlane, config, declared, key_digest, model

SLUGS = ("b/x", "B", "a", "b")


def plane(*allowed: str) -> ControlPlane:
    keys = {"ada": declared("ada", "ada", models=allowed or None)}
    return ControlPlane(config(keys=keys, models={slug: model("one", "two") for slug in SLUGS}))


def exchange(services_of: ControlPlane) -> Exchange:
    snapshot = services_of.services.current.snapshot
    return Exchange(
        request_id="req_1",
        method="GET",
        path="/v1/models",
        dialect=services_of.services.dialect_of("/v1/models"),
        snapshot=snapshot,
        principal=snapshot.keys[key_digest("ada")],
        started=0.0,
        started_at=0.0,
    )


def test_models_are_sorted_by_slug() -> None:
    assert [one.slug for one in visible(exchange(plane()))] == ["B", "a", "b", "b/x"]


def test_a_key_with_a_list_sees_that_list() -> None:
    assert [one.slug for one in visible(exchange(plane("b/x", "a")))] == ["a", "b/x"]


@pytest.mark.parametrize("slug", ["b", "nowhere", "", "A"])
def test_what_a_key_may_not_see_is_not_there(slug: str) -> None:
    """The same refusal, word for word, as for what does not exist."""
    with pytest.raises(GatewayError) as caught:
        find(exchange(plane("b/x", "a")), slug)
    assert (caught.value.code, caught.value.message) == (Code.MODEL_NOT_FOUND, "There is no such model.")


def test_a_model_is_found_by_its_id_too_and_an_id_comes_first() -> None:
    made = plane()
    snapshot = made.services.current.snapshot
    id_ = snapshot.models["b"].id
    assert find(exchange(made), id_).slug == "b"
    twin = {**snapshot.models, id_: snapshot.models["a"]}
    made.services.current.snapshot = msgspec.structs.replace(snapshot, models=twin)
    assert find(exchange(made), id_).slug == "b"
    with pytest.raises(GatewayError):
        find(exchange(plane("a")), id_)


def test_what_is_hidden_is_not_there() -> None:
    made = ControlPlane(
        config(
            tenants={"default": entities.Tenant(), "other": entities.Tenant()},
            models={"open": model(), "secret": model(access="granted"), "tenant/other/x": model()},
        )
    )
    assert [one.slug for one in visible(exchange(made))] == ["open"]
    for slug in ("secret", "tenant/other/x", made.services.current.snapshot.models["secret"].id):
        with pytest.raises(GatewayError) as caught:
            find(exchange(made), slug)
        assert caught.value.code is Code.MODEL_NOT_FOUND


def test_what_a_key_may_see_is_found() -> None:
    assert find(exchange(plane("b/x")), "b/x").slug == "b/x"


def failed(services_of: ControlPlane, backend: Backend, times: int) -> None:
    health, clock = services_of.services.health, services_of.clock
    for _ in range(times):
        health.began(backend, clock.monotonic())
        health.ended(backend, GatewayError(Code.BACKEND_ERROR), clock.monotonic())


def state(services_of: ControlPlane) -> Condition:
    found = services_of.services.current.snapshot.models["a"]
    return condition(found, services_of.services.health, services_of.clock.monotonic())


def test_a_model_is_as_healthy_as_what_it_is_left_with() -> None:
    made = plane()
    one, two = made.services.current.snapshot.backends
    assert state(made) == Condition("healthy", 2, 2)
    failed(made, one, 1)
    assert state(made) == Condition("degraded", 2, 2)
    failed(made, one, FAILURES_TO_OPEN)
    assert state(made) == Condition("degraded", 1, 2)
    failed(made, two, FAILURES_TO_OPEN)
    assert state(made) == Condition("unavailable", 0, 2)
    made.clock.advance(OPEN_SECONDS)
    made.services.health.began(one, made.clock.monotonic())
    made.services.health.ended(one, None, made.clock.monotonic())
    assert state(made) == Condition("degraded", 1, 2)


def test_a_backend_on_two_tiers_counts_once() -> None:
    made = ControlPlane(config(models={"a": model("one", "one")}))
    assert state(made) == Condition("healthy", 1, 1)
