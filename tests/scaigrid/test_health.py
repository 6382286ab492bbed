from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from scaigrid.config.routing import Breaker
from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN, LONGEST_OPEN_SECONDS, OPEN_SECONDS, Health, Report
from scaigrid.latency import FADES
from tests.harness.services import Parts

FAULTS = (Code.BACKEND_ERROR, Code.BACKEND_TIMEOUT, Code.BACKEND_RATE_LIMITED, Code.UPSTREAM_SHAPE_MISMATCH)
NOT_ITS_FAULT = [code for code in Code if code not in FAULTS]


class Story:
    """One backend, and what happened to it, told in the order in which it happened."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.backend = self.parts.snapshot.backends[0]
        self.now = 1000.0

    @property
    def health(self) -> Health:
        return self.parts.health

    def breaks(self, **settings: Any) -> None:
        """Its breaker's settings."""
        self.backend = msgspec.structs.replace(self.backend, breaker=Breaker(**settings))

    def begin(self) -> None:
        self.health.began(self.backend, self.now)

    def end(self, code: Code | None = None, *, retry_after: int | None = None, started: float | None = None) -> None:
        error = None if code is None else GatewayError(code, retry_after=retry_after)
        self.health.ended(self.backend, error, self.now, started=started)

    def call(self, code: Code | None = None, *, retry_after: int | None = None) -> None:
        self.begin()
        self.end(code, retry_after=retry_after)

    def fail(self, times: int = FAILURES_TO_OPEN) -> None:
        for _ in range(times):
            self.call(Code.BACKEND_ERROR)

    def reason(self) -> str | None:
        return self.health.reason_to_skip(self.backend, self.now)

    def status(self) -> str:
        return self.health.status(self.backend.id, self.now)

    def gauge(self, name: str) -> float:
        return self.parts.metrics.value(f"scaigrid_{name}", backend_id=self.backend.id)


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_backend_that_nobody_has_asked_is_healthy(story: Story) -> None:
    assert (story.reason(), story.status()) == (None, "healthy")


def test_failures_in_a_row_open_the_breaker(story: Story) -> None:
    story.fail(FAILURES_TO_OPEN - 1)
    assert (story.reason(), story.status()) == (None, "degraded")
    story.fail(1)
    assert (story.reason(), story.status()) == (f"breaker open for {OPEN_SECONDS:.1f} s", "unavailable")
    assert (story.gauge("circuit_breaker_state"), story.gauge("backend_health")) == (1, 0)


def test_a_success_in_between_starts_the_count_anew(story: Story) -> None:
    for _ in range(3):
        story.fail(FAILURES_TO_OPEN - 1)
        story.call()
    assert (story.reason(), story.status()) == (None, "healthy")
    assert story.gauge("backend_health") == 1


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_of_a_backend_counts(story: Story, code: Code) -> None:
    for _ in range(FAILURES_TO_OPEN):
        story.call(code)
    assert story.status() == "unavailable"


@pytest.mark.parametrize("code", NOT_ITS_FAULT)
def test_what_is_not_its_fault_says_nothing_about_it(story: Story, code: Code) -> None:
    story.fail(FAILURES_TO_OPEN - 1)
    for _ in range(FAILURES_TO_OPEN):
        story.call(code)
    assert (story.reason(), story.status()) == (None, "degraded")
    story.fail(1)
    assert story.status() == "unavailable"


