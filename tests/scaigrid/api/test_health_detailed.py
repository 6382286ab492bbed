"""What the gateway tells those who operate it."""

import os
from typing import Any

import pytest

import scaigrid
from scaigrid.config.schema import Health
from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN
from scaigrid.timestamps import iso
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import model, told

VERSION = scaigrid.__version__
"""Read from the disk here, where no loop runs."""


async def test_it_tells_what_runs_here_and_how_it_is(plane: ControlPlane) -> None:
    before = plane.control.state.epoch
    changed = plane.clock.now()
    await model(plane)
    plane.clock.advance(90.5)
    answer = await plane.get("/health/detailed", "super")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    data: dict[str, Any] = answer.json
    assert data == {
        "status": "ok",
        "version": VERSION,
        "uptime_seconds": 90.5,
        "pid": os.getpid(),
        "workers": 1,
        "epoch": before + 1,
        "config_hash": plane.control.config_hash,
        "changed_at": iso(changed),
        "models": 1,
        "checks": {"ledger": "ok"},
        "database": {"kind": plane.store.kind, "status": "ok", "epoch": before + 1},
        "store": {"type": "memory", "status": "ok"},
        "backends": {"healthy": 2, "degraded": 0, "unavailable": 0},
    }
    assert data["config_hash"]


async def test_a_backend_that_is_not_well_is_counted(plane: ControlPlane) -> None:
    one, _two = plane.services.current.snapshot.backends
    for times, counts in (
        (1, {"healthy": 1, "degraded": 1, "unavailable": 0}),
        (FAILURES_TO_OPEN, {"healthy": 1, "degraded": 0, "unavailable": 1}),
    ):
        for _ in range(times):
            plane.services.health.began(one, plane.clock.monotonic())
            plane.services.health.ended(one, GatewayError(Code.BACKEND_ERROR), plane.clock.monotonic())
        answer = await plane.get("/health/detailed", "super")
        assert (answer.status, answer.json["status"], answer.json["backends"]) == (200, "degraded", counts)


async def test_what_calls_need_and_do_not_have_is_503(plane: ControlPlane) -> None:
    plane.readiness.found = {"ledger": "the journal cannot be written", "store": "it is away"}
    answer = await plane.get("/health/detailed", "super")
    assert (answer.status, answer.json["status"]) == (503, "not_ready")
    assert answer.json["checks"]["ledger"] == "the journal cannot be written"
    assert answer.json["store"]["status"] == "it is away"


async def test_a_database_that_is_away_is_told_of(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> int:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(plane.store, "epoch", away)
    answer = await plane.get("/health/detailed", "super")
    assert (answer.status, answer.json["status"]) == (503, "not_ready")
    assert answer.json["database"] == {"kind": plane.store.kind, "status": "it cannot be reached", "epoch": None}


@pytest.mark.parametrize("who", ["partner_one", "admin_a", "user_a"])
async def test_it_is_for_those_who_run_the_platform(plane: ControlPlane, who: str) -> None:
    assert told(await plane.get("/health/detailed", who)) == (403, "AUTHZ_PERMISSION_DENIED")
    assert told(await plane.get("/health/detailed", None)) == (401, "AUTH_TOKEN_MISSING")


async def test_the_configuration_opens_it_to_everybody_or_closes_it(database_url: str) -> None:
    for health, who, status in (
        (Health(keyless=True), None, 200),
        (Health(keyless=True), "user_a", 200),
        (Health(keyless=True, detailed=False), None, 401),
        (Health(detailed=False), "super", 404),
    ):
        plane = await ControlPlane(platform(health=health), url=database_url).open()
        assert (await plane.get("/health/detailed", who)).status == status, health
        assert (await plane.get("/health/detailed/", None)).status == 401
        await plane.close()


async def test_it_takes_no_parameters(plane: ControlPlane) -> None:
    answer = await plane.get("/health/detailed?x=1", "super")
    assert (answer.status, answer.details) == (422, {"x": "is not a known parameter"})
