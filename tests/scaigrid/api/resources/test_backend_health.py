"""A backend's health as this worker has seen it."""

from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN, OPEN_SECONDS
from scaigrid.timestamps import iso
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, id_of, told


async def test_a_backend_that_was_never_called_is_well(plane: ControlPlane) -> None:
    found = await backend(plane)
    answer = await plane.get(f"/v1/backends/{found['id']}/health", "super")
    assert answer.json["data"] == {
        "id": found["id"],
        "status": "healthy",
        "breaker": "closed",
        "opens_again_at": None,
        "inflight_requests": 0,
        "waiting_requests": 0,
        "failures_in_a_row": 0,
        "last_error": None,
        "last_error_at": None,
        "first_token_ms": None,
        "answer_ms": None,
    }


async def test_failures_open_the_breaker_and_the_last_of_them_is_told(plane: ControlPlane) -> None:
    id_ = (await backend(plane))["id"]
    (there,) = [one for one in plane.services.current.snapshot.backends if one.id == id_]
    health, clock = plane.services.health, plane.clock
    failed_at = clock.now()
    for _ in range(FAILURES_TO_OPEN):
        health.began(there, clock.monotonic())
        health.ended(there, GatewayError(Code.BACKEND_TIMEOUT), clock.monotonic())
    clock.advance(1)
    told_now = (await plane.get(f"/v1/backends/{id_}/health", "super")).json["data"]
    assert (told_now["status"], told_now["breaker"]) == ("unavailable", "open")
    assert (told_now["last_error"], told_now["failures_in_a_row"]) == ("BACKEND_TIMEOUT", FAILURES_TO_OPEN)
    assert told_now["last_error_at"] == iso(failed_at)
    assert told_now["opens_again_at"] == iso(failed_at + OPEN_SECONDS)
    clock.advance(OPEN_SECONDS)
    health.began(there, clock.monotonic())
    told_now = (await plane.get(f"/v1/backends/{id_}/health", "super")).json["data"]
    assert (told_now["breaker"], told_now["opens_again_at"], told_now["inflight_requests"]) == ("half_open", None, 1)
    health.ended(there, None, clock.monotonic())
    told_now = (await plane.get(f"/v1/backends/{id_}/health", "super")).json["data"]
    assert (told_now["status"], told_now["breaker"], told_now["failures_in_a_row"]) == ("healthy", "closed", 0)


async def test_how_soon_its_answers_begin_is_told_of_streams_and_of_plain_answers_apart(plane: ControlPlane) -> None:
    id_ = (await backend(plane))["id"]
    (there,) = [one for one in plane.services.current.snapshot.backends if one.id == id_]
    for first_byte, stream in ((0.25, True), (4.0, False)):
        plane.services.health.began(there, plane.clock.monotonic())
        plane.services.health.ended(there, None, plane.clock.monotonic(), first_byte, stream=stream)
    found = (await plane.get(f"/v1/backends/{id_}/health", "super")).json["data"]
    assert (found["first_token_ms"], found["answer_ms"]) == (250.0, 4000.0)


async def test_whoever_got_the_backend_sees_how_it_is(plane: ControlPlane) -> None:
    id_ = (await backend(plane, granted_to=[id_of(plane, "tenant", "a")]))["id"]
    for who in ("admin_a", "partner_one"):
        assert (await plane.get(f"/v1/backends/{id_}/health", who)).status == 200
    assert told(await plane.get(f"/v1/backends/{id_}/health", "admin_b")) == (404, "BACKEND_NOT_FOUND")
    assert told(await plane.get(f"/v1/backends/{id_}/health", "user_a")) == (403, "AUTHZ_PERMISSION_DENIED")
