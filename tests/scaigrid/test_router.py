import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from scaigrid.config.snapshot import Backend, Route
from scaigrid.errors import Code, GatewayError
from scaigrid.facts import facts_of
from scaigrid.health import FAILURES_TO_OPEN, OPEN_SECONDS
from scaigrid.latency import FADES
from scaigrid.router import Explanation, explained, order
from tests.harness.services import MODEL, Parts
from tests.scaigrid.asked import asked

NOW = 1000.0
DRAWS = 20_000
TOLERANCE = 0.015
"""Four standard deviations of a share of one half among DRAWS."""


class Routed:
    """A route over backends `a`, `b`, `c` ..., each target given as (weight, priority)."""

    def __init__(
        self,
        *targets: tuple[int, int],
        when: Mapping[str, Mapping[str, Any]] | None = None,
        backends: Mapping[str, Mapping[str, Any]] | None = None,
        **route: Any,
    ) -> None:
        """`when` and `backends` have more of some targets and backends by their names, `route` of the route."""
        names = "abcdefgh"[: len(targets)]
        conditions, more = when or {}, backends or {}
        declared = {name: {"provider": "up", "model": "m", **more.get(name, {})} for name in names}
        given: list[dict[str, Any]] = [
            {"backend": name, "weight": weight, "priority": priority, "when": conditions.get(name)}
            for name, (weight, priority) in zip(names, targets, strict=True)
        ]
        model = {**MODEL, "route": {"targets": given, **route}}
        self.parts = Parts(backends=declared, models={"m": model})
        self.route: Route = self.parts.model.route
        self.draw = random.Random(20260101)  # noqa: S311 - shares are drawn, no secrets

    def backend(self, name: str) -> Backend:
        return next(backend for backend in self.parts.snapshot.backends if backend.name == name)

    def order(self, now: float = NOW, *, body: Mapping[str, Any] | None = None, **more: Any) -> str:
        """The names in the order of trying; `body` has more of the request's fields."""
        facts = None if body is None else facts_of(asked(self.parts, **body), self.parts.model)
        ordered, _ = order(self.route, self.parts.health, now, self.draw, facts=facts, **more)
        return "".join(backend.name for backend in ordered)

    def skipped(self, now: float = NOW, *, body: Mapping[str, Any] | None = None) -> dict[str, str]:
        facts = None if body is None else facts_of(asked(self.parts, **body), self.parts.model)
        return dict(order(self.route, self.parts.health, now, self.draw, facts=facts)[1])

    def explained(self, *, body: Mapping[str, Any] | None = None, sticky: str | None = None) -> Explanation:
        facts = None if body is None else facts_of(asked(self.parts, **body), self.parts.model)
        return explained(self.route, self.parts.health, NOW, self.draw, facts=facts, sticky=sticky)

    def shares(self, **more: Any) -> dict[str, float]:
        """By name, how often it was first."""
        first = Counter(self.order(**more)[0] for _ in range(DRAWS))
        return {name: count / DRAWS for name, count in first.items()}

    def open(self, *names: str) -> None:
        """Opens their breakers."""
        for name in names:
            for _ in range(FAILURES_TO_OPEN):
                self.parts.health.began(self.backend(name), NOW)
                self.parts.health.ended(self.backend(name), GatewayError(Code.BACKEND_ERROR), NOW)

    def answered(self, name: str, seconds: float, now: float = NOW, *, stream: bool = True) -> None:
        """One call, whose first token took so long."""
        self.parts.health.began(self.backend(name), now)
        self.parts.health.ended(self.backend(name), None, now, seconds, stream=stream)

    def begins(self, name: str, times: int = 1) -> None:
        for _ in range(times):
            self.parts.health.began(self.backend(name), NOW)


def test_a_single_backend_is_the_order() -> None:
    assert Routed((1, 0)).order() == "a"


@pytest.mark.parametrize(
    ("weights", "shares"),
    [((1, 1), (0.5, 0.5)), ((3, 1), (0.75, 0.25)), ((5, 3, 2), (0.5, 0.3, 0.2)), ((99, 1), (0.99, 0.01))],
)
def test_a_weight_is_the_share_of_being_first(weights: tuple[int, ...], shares: tuple[float, ...]) -> None:
    found = Routed(*((weight, 0) for weight in weights)).shares()
    assert [found[name] for name in "abc"[: len(shares)]] == pytest.approx(shares, abs=TOLERANCE)


