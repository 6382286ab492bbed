import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN, LONGEST_OPEN_SECONDS, OPEN_SECONDS, Health, Report
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

    def begin(self) -> None:
        self.health.began(self.backend, self.now)

    def end(self, code: Code | None = None, *, retry_after: int | None = None) -> None:
        error = None if code is None else GatewayError(code, retry_after=retry_after)
        self.health.ended(self.backend, error, self.now)

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
    story.begin()
    story.fail()
    story.now += OPEN_SECONDS
    story.begin()
    assert story.reason() == "breaker half-open, probe under way"
    story.end()
    assert story.status() == "healthy"


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


def test_a_success_ends_the_rest_that_somebody_else_was_told_to_take(story: Story) -> None:
    story.begin()
    story.call(Code.BACKEND_RATE_LIMITED, retry_after=60)
    story.end()
    assert story.reason() is None


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
