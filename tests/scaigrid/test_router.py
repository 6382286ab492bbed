import random
from collections import Counter
from typing import Any

import pytest

from scaigrid.config.snapshot import Route
from scaigrid.errors import Code, GatewayError
from scaigrid.health import FAILURES_TO_OPEN, OPEN_SECONDS
from scaigrid.router import order
from tests.harness.services import MODEL, Parts

NOW = 1000.0
DRAWS = 20_000
TOLERANCE = 0.015
"""Four standard deviations of a share of one half among DRAWS."""


class Routed:
    """A route over backends `a`, `b`, `c` ..., each target given as (weight, priority)."""

    def __init__(self, *targets: tuple[int, int]) -> None:
        names = "abcdefgh"[: len(targets)]
        backends = {name: {"provider": "up", "model": "m"} for name in names}
        route: dict[str, Any] = {
            "targets": [
                {"backend": name, "weight": weight, "priority": priority}
                for name, (weight, priority) in zip(names, targets, strict=True)
            ]
        }
        self.parts = Parts(backends=backends, models={"m": {**MODEL, "route": route}})
        self.route: Route = self.parts.model.route
        self.draw = random.Random(20260101)  # noqa: S311 - shares are drawn, no secrets

    def order(self, now: float = NOW) -> str:
        """The names in the order of trying."""
        ordered, _ = order(self.route, self.parts.health, now, self.draw)
        return "".join(backend.name for backend in ordered)

    def skipped(self, now: float = NOW) -> dict[str, str]:
        return dict(order(self.route, self.parts.health, now, self.draw)[1])

    def shares(self) -> dict[str, float]:
        """By name, how often it was first."""
        first = Counter(self.order()[0] for _ in range(DRAWS))
        return {name: count / DRAWS for name, count in first.items()}

    def open(self, *names: str) -> None:
        """Opens their breakers."""
        for backend in self.parts.snapshot.backends:
            if backend.name in names:
                for _ in range(FAILURES_TO_OPEN):
                    self.parts.health.began(backend, NOW)
                    self.parts.health.ended(backend, GatewayError(Code.BACKEND_ERROR), NOW)


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