def test_the_next_one_too_comes_by_weight() -> None:
    """Among those where the first is out, the rest stand in proportion to what they weigh."""
    routed = Routed((4, 0), (3, 0), (1, 0))
    second = Counter(order[1] for order in (routed.order() for _ in range(DRAWS)) if order[0] == "a")
    assert second["b"] / sum(second.values()) == pytest.approx(0.75, abs=2 * TOLERANCE)


def test_every_backend_is_in_every_order_once() -> None:
    routed = Routed((4, 0), (0, 0), (1, 0), (2, 1), (0, 1))
    assert {"".join(sorted(routed.order())) for _ in range(200)} == {"abcde"}


def test_the_lower_number_of_priority_comes_first_whatever_the_weights() -> None:
    routed = Routed((1, 7), (1_000_000, 9), (1, 0), (1, 7))
    assert {routed.order() for _ in range(200)} == {"cadb", "cdab"}


def test_a_weight_of_nothing_comes_after_all_others_of_its_tier_and_before_the_next_tier() -> None:
    routed = Routed((0, 0), (1, 0), (5, 1))
    assert {routed.order() for _ in range(200)} == {"bac"}


def test_weights_of_nothing_among_themselves_are_equal() -> None:
    routed = Routed((0, 0), (0, 0), (1, 0))
    second = Counter(routed.order()[1] for _ in range(DRAWS))
    assert second["a"] / DRAWS == pytest.approx(0.5, abs=TOLERANCE)


def test_a_large_weight_beside_a_small_one_leaves_it_its_share() -> None:
    routed = Routed((1_000_000, 0), (1, 0))
    assert {routed.order() for _ in range(1000)} <= {"ab", "ba"}
    assert routed.shares().get("b", 0.0) < 0.001


def test_an_open_breaker_removes_its_backend_and_says_why() -> None:
    routed = Routed((1, 0), (1, 0), (1, 1))
    routed.open("a")
    assert {routed.order() for _ in range(100)} == {"bc"}
    assert routed.skipped() == {"a": f"breaker open for {OPEN_SECONDS:.1f} s"}


def test_what_is_left_keeps_its_weights_among_itself() -> None:
    routed = Routed((10, 0), (3, 0), (1, 0))
    routed.open("a")
    assert routed.shares()["b"] == pytest.approx(0.75, abs=TOLERANCE)


def test_a_tier_that_is_out_leaves_the_next_one() -> None:
    routed = Routed((1, 0), (1, 0), (1, 1))
    routed.open("a", "b")
    assert routed.order() == "c"
    assert sorted(routed.skipped()) == ["a", "b"]


def test_where_all_are_out_all_are_tried_all_the_same() -> None:
    """A call that may fail is better than one that must."""
    routed = Routed((1, 0), (1, 0), (1, 1))
    routed.open("a", "b", "c")
    assert {routed.order() for _ in range(100)} == {"abc", "bac"}
    assert routed.skipped() == {}


def test_a_breaker_whose_time_is_over_lets_its_backend_in_again() -> None:
    routed = Routed((1, 0), (1, 1))
    routed.open("a")
    assert routed.order(NOW + OPEN_SECONDS) == "ab"
    assert routed.skipped(NOW + OPEN_SECONDS) == {}


def test_while_one_call_probes_the_others_go_elsewhere() -> None:
    routed = Routed((1, 0), (1, 1))
    routed.open("a")
    later = NOW + OPEN_SECONDS
    routed.parts.health.began(routed.parts.snapshot.backends[0], later)
    assert routed.order(later) == "b"
    assert routed.skipped(later) == {"a": "breaker half-open, probe under way"}


def test_the_same_seed_draws_the_same_orders() -> None:
    one, other = Routed((1, 0), (2, 0), (3, 0)), Routed((1, 0), (2, 0), (3, 0))
    assert [one.order() for _ in range(50)] == [other.order() for _ in range(50)]


# -- least_latency ---------------------------------------------------------------------------------------------------


def test_of_two_the_one_whose_first_token_came_sooner_is_first() -> None:
    routed = Routed((1, 0), (1, 0), strategy="least_latency")
    routed.answered("a", 0.9)
    routed.answered("b", 0.3)
    assert {routed.order() for _ in range(100)} == {"ba"}
    # A fresh peak counts at once.
    routed.answered("b", 2.0)
    assert {routed.order() for _ in range(100)} == {"ab"}