def test_the_open_breaker_says_for_how_long(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS - 2.5
    assert story.reason() == "breaker open for 2.5 s"


def test_after_its_time_one_call_probes_and_no_second_one(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS
    assert story.reason() is None
    story.begin()
    assert story.gauge("circuit_breaker_state") == 2
    assert story.reason() == "breaker half-open, probe under way"


def test_a_probe_that_succeeds_closes_it(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS
    story.call()
    assert (story.reason(), story.status()) == (None, "healthy")
    assert (story.gauge("circuit_breaker_state"), story.gauge("backend_health")) == (0, 1)


def test_a_probe_that_fails_opens_it_again(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS
    story.call(Code.BACKEND_ERROR)
    assert story.reason() == f"breaker open for {OPEN_SECONDS:.1f} s"
    story.now += OPEN_SECONDS
    assert story.reason() is None


def test_a_probe_that_tells_nothing_lets_the_next_one_probe(story: Story) -> None:
    """Its client left, or asked for what the model cannot do."""
    story.fail()
    story.now += OPEN_SECONDS
    story.call(Code.CLIENT_CLOSED)
    assert (story.reason(), story.status()) == (None, "unavailable")
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"


def test_calls_that_were_under_way_when_it_opened_are_no_probes(story: Story) -> None:
    began = story.now
    for _ in range(3):
        story.begin()
    story.now += 1
    story.fail()
    story.now += OPEN_SECONDS
    story.begin()
    for code in (None, Code.BACKEND_TIMEOUT, Code.CLIENT_CLOSED):
        story.end(code, started=began)
        assert story.reason() == "breaker half-open, probe under way"
    story.end(started=story.now)
    assert story.status() == "healthy"


def test_calls_that_were_under_way_when_it_closed_do_not_open_it_again(story: Story) -> None:
    story.fail()
    story.now += 1
    began = story.now
    for _ in range(FAILURES_TO_OPEN):
        # Asked all the same, for want of another one.
        story.begin()
    story.now += OPEN_SECONDS
    story.call()
    story.now += 1
    for _ in range(FAILURES_TO_OPEN):
        story.end(Code.BACKEND_TIMEOUT, started=began)
    assert story.status() == "healthy"
    story.fail()
    assert story.status() == "unavailable"


def test_a_retry_after_opens_it_for_that_long(story: Story) -> None:
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=30)
    assert (story.reason(), story.status()) == ("breaker open for 30.0 s", "unavailable")
    story.now += 29.5
    assert story.reason() == "breaker open for 0.5 s"
    story.now += 0.5
    assert story.reason() is None


def test_after_a_retry_after_too_one_call_probes(story: Story) -> None:
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=30)
    story.now += 30
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"
    story.end()
    assert (story.reason(), story.status()) == (None, "healthy")


def test_a_retry_after_is_bounded(story: Story) -> None:
    story.call(Code.BACKEND_ERROR, retry_after=86_400)
    assert story.reason() == f"breaker open for {LONGEST_OPEN_SECONDS:.1f} s"


def test_the_longer_of_two_rests_counts(story: Story) -> None:
    story.begin()
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=60)
    story.end(Code.BACKEND_RATE_LIMITED, retry_after=5)
    assert story.reason() == "breaker open for 60.0 s"


def test_a_retry_after_of_nothing_still_opens_it_after_so_many_failures(story: Story) -> None:
    for _ in range(FAILURES_TO_OPEN):
        story.call(Code.BACKEND_RATE_LIMITED, retry_after=0)
    assert story.reason() == f"breaker open for {OPEN_SECONDS:.1f} s"


def test_the_end_of_a_stream_from_before_does_not_end_the_rest_that_somebody_else_was_told_to_take(
    story: Story,
) -> None:
    """Else a busy backend that limits calls would be asked again with the next stream that comes to its end."""
    began = story.now
    story.begin()
    story.now += 1
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=60)
    story.end(started=began)
    assert story.reason() == "breaker open for 60.0 s"
    story.begin()
    story.end(started=story.now)
    assert story.reason() is None


def test_a_retry_after_counts_whenever_the_call_was_made(story: Story) -> None:
    began = story.now
    story.begin()
    story.now += 1
    story.fail()
    story.end(Code.BACKEND_RATE_LIMITED, retry_after=60, started=began)
    assert story.reason() == "breaker open for 60.0 s"


