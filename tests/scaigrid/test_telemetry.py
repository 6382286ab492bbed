import asyncio
import errno
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from scaigrid.shared_metrics import Reading, Shared
from scaigrid.telemetry import CONTENT_TYPE, Telemetry
from tests.harness.gateway import Metrics

PUBLISHED = {
    "scaigrid_requests_total": {"model", "status", "protocol"},
    "scaigrid_request_duration_seconds_count": {"model", "backend"},
    "scaigrid_tokens_total": {"model", "direction", "tenant_id"},
    "scaigrid_time_to_first_token_seconds_count": {"model"},
    "scaigrid_backend_health": {"backend_id"},
    "scaigrid_backend_inflight_requests": {"backend_id"},
    "scaigrid_circuit_breaker_state": {"backend_id"},
}
"""Names and labels that dashboards were made for (contract, section 10)."""


@pytest.fixture
def telemetry() -> Telemetry:
    """With one sample of each published metric."""
    made = Telemetry()
    made.answered("m", 200, "openai")
    made.took("m", "be_1", 0.5)
    made.used("m", "tenant_1", 8, 2)
    made.first_token_after("m", 0.25)
    made.backend_health.labels("be_1").set(1)
    made.breaker.labels("be_1").set(0)
    made.on_inflight(lambda: {"be_1": 3})
    return made


async def metrics(telemetry: Telemetry) -> Metrics:
    return Metrics((await telemetry.render()).decode())


async def test_the_published_metrics_have_their_names_and_labels(telemetry: Telemetry) -> None:
    found = await metrics(telemetry)
    assert {name: next(found.labels(name)).keys() for name in PUBLISHED} == PUBLISHED


async def test_every_name_is_ours_and_every_metric_has_a_text(telemetry: Telemetry) -> None:
    text = (await metrics(telemetry)).text
    named = [line.split(" ", 3) for line in text.splitlines() if line.startswith("# HELP ")]
    assert named
    assert [line for line in named if not line[2].startswith("scaigrid_") or not line[3]] == []


async def test_what_happened_is_added_up(telemetry: Telemetry) -> None:
    telemetry.answered("m", 200, "openai")
    telemetry.answered("m", 429, "openai")
    telemetry.answered("m", 200, "native")
    telemetry.used("m", "tenant_1", 1, 1)
    telemetry.used("m", "tenant_2", 100, 0)
    telemetry.took("m", "be_1", 1.5)
    telemetry.first_token_after("m", 0.75)
    found = await metrics(telemetry)
    assert found.value("scaigrid_requests_total", status="200", protocol="openai") == 2
    assert found.value("scaigrid_requests_total") == 4
    assert found.value("scaigrid_tokens_total", direction="input", tenant_id="tenant_1") == 9
    assert found.value("scaigrid_tokens_total", direction="output", tenant_id="tenant_1") == 3
    assert found.value("scaigrid_tokens_total", tenant_id="tenant_2") == 100
    assert found.value("scaigrid_request_duration_seconds_sum", model="m", backend="be_1") == 2.0
    assert found.value("scaigrid_time_to_first_token_seconds_sum", model="m") == 1.0


async def test_a_reading_at_the_time_of_the_scrape_is_the_present_one() -> None:
    telemetry = Telemetry()
    now = {"be_1": 1}
    telemetry.on_inflight(lambda: now)
    assert (await metrics(telemetry)).value("scaigrid_backend_inflight_requests") == 1
    now["be_1"], now["be_2"] = 0, 7
    found = await metrics(telemetry)
    assert found.value("scaigrid_backend_inflight_requests", backend_id="be_1") == 0
    assert found.value("scaigrid_backend_inflight_requests", backend_id="be_2") == 7


async def test_what_has_to_be_asked_is_asked_ahead_of_each_scrape() -> None:
    telemetry = Telemetry()
    asked: list[float] = []

    async def ask() -> None:
        asked.append(float(len(asked) + 1))

    telemetry.on_scrape("scaigrid_asked", "How often.", (), lambda: [((), asked[-1])])
    telemetry.before_scrape(ask)
    assert (await metrics(telemetry)).value("scaigrid_asked") == 1
    assert (await metrics(telemetry)).value("scaigrid_asked") == 2


async def test_units_that_were_taken_are_told_by_level() -> None:
    telemetry = Telemetry()
    telemetry.taken["budget", "user", "cost"] = 270_000
    found = await metrics(telemetry)
    assert found.value("scaigrid_taken_total", of="budget", level="user", kind="cost") == 270_000
    assert "# TYPE scaigrid_taken_total counter" in found.text


async def test_whoever_is_alone_has_nobody_to_tell() -> None:
    async def sleep(_: float) -> None:
        raise AssertionError("it goes on")

    await Telemetry().share(sleep)


async def test_two_workers_of_one_process_share_no_registry() -> None:
    one, other = Telemetry(), Telemetry()
    one.answered("m", 200, "native")
    assert (await metrics(other)).value("scaigrid_requests_total") == 0


async def test_the_text_is_what_it_says_it_is(telemetry: Telemetry) -> None:
    assert CONTENT_TYPE == b"text/plain; version=0.0.4; charset=utf-8"
    text = (await metrics(telemetry)).text
    assert text.endswith("\n")
    assert "_created" not in text


async def test_a_disk_that_is_full_for_a_while_ends_nothing() -> None:
    told: list[int] = []

    def tell(readings: Sequence[Reading]) -> None:
        told.append(len(told))
        if len(told) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def sleep(_: float) -> None:
        if len(told) == 2:
            raise asyncio.CancelledError

    telemetry = Telemetry(cast("Shared", SimpleNamespace(tell=tell)))
    with pytest.raises(asyncio.CancelledError):
        await telemetry.share(sleep)
    assert told == [0, 1]