def test_of_three_two_are_drawn_so_the_slowest_is_never_first_and_the_second_is_at_times() -> None:
    routed = Routed((1, 0), (1, 0), (1, 0), strategy="least_latency")
    for name, seconds in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        routed.answered(name, seconds)
    shares = routed.shares()
    assert set(shares) == {"a", "b"}
    # The fastest is among two of three in two of three draws.
    assert shares["a"] == pytest.approx(2 / 3, abs=TOLERANCE)


def test_which_two_are_compared_is_drawn_by_weight() -> None:
    routed = Routed((98, 0), (1, 0), (1, 0), strategy="least_latency")
    for name, seconds in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        routed.answered(name, seconds)
    shares = routed.shares()
    assert shares["b"] == pytest.approx(0.5, abs=2 * TOLERANCE)
    assert shares["c"] == pytest.approx(0.5, abs=2 * TOLERANCE)


def test_one_that_nobody_has_asked_yet_is_asked_first_and_by_one_caller_alone() -> None:
    routed = Routed((1, 0), (1, 0), strategy="least_latency")
    routed.answered("a", 0.1)
    assert {routed.order() for _ in range(50)} == {"ba"}
    routed.begins("b")
    assert {routed.order() for _ in range(50)} == {"ab"}


def test_one_that_was_slow_is_asked_again_when_that_has_faded() -> None:
    routed = Routed((1, 0), (1, 0), strategy="least_latency")
    routed.answered("a", 2.0)
    routed.answered("b", 1.0)
    for later in range(0, int(FADES), 5):
        routed.answered("b", 1.0, NOW + later)
    assert routed.order(NOW + FADES) == "ab"


def test_streams_are_compared_by_streams_and_plain_answers_by_plain_ones() -> None:
    routed = Routed((1, 0), (1, 0), strategy="least_latency")
    for stream, slow, fast in ((True, "a", "b"), (False, "b", "a")):
        routed.answered(slow, 3.0, stream=stream)
        routed.answered(fast, 1.0, stream=stream)
    assert (routed.order(stream=True), routed.order(stream=False)) == ("ba", "ab")


def test_of_two_the_one_of_no_weight_is_second_even_where_it_is_the_faster_one() -> None:
    routed = Routed((0, 0), (1, 0), strategy="least_latency")
    routed.answered("b", 5.0)
    assert routed.order() == "ba"


# -- least_busy, cheapest --------------------------------------------------------------------------------------------


def test_the_backend_with_the_fewest_calls_under_way_is_first() -> None:
    routed = Routed((1, 0), (1, 0), (1, 0), strategy="least_busy")
    routed.begins("a", 2)
    routed.begins("b", 1)
    routed.begins("c", 3)
    assert {routed.order() for _ in range(50)} == {"bac"}


def test_where_none_is_busier_the_weights_draw() -> None:
    routed = Routed((3, 0), (1, 0), strategy="least_busy")
    assert routed.shares()["a"] == pytest.approx(0.75, abs=TOLERANCE)


def test_the_backend_that_costs_the_least_is_first_and_equals_are_drawn() -> None:
    costs = {"a": {"input": 3, "output": 3}, "b": {"input": 1, "output": 5}, "c": {"input": 1, "output": 1}}
    backends = {name: {"cost": cost} for name, cost in costs.items()}
    routed = Routed((1, 0), (1, 0), (1, 0), strategy="cheapest", backends=backends)
    assert {routed.order() for _ in range(100)} == {"cab", "cba"}


def test_what_a_request_costs_by_itself_counts_too() -> None:
    costs: dict[str, Any] = {"a": {"input": 1, "output": 1, "request": "0.01"}, "b": {"input": 2, "output": 2}}
    backends = {name: {"cost": cost} for name, cost in costs.items()}
    routed = Routed((1, 0), (1, 0), strategy="cheapest", backends=backends)
    assert {routed.order() for _ in range(20)} == {"ba"}


def test_where_the_route_looks_at_requests_it_is_the_cheapest_for_this_one() -> None:
    """Cheap input wins a long question with a short answer, cheap output the other way round."""
    backends = {"a": {"cost": {"input": 1, "output": 9}}, "b": {"cost": {"input": 2, "output": 2}}}
    routed = Routed((1, 0), (1, 0), strategy="cheapest", backends=backends, when={"a": {"dialects": ["openai"]}})
    assert routed.order(body={"messages": said("x" * 8_000), "max_tokens": 10}) == "ab"
    assert routed.order(body={"messages": said("x"), "max_tokens": 10}) == "ba"
    assert routed.order(body={"messages": said("x" * 8_000)}) == "ba"


# -- sticky ----------------------------------------------------------------------------------------------------------

CALLERS = [f"user_{number}" for number in range(4_000)]