def test_a_probe_that_had_hardly_any_time_leaves_the_probing_to_the_next_call(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"
    story.health.ended(story.backend, GatewayError(Code.BACKEND_TIMEOUT), story.now, fair=False)
    assert story.reason() is None
    assert story.health.report(story.backend.id, story.now).failures == FAILURES_TO_OPEN


def test_every_call_is_counted_by_its_outcome(story: Story) -> None:
    story.call()
    story.fail(2)
    story.call(Code.CLIENT_CLOSED)
    metrics = story.parts.metrics
    outcomes = {"ok": 1, "BACKEND_ERROR": 2, "CLIENT_CLOSED": 1}
    name = "scaigrid_backend_attempts_total"
    assert {one: metrics.value(name, backend_id=story.backend.id, outcome=one) for one in outcomes} == outcomes


def test_calls_under_way_are_counted(story: Story) -> None:
    story.begin()
    story.begin()
    assert story.gauge("backend_inflight_requests") == 2
    story.end()
    story.end(Code.BACKEND_ERROR)
    assert story.gauge("backend_inflight_requests") == 0


def test_one_backend_s_failures_are_not_another_s(story: Story) -> None:
    story.fail()
    other = story.parts.snapshot.backends[1]
    assert story.health.reason_to_skip(other, story.now) is None
    assert story.health.status(other.id, story.now) == "healthy"


def test_a_report_of_a_backend_that_nobody_has_asked_says_that_nothing_is_wrong(story: Story) -> None:
    assert story.health.report(story.backend.id, story.now) == Report()


def test_a_report_keeps_the_last_error_until_there_is_another(story: Story) -> None:
    story.call(Code.BACKEND_TIMEOUT)
    failed_at = story.now
    story.now += 5
    story.call()
    story.begin()
    report = story.health.report(story.backend.id, story.now)
    assert report == Report(inflight=1, last_error=Code.BACKEND_TIMEOUT, last_error_at=failed_at)
    story.end(Code.BACKEND_ERROR)
    report = story.health.report(story.backend.id, story.now)
    assert (report.status, report.breaker, report.failures) == ("degraded", "closed", 1)
    assert (report.last_error, report.last_error_at) == (Code.BACKEND_ERROR, story.now)


def test_a_report_says_how_the_breaker_is(story: Story) -> None:
    story.fail()
    report = story.health.report(story.backend.id, story.now)
    assert (report.status, report.breaker, report.open_until) == ("unavailable", "open", story.now + OPEN_SECONDS)
    story.now += OPEN_SECONDS
    report = story.health.report(story.backend.id, story.now)
    assert (report.status, report.breaker, report.open_until) == ("unavailable", "half_open", None)
    story.call()
    assert story.health.report(story.backend.id, story.now).breaker == "closed"


# -- the settings of a backend ---------------------------------------------------------------------------------------


def test_each_backend_says_how_much_it_takes_to_open_its_breaker_and_for_how_long(story: Story) -> None:
    story.breaks(failures=2, open_seconds=1.5)
    story.fail(1)
    assert story.reason() is None
    story.fail(1)
    assert story.reason() == "breaker open for 1.5 s"
    story.now += 1.5
    assert story.reason() is None


def test_a_retry_after_is_believed_as_far_as_the_backend_allows(story: Story) -> None:
    story.breaks(longest_open_seconds=20)
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=30)
    assert story.reason() == "breaker open for 20.0 s"


def test_a_part_of_the_calls_that_fails_opens_it_though_never_so_many_failed_in_a_row(story: Story) -> None:
    story.breaks(error_ratio=0.5, min_calls=8)
    for _ in range(3):
        story.call()
        story.fail(1)
    story.call()
    assert story.status() == "healthy"
    story.fail(1)
    assert story.reason() == f"breaker open for {OPEN_SECONDS:.1f} s"


def test_without_a_ratio_no_part_of_them_opens_it(story: Story) -> None:
    for _ in range(100):
        story.call()
        story.fail(FAILURES_TO_OPEN - 1)
    assert story.status() == "degraded"


def test_failures_that_the_window_has_left_behind_do_not_count(story: Story) -> None:
    story.breaks(error_ratio=0.5, min_calls=4, window_seconds=30)
    for _ in range(3):
        story.fail(2)
        story.call()
        story.now += 31
    for _ in range(3):
        story.call()
    story.fail(2)
    assert story.status() == "degraded"
    story.fail(1)
    assert story.status() == "unavailable"


def test_calls_that_were_not_its_fault_are_no_calls_to_the_ratio(story: Story) -> None:
    story.breaks(error_ratio=0.5, min_calls=4)
    for _ in range(50):
        story.call(Code.CLIENT_CLOSED)
    story.call()
    story.fail(1)
    story.call()
    story.fail(1)
    assert story.status() == "unavailable"


def test_what_failed_before_it_was_mended_does_not_open_it_again(story: Story) -> None:
    story.breaks(error_ratio=0.5, min_calls=4, open_seconds=1)
    for _ in range(2):
        story.call()
        story.fail(1)
    story.now += 1
    story.call()
    story.fail(1)
    assert story.status() == "degraded"


@pytest.mark.parametrize("seconds", [3, 3000])
def test_a_window_of_another_length_begins_anew(story: Story, seconds: float) -> None:
    """A reload changes it: slices of the one length are no slices of the other."""
    story.breaks(error_ratio=0.5, min_calls=10, window_seconds=100)
    story.fail(4)
    story.call()
    story.fail(4)
    story.breaks(error_ratio=0.5, min_calls=10, window_seconds=seconds)
    story.call()
    story.fail(4)
    assert story.status() == "degraded"


# -- the probe -------------------------------------------------------------------------------------------------------


def test_a_probe_of_which_nothing_is_heard_does_not_keep_others_away_for_ever(story: Story) -> None:
    story.fail()
    story.now += OPEN_SECONDS
    story.begin()
    story.now += OPEN_SECONDS - 0.1
    # Asked all the same, for want of another one: that is no second probe.
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"
    story.now += 0.1
    assert story.reason() is None
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"


