"""Limits become buckets: which there are, under which key, and what is taken of them."""

from typing import Any

import pytest

from scaigrid.config.terms import Limits
from scaigrid.control.buckets import request_takes, requests_per_minute, token_buckets
from scaigrid.errors import Level

FULL = Limits(
    requests_per_minute=1,
    requests_per_day=2,
    tokens_per_minute=3,
    tokens_per_day=4,
    concurrent_requests=5,
    on_store_failure="allow",
)
LEVELS: list[Level] = ["partner", "tenant", "user", "key", "model"]


def test_each_limit_is_a_bucket_of_its_own_with_a_key_that_stays() -> None:
    takes = list(request_takes("user", "user_1", FULL))
    buckets = [*(take.bucket for take in takes), *token_buckets("user", "user_1", FULL)]
    assert [(one.key, one.kind, one.limit, one.fund, one.period) for one in buckets] == [
        ("limit:requests:60:user_1", "requests", 1, False, 60),
        ("limit:requests:86400:user_1", "requests", 2, False, 86_400),
        ("limit:concurrency:user_1", "concurrency", 5, True, 60),
        ("limit:tokens:60:user_1", "tokens", 3, False, 60),
        ("limit:tokens:86400:user_1", "tokens", 4, False, 86_400),
    ]
    assert {one.level for one in buckets} == {"user"}
    assert {take.amount for take in takes} == {1}


@pytest.mark.parametrize("level", LEVELS)
def test_what_an_outage_means_stands_on_every_bucket(level: Level) -> None:
    buckets = [*(take.bucket for take in request_takes(level, "x", FULL)), *token_buckets(level, "x", FULL)]
    assert [one.on_store_failure for one in buckets] == ["allow"] * 5


@pytest.mark.parametrize("level", LEVELS)
def test_zero_is_a_limit_and_null_is_none(level: Level) -> None:
    names = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "concurrent_requests")
    zero: dict[str, Any] = dict.fromkeys(names, 0)
    null: dict[str, Any] = dict.fromkeys(names)
    limits = Limits(**zero)
    kept = [*(take.bucket.limit for take in request_takes(level, "x", limits))]
    assert [*kept, *(bucket.limit for bucket in token_buckets(level, "x", limits))] == [0] * 5
    assert list(request_takes(level, "x", Limits(**null))) == []
    assert list(token_buckets(level, "x", Limits(**null))) == []


def test_only_requests_a_minute_are_limited_unsaid_and_not_of_models() -> None:
    unsaid = {level: [take.bucket.limit for take in request_takes(level, "x", Limits())] for level in LEVELS}
    assert unsaid == {"partner": [5000], "tenant": [1000], "user": [120], "key": [60], "model": []}
    assert not [bucket for level in LEVELS for bucket in token_buckets(level, "x", Limits())]
    assert {level: requests_per_minute(level, FULL) for level in LEVELS} == dict.fromkeys(LEVELS, 1)
