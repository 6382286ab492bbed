"""A backend that fails before the first byte is made good for by the next one, and the ledger says which served."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from scaigrid.clock import SystemClock
from scaigrid.errors import Code
from scaigrid.ids import declared_id
from tests.harness import behaviours
from tests.harness.behaviours import Then, answer, cut, raw, reset, silence, stalled, stream
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway, Row
from tests.harness.lanes import CHAT_URL, COST, LIMITED, UNLIMITED, Lane, chat, code_of, http_client, secret
from tests.harness.provider import Behaviour, Provider

DIALECTS = sorted(CHAT_URL)
FINE = answer(behaviours.completion("From the second.", tokens=(20, 4)))
FINE_STREAM = stream(*behaviours.openai_frames("From ", "the second.", tokens=(20, 4)))

FAULTS: dict[str, tuple[Behaviour, Code]] = {
    "429": (answer({}, status=429), Code.BACKEND_RATE_LIMITED),
    "500": (answer({}, status=500), Code.BACKEND_ERROR),
    "503": (answer({}, status=503), Code.BACKEND_ERROR),
    "408": (answer({}, status=408), Code.BACKEND_TIMEOUT),
    "our credential refused": (answer({}, status=401), Code.BACKEND_ERROR),
    "reset before the head": (reset, Code.BACKEND_ERROR),
    "no HTTP": (raw(b"babble\r\n\r\n"), Code.BACKEND_ERROR),
}
PLAIN: dict[str, tuple[Behaviour, Code]] = {
    **FAULTS,
    "cut short": (cut(b'{"id":', declared=100), Code.BACKEND_ERROR),
    "no JSON": (answer(b"<html>"), Code.UPSTREAM_SHAPE_MISMATCH),
}
STREAMED: dict[str, tuple[Behaviour, Code]] = {
    **FAULTS,
    "a stream without a frame": (stream(), Code.UPSTREAM_SHAPE_MISMATCH),
    "closed before a frame": (stream(b": wait\n\n", Then.CLOSE), Code.BACKEND_ERROR),
    "a first frame that is a failure": (
        stream(behaviours.data(behaviours.openai_error("Oops", kind="server_error"))),
        Code.BACKEND_ERROR,
    ),
    "a first frame that is none": (stream(b"data: {oops\n\n"), Code.UPSTREAM_SHAPE_MISMATCH),
}


def check_rows(lane: Lane, first: Code) -> None:
    failed, served = lane.usage(2)
    assert (failed["attempt"], failed["backend_id"]) == (1, lane.backend_id("first"))
    assert (failed["serving"], failed["cost"], failed["usage_source"]) == (0, 0, "none")
    assert failed["error_code"] == first
    assert (served["attempt"], served["backend_id"]) == (2, lane.backend_id("second"))
    assert (served["serving"], served["outcome"], served["usage_source"]) == (1, "ok", "provider")
    assert (served["tokens_in"], served["tokens_out"]) == (20, 4)
    assert served["cost"] == 20 * 3_000 + 4 * 15_000
    assert served["backend_cost"] == 20 * 1_000 + 4 * 5_000
    assert failed["request_id"] == served["request_id"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", PLAIN)
def test_a_plain_call_is_made_good_for(lane: Lane, dialect: str, fault: str) -> None:
    behaviour, code = PLAIN[fault]
    lane.openai.always(behaviour)
    lane.second.then(FINE)
    got = lane.client().post(CHAT_URL[dialect], json=chat(lane.model("two")))
    assert got.status_code == 200, got.text
    data = got.json() if dialect == "openai" else got.json()["data"]
    assert data["choices"][0]["message"]["content"] == "From the second."
    assert (got.headers["x-scaigrid-attempts"], got.headers["x-scaigrid-backend"]) == ("2", lane.backend("second"))
    assert len(lane.second.requests) == 1
    check_rows(lane, code)
    line = lane.gateway.line(got.headers["x-request-id"])
    assert line["tried"] == [f"{lane.backend('first')}: {code}", f"{lane.backend('second')}: ok"]
    assert (line["attempts"], line["backend"]) == (2, lane.backend("second"))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", STREAMED)
def test_a_stream_is_made_good_for_before_its_first_byte(lane: Lane, dialect: str, fault: str) -> None:
    behaviour, code = STREAMED[fault]
    lane.openai.always(behaviour)
    lane.second.then(FINE_STREAM)
    got = lane.client().post(CHAT_URL[dialect], json=chat(lane.model("two"), stream=True))
    assert got.status_code == 200, got.text
    assert "the second." in got.text
    assert got.text.endswith("data: [DONE]\n\n")
    assert "error" not in got.text
    assert got.headers["x-scaigrid-attempts"] == "2"
    check_rows(lane, code)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_provider_s_protocol_may_make_good(lane: Lane, dialect: str) -> None:
    lane.openai.then(answer({}, status=500))
    lane.anthropic.then(stream(*behaviours.anthropic_frames("From ", "another.")))
    got = lane.client().post(CHAT_URL[dialect], json=chat(lane.model("mixed"), stream=True))
    assert "another." in got.text
    assert got.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (behaviours.openai_error("No."), "VALIDATION_ERROR"),
        (behaviours.openai_error("No.", code="context_length_exceeded"), "CONTEXT_TOO_LONG"),
        (behaviours.openai_error("No.", code="content_filter"), "CONTENT_REFUSED"),
    ],
)
def test_the_caller_s_own_mistake_is_made_once(lane: Lane, body: object, code: str) -> None:
    lane.openai.then(answer(body, status=400))
    got = lane.client().post(CHAT_URL["openai"], json=chat(lane.model("two")))
    assert code_of(got.json()) == code
    assert lane.second.requests == []
    (row,) = lane.usage(1)
    assert (row["cost"], row["serving"]) == (0, 0)


def test_nothing_is_tried_again_after_the_first_byte(lane: Lane) -> None:
    lane.openai.then(stream(*behaviours.openai_frames("It ")[:2], Then.CLOSE))
    got = lane.client().post(CHAT_URL["openai"], json=chat(lane.model("two"), stream=True))
    assert "BACKEND_ERROR" in got.text
    assert "[DONE]" not in got.text
    assert lane.second.requests == []


def limited(seconds: int) -> Behaviour:
    return answer({}, status=429, headers=[*behaviours.JSON, ("retry-after", str(seconds))])


def test_a_failure_is_told_rather_than_a_limit_where_all_fail(lane: Lane) -> None:
    lane.openai.then(limited(9))
    lane.second.then(answer({}, status=500))
    got = lane.client().post(CHAT_URL["native"], json=chat(lane.model("two")))
    assert (code_of(got.json()), got.headers.get("retry-after")) == ("BACKEND_ERROR", None)
    assert [row["serving"] for row in lane.usage(2)] == [0, 0]


def test_where_all_are_limiting_calls_the_shortest_time_is_told(lane: Lane) -> None:
    lane.openai.then(limited(9))
    lane.second.then(limited(4))
    got = lane.client().post(CHAT_URL["native"], json=chat(lane.model("two")))
    assert (code_of(got.json()), got.headers["retry-after"]) == ("BACKEND_RATE_LIMITED", "4")


REJECTED: dict[str, Behaviour] = {
    "invalid": answer(behaviours.openai_error("No."), status=400),
    "too long": answer(behaviours.openai_error("No.", code="context_length_exceeded"), status=400),
    "refused": answer(behaviours.openai_error("No.", code="content_filter"), status=400),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("rejected", REJECTED)
def test_a_stand_in_that_rejects_what_the_first_one_takes_is_not_believed(
    lane: Lane, dialect: str, rejected: str
) -> None:
    """The caller hears of a failure after which a repeat helps, and not that his request is wrong."""
    lane.openai.then(answer({}, status=503), FINE)
    lane.second.then(REJECTED[rejected])
    client, body = lane.client(), chat(lane.model("two"))
    got = client.post(CHAT_URL[dialect], json=body)
    assert (got.status_code, code_of(got.json())) == (502, "BACKEND_ERROR")
    assert client.post(CHAT_URL[dialect], json=body).status_code == 200
    assert [row["serving"] for row in lane.usage(3)] == [0, 0, 1]


@pytest.mark.parametrize("behaviour", [silence, stalled(b"{", declared=100)], ids=["silent", "stalled"])
def test_a_backend_that_takes_too_long_is_left_for_the_next_one(lane: Lane, behaviour: Behaviour) -> None:
    lane.openai.then(behaviour)
    lane.second.then(FINE)
    got = lane.client().post(CHAT_URL["native"], json=chat(lane.model("hasty")))
    assert got.json()["data"]["choices"][0]["message"]["content"] == "From the second."
    assert lane.openai.seen().left.wait(5)
    check_rows(lane, Code.BACKEND_TIMEOUT)


def test_a_backend_that_asks_for_rest_gets_it_and_comes_back(lane: Lane) -> None:
    """Retry-After opens its breaker: calls go straight to the next one, until the time is over."""
    lane.openai.then(answer({}, status=429, headers=[*behaviours.JSON, ("retry-after", "1")]))
    lane.openai.always(answer(behaviours.completion("From the first.")))
    lane.second.always(FINE)
    client, url, body = lane.client(), CHAT_URL["openai"], chat(lane.model("two"))

    def ask() -> tuple[str, str]:
        got = client.post(url, json=body)
        return got.headers["x-scaigrid-backend"], got.headers["x-scaigrid-attempts"]

    assert ask() == (lane.backend("second"), "2")
    assert ask() == (lane.backend("second"), "1")
    assert lane.gateway.metrics().value("scaigrid_circuit_breaker_state", backend_id=lane.backend_id("first")) == 1
    eventually(lambda: ask() == (lane.backend("first"), "1"), "the first backend is asked again")
    assert lane.gateway.metrics().value("scaigrid_circuit_breaker_state", backend_id=lane.backend_id("first")) == 0
    assert lane.gateway.metrics().value("scaigrid_backend_health", backend_id=lane.backend_id("first")) == 1


def test_a_backend_that_keeps_failing_is_no_longer_asked(lane: Lane) -> None:
    lane.openai.always(answer({}, status=500))
    lane.second.always(FINE)
    client = lane.client()
    for _ in range(8):
        assert client.post(CHAT_URL["openai"], json=chat(lane.model("two"))).status_code == 200
    assert len(lane.openai.requests) == 5
    assert len(lane.second.requests) == 8


def test_where_every_breaker_is_open_the_backends_are_tried_all_the_same(lane: Lane) -> None:
    lane.openai.always(answer({}, status=500))
    client = lane.client()
    for _ in range(7):
        assert code_of(client.post(CHAT_URL["openai"], json=chat(lane.model("openai"))).json()) == "BACKEND_ERROR"
    assert len(lane.openai.requests) == 7
    lane.openai.always(FINE)
    assert client.post(CHAT_URL["openai"], json=chat(lane.model("openai"))).status_code == 200


# -- once more, and other models -------------------------------------------------------------------------------------

CLOCK: Final = SystemClock()
DEAR: Final = {"input": 30, "output": 150}
RETRIES: Final = 3
"""How many retries the gateway below has each second."""
PLACES: Final = 12


class Place:
    """One test's user, with two providers and three models: `again` on the first, `short`, which names `long`."""

    def __init__(self, number: int, provider: Provider) -> None:
        self.name = f"place{number}"
        self.first = provider.at(f"/{self.name}-first/v1")
        self.second = provider.at(f"/{self.name}-second/v1")
        self.gateway: Gateway

    def declare(self, config: dict[str, Any]) -> None:
        name = self.name
        config["users"][name] = {"limits": UNLIMITED}
        config["keys"][name] = {"user": name, "key": secret(name), "limits": UNLIMITED}
        for word, endpoint in (("first", self.first), ("second", self.second)):
            where = f"{name}-{word}"
            config["providers"][where] = {"type": "openai", "base_url": endpoint.url, "api_key": "k"}
            config["backends"][where] = {"provider": where, "model": "m", "cost": COST, "breaker": {"failures": 1000}}
        first, second = ({"targets": [{"backend": f"{name}-{word}"}]} for word in ("first", "second"))
        fallbacks = {"context_too_long": f"{name}/long", "content_refused": f"{name}/long"}
        config["models"][f"{name}/again"] = {**LIMITED, "route": {**first, "attempts_per_backend": 2}}
        config["models"][f"{name}/short"] = {**LIMITED, "route": {**first, "fallbacks": fallbacks}}
        config["models"][f"{name}/long"] = {**LIMITED, "prices": DEAR, "route": second}
        config["budgets"][name] = {"scope": "user", "of": name, "period": "total", "cost_limit": 1}

    def ask(self, word: str, dialect: str = "openai", **more: Any) -> httpx.Response:
        with http_client(self.gateway, secret(self.name)) as client:
            return client.post(CHAT_URL[dialect], json=chat(f"{self.name}/{word}", **more))

    def rows(self, count: int) -> list[Row]:
        return self.gateway.usage(count, user_id=declared_id("user", self.name))

    def spent(self) -> float:
        return self.gateway.metrics().value("scaigrid_budget_spent", budget=self.name, kind="cost")