def test_how_long_it_rests_is_known(story: Story) -> None:
    assert story.health.rests(story.backend.id, story.now) == 0
    story.fail()
    story.now += 4
    assert story.health.rests(story.backend.id, story.now) == OPEN_SECONDS - 4
    story.now += OPEN_SECONDS
    assert story.health.rests(story.backend.id, story.now) == 0


def test_each_change_of_the_breaker_is_one_line_of_the_log(story: Story) -> None:
    with capture_logs() as lines:
        for _ in range(3):
            story.begin()
        story.fail()
        for _ in range(3):
            story.end(Code.BACKEND_TIMEOUT)
        story.now += OPEN_SECONDS
        story.begin()
        story.end(Code.BACKEND_ERROR)
        story.now += OPEN_SECONDS
        story.begin()
        story.end()
        story.call()
    name = story.backend.name
    assert [(line["event"], line["backend"], line["reason"]) for line in lines] == [
        ("breaker_open", name, "5 failures in a row, the last one BACKEND_ERROR"),
        ("breaker_half_open", name, "one call probes"),
        ("breaker_open", name, "BACKEND_ERROR while it was half-open"),
        ("breaker_half_open", name, "one call probes"),
        ("breaker_closed", name, "a call was served"),
    ]


def test_the_log_says_which_other_reason_opened_it(story: Story) -> None:
    with capture_logs() as lines:
        story.call(Code.BACKEND_RATE_LIMITED, retry_after=30)
        story.now += 30
        story.call()
        story.breaks(error_ratio=0.4, min_calls=3)
        story.call()
        story.call()
        story.fail(1)
        story.fail(1)
    assert [line["reason"] for line in lines if line["event"] == "breaker_open"] == [
        "BACKEND_RATE_LIMITED with a Retry-After of 30 s",
        "2 of the last 4 calls failed, the last one with BACKEND_ERROR",
    ]


# -- how soon it answers ---------------------------------------------------------------------------------------------


def measured(story: Story, *seconds: float, stream: bool = True) -> None:
    for each in seconds:
        story.begin()
        story.health.ended(story.backend, None, story.now, each, stream=stream)


def test_a_backend_of_which_nothing_is_known_looks_the_fastest_until_somebody_asks_it(story: Story) -> None:
    def looks() -> float:
        return story.health.first_token(story.backend.id, story.now)

    assert looks() == 0
    story.begin()
    assert looks() == float("inf")
    story.end(Code.CLIENT_CLOSED)
    assert looks() == 0
    story.fail(1)
    assert looks() == float("inf")
    story.now += FADES
    assert looks() == 0, "it may have been mended, and nobody would ever know"
    measured(story, 0.5)
    story.begin()
    assert looks() == 0.5
    story.now += FADES
    assert 0 < looks() < 0.25


def test_streams_and_plain_answers_are_measured_apart(story: Story) -> None:
    measured(story, *([0.5] * 20))
    measured(story, *([8.0] * 20), stream=False)
    assert story.health.first_token(story.backend.id, story.now) == 0.5
    assert story.health.first_token(story.backend.id, story.now, stream=False) == 8.0
    assert story.health.slow_after(story.backend.id) == 0.5
    assert story.health.slow_after(story.backend.id, stream=False) == 8.0
    report = story.health.report(story.backend.id, story.now)
    assert (report.first_token, report.answer) == (0.5, 8.0)


def test_how_slow_is_slow_is_known_after_enough_answers_those_that_were_cut_off_later_included(story: Story) -> None:
    assert story.health.slow_after(story.backend.id) is None
    for place in range(20):
        assert story.health.slow_after(story.backend.id) is None
        story.begin()
        story.health.ended(story.backend, GatewayError(Code.CLIENT_CLOSED), story.now, place / 10)
    assert story.health.slow_after(story.backend.id) == 1.8


# -- backends that are gone ------------------------------------------------------------------------------------------


def test_what_is_known_of_backends_that_are_gone_is_forgotten_once_nothing_is_under_way(story: Story) -> None:
    story.fail()
    story.begin()
    story.health.keep(())
    assert story.status() == "unavailable"
    story.end(Code.BACKEND_ERROR)
    story.health.keep(())
    assert (story.status(), story.reason()) == ("healthy", None)
    assert (story.gauge("backend_health"), story.gauge("circuit_breaker_state")) == (1, 0)
    story.end()
    assert story.health.report(story.backend.id, story.now) == Report()


def test_what_is_known_of_those_that_stay_is_kept(story: Story) -> None:
    story.fail()
    story.health.keep({story.backend.id})
    assert story.status() == "unavailable"