def homes(routed: Routed, now: float = NOW) -> dict[str, str]:
    return {caller: routed.order(now, sticky=caller)[0] for caller in CALLERS}


def test_the_same_caller_comes_to_the_same_backend_in_every_worker() -> None:
    one, other = Routed((1, 0), (1, 0), (1, 0), strategy="sticky"), Routed((1, 0), (1, 0), (1, 0), strategy="sticky")
    assert homes(one) == homes(one) == homes(other)


def test_callers_are_shared_by_weight() -> None:
    homed = Counter(homes(Routed((3, 0), (1, 0), strategy="sticky")).values())
    assert homed["a"] / len(CALLERS) == pytest.approx(0.75, abs=0.03)


def test_a_backend_that_leaves_moves_its_own_callers_alone_and_spreads_them() -> None:
    routed = Routed((1, 0), (1, 0), (1, 0), strategy="sticky")
    before = homes(routed)
    routed.open("a")
    without = homes(routed)
    moved = {caller for caller in CALLERS if before[caller] != without[caller]}
    assert moved == {caller for caller, home in before.items() if home == "a"}
    to = Counter(without[caller] for caller in moved)
    assert to["b"] / len(moved) == pytest.approx(0.5, abs=0.06)
    assert homes(routed, NOW + OPEN_SECONDS) == before


def test_a_backend_that_joins_takes_its_share_and_moves_nobody_between_the_others() -> None:
    before = homes(Routed((1, 0), (1, 0), strategy="sticky"))
    after = homes(Routed((1, 0), (1, 0), (1, 0), strategy="sticky"))
    assert {after[caller] for caller in CALLERS if before[caller] != after[caller]} == {"c"}


def test_who_has_nothing_to_stick_by_is_drawn() -> None:
    assert {Routed((1, 0), (1, 0), strategy="sticky").order() for _ in range(1)} <= {"ab", "ba"}
    routed = Routed((1, 0), (1, 0), strategy="sticky")
    assert {routed.order() for _ in range(50)} == {"ab", "ba"}


# -- what holds for every strategy -----------------------------------------------------------------------------------

