import pytest

from tests.scaigrid.api.control_plane import ControlPlane


async def test_a_process_that_answers_is_alive_whatever_else_is_wrong() -> None:
    answer = await ControlPlane(checks={"ledger": "gone"}).get("/health", None)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_ready_means_that_every_check_is_ok() -> None:
    answer = await ControlPlane(checks={"ledger": "ok", "store": "ok"}).get("/health/ready", None)
    assert (answer.status, answer.json) == (200, {"status": "ready", "checks": {"ledger": "ok", "store": "ok"}})


@pytest.mark.parametrize("reason", ["the disk is full", "", "OK"])
async def test_one_check_that_is_not_ok_is_enough_and_all_of_them_are_told(reason: str) -> None:
    answer = await ControlPlane(checks={"ledger": reason, "store": "ok"}).get("/health/ready", None)
    assert (answer.status, answer.json) == (
        503,
        {"status": "not_ready", "checks": {"ledger": reason, "store": "ok"}},
    )


async def test_readiness_is_asked_anew_each_time() -> None:
    plane = ControlPlane()
    assert (await plane.get("/health/ready", None)).status == 200
    plane.readiness.found = {"ledger": "gone"}
    assert (await plane.get("/health/ready", None)).status == 503


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_nothing_on_the_way_may_keep_the_answer(path: str) -> None:
    assert (await ControlPlane().get(path, None)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_a_probe_that_adds_parameters_is_answered(path: str) -> None:
    assert (await ControlPlane().get(f"{path}?source=balancer", None)).status == 200