@pytest.fixture(scope="module")
def places(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    made = [Place(number, provider) for number in range(PLACES)]
    config: dict[str, Any] = {
        "forwarder": {"retry_share": 0, "retries_per_second": RETRIES},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        **{section: {} for section in ("users", "keys", "providers", "backends", "models", "budgets")},
    }
    for place in made:
        place.declare(config)
    with Gateway(config, tmp_path_factory.mktemp("failover")) as gateway:
        for place in made:
            place.gateway = gateway
        yield made


@pytest.fixture
def place(places: list[Place]) -> Place:
    return places.pop()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_the_same_backend_is_asked_again_where_the_route_says_so(place: Place, stream: bool) -> None:
    place.first.then(answer({}, status=503), FINE_STREAM if stream else FINE)
    got = place.ask("again", stream=stream)
    assert (got.status_code, got.headers["x-scaigrid-attempts"]) == (200, "2")
    failed, served = place.rows(2)
    assert (failed["error_code"], served["outcome"]) == ("BACKEND_ERROR", "ok")
    assert failed["backend_id"] == served["backend_id"]


def test_once_the_retry_budget_is_used_up_failures_are_told_at_once(place: Place) -> None:
    """Of twenty calls that all fail, a few are made twice, and none waits for it."""
    place.first.always(answer({}, status=503))
    before = place.gateway.metrics().value("scaigrid_retries_refused_total")
    began = CLOCK.monotonic()
    codes = {code_of(place.ask("again").json()) for _ in range(20)}
    seconds = CLOCK.monotonic() - began
    made = len(place.first.requests)
    assert codes == {"BACKEND_ERROR"}
    assert 20 <= made <= 20 + RETRIES * (seconds + 1)
    assert place.gateway.metrics().value("scaigrid_retries_refused_total") - before == 40 - made


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("why", ["too long", "refused"])
def test_another_model_answers_what_this_one_cannot_at_its_own_price(
    place: Place, why: str, dialect: str, stream: bool
) -> None:
    place.first.then(REJECTED[why])
    place.second.then(FINE_STREAM if stream else FINE)
    got = place.ask("short", dialect, stream=stream)
    assert got.status_code == 200, got.text
    assert "the second." in got.text
    assert (got.headers["x-scaigrid-model"], got.headers["x-scaigrid-attempts"]) == (f"{place.name}/long", "2")
    failed, served = place.rows(2)
    code = "CONTEXT_TOO_LONG" if why == "too long" else "CONTENT_REFUSED"
    assert (failed["model"], failed["error_code"], failed["cost"]) == (f"{place.name}/short", code, 0)
    cost = 20 * 30_000 + 4 * 150_000
    assert (served["model"], served["serving"], served["cost"]) == (f"{place.name}/long", 1, cost)
    assert served["price_version"] != failed["price_version"]
    assert served["backend_id"] == declared_id("be", f"{place.name}-second")
    eventually(lambda: place.spent() == cost, "the budget is settled to what the other model cost")