STRATEGIES = ("weighted", "least_latency", "least_busy", "cheapest", "sticky")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_weight_of_nothing_is_last_in_its_tier_however_good_it_looks(strategy: str) -> None:
    costs = {"a": {"cost": {"input": 5}}, "b": {"cost": {"input": 9}}}
    routed = Routed((0, 0), (1, 0), (1, 0), (1, 1), strategy=strategy, backends=costs)
    for name, seconds in (("a", 0.1), ("b", 0.5), ("c", 0.6), ("d", 0.01)):
        routed.answered(name, seconds)
    routed.begins("b", 3)
    routed.begins("c", 3)
    for caller in CALLERS[:50]:
        ordered = routed.order(sticky=caller)
        assert (ordered[2:], sorted(ordered[:2])) == ("ad", ["b", "c"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_health_removes_and_lower_tiers_come_first_whatever_the_strategy(strategy: str) -> None:
    routed = Routed((1, 1), (1, 0), (1, 0), strategy=strategy)
    routed.open("c")
    assert {routed.order(sticky=caller) for caller in CALLERS[:20]} == {"ba"}
    routed.open("a", "b")
    assert {"".join(sorted(routed.order(sticky=caller))) for caller in CALLERS[:20]} == {"abc"}


# -- conditions, capabilities ----------------------------------------------------------------------------------------


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_a_target_is_for_requests_that_meet_its_condition() -> None:
    routed = Routed((1, 0), (1, 1), when={"a": {"stream": True}})
    assert routed.order(body={"stream": True}) == "ab"
    assert routed.order(body={}) == "b"
    assert routed.skipped(body={}) == {"a": "is for streamed requests only"}


def test_where_no_target_is_for_the_request_it_is_refused_however_well_they_are() -> None:
    routed = Routed((1, 0), (1, 1), when={"a": {"stream": True}, "b": {"min_input_tokens": 1_000}})
    with pytest.raises(GatewayError) as refused:
        routed.order(body={})
    assert refused.value.code is Code.MODEL_UNAVAILABLE
    assert refused.value.message == "No target of the model's route is for such a request."
    assert refused.value.retry_after is None


def test_a_backend_that_cannot_is_left_out_but_not_where_none_can() -> None:
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    routed = Routed((1, 0), (1, 1), backends={"a": {"lacks": ["tools"]}})
    assert routed.order(body=tools) == "b"
    assert routed.skipped(body=tools) == {"a": "lacks tools"}
    assert routed.order(body={}) == "ab"
    routed = Routed((1, 0), (1, 1), backends={"a": {"lacks": ["tools"]}, "b": {"context_window": 10}})
    assert routed.order(body={**tools, "messages": said("x" * 400)}) == "ab"
    assert routed.skipped(body={**tools, "messages": said("x" * 400)}) == {}


def test_guesses_never_bring_back_a_target_whose_condition_is_not_met() -> None:
    routed = Routed((1, 0), (1, 1), when={"b": {"stream": True}}, backends={"a": {"context_window": 10}})
    assert routed.order(body={"messages": said("x" * 400)}) == "a"


def test_a_healthy_backend_that_cannot_does_not_replace_an_ill_one_that_can() -> None:
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    routed = Routed((1, 0), (1, 0), backends={"a": {"lacks": ["tools"]}})
    routed.open("b")
    assert routed.order(body=tools) == "b"


# -- when all are ill ------------------------------------------------------------------------------------------------


def test_a_route_may_refuse_calls_while_all_are_out_and_says_until_when() -> None:
    routed = Routed((1, 0), (1, 1), when_unhealthy="refuse", backends={"a": {"breaker": {"open_seconds": 40}}})
    routed.open("a")
    assert routed.order() == "b"
    routed.open("b")
    with pytest.raises(GatewayError) as refused:
        routed.order(NOW + 2.5)
    assert (refused.value.code, refused.value.retry_after) == (Code.MODEL_UNAVAILABLE, 8)
    assert routed.order(NOW + OPEN_SECONDS) == "b"


@pytest.mark.parametrize(("open_seconds", "later", "told"), [(300, 0, 60), (10, 9.99, 1), (10, 10, 1)])
def test_the_seconds_that_it_tells_are_whole_from_1_to_60(open_seconds: float, later: float, told: int) -> None:
    settings = {"a": {"breaker": {"open_seconds": open_seconds}}}
    routed = Routed((1, 0), when_unhealthy="refuse", backends=settings)
    routed.open("a")
    if later == open_seconds:
        # A probe is under way.
        routed.parts.health.began(routed.backend("a"), NOW + later)
    with pytest.raises(GatewayError) as refused:
        routed.order(NOW + later)
    assert refused.value.retry_after == told


# -- the same, explained ---------------------------------------------------------------------------------------------


def test_every_target_is_explained_by_its_rank_or_by_why_it_is_left_out() -> None:
    routed = Routed((1, 1), (1, 0), (2, 0), (1, 0), when={"d": {"stream": True}})
    routed.open("c")
    found = routed.explained(body={})
    assert found.refusal is None
    assert [(one.backend.name, one.tier, one.weight, one.rank, one.reason, one.health) for one in found.targets] == [
        ("b", 0, 1, 1, None, "healthy"),
        ("a", 1, 1, 2, None, "healthy"),
        ("c", 0, 2, None, f"breaker open for {OPEN_SECONDS:.1f} s", "unavailable"),
        ("d", 0, 1, None, "is for streamed requests only", "healthy"),
    ]


def test_what_is_explained_is_what_would_be_done() -> None:
    """With the same draws, for every strategy."""
    for strategy in STRATEGIES:
        one, other = (Routed((1, 0), (2, 0), (0, 0), (1, 1), (3, 1), strategy=strategy) for _ in range(2))
        for caller in CALLERS[:20]:
            ranked = [target.backend.name for target in one.explained(sticky=caller).targets]
            assert "".join(ranked) == other.order(sticky=caller)


def test_a_refusal_is_explained_and_not_raised() -> None:
    routed = Routed((1, 0), when_unhealthy="refuse")
    routed.open("a")
    found = routed.explained()
    assert found.refusal is not None
    assert found.refusal.code is Code.MODEL_UNAVAILABLE
    (target,) = found.targets
    assert (target.rank, target.reason) == (None, f"breaker open for {OPEN_SECONDS:.1f} s")
    routed = Routed((1, 0), when={"a": {"stream": True}})
    found = routed.explained(body={})
    assert [target.reason for target in found.targets] == ["is for streamed requests only"]
    assert found.refusal is not None


def test_backends_that_are_tried_although_they_are_ill_are_told_as_such() -> None:
    routed = Routed((1, 0), (1, 1))
    routed.open("a", "b")
    assert [(one.rank, one.reason, one.health) for one in routed.explained().targets] == [
        (1, None, "unavailable"),
        (2, None, "unavailable"),
    ]
