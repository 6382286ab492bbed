"""Limits -> buckets: what one request takes of each, and those of which it takes its tokens."""

from collections.abc import Iterator, Mapping

import msgspec

from scaigrid.config.terms import Limits
from scaigrid.errors import Level
from scaigrid.limiter import Bucket, Take

REQUESTS_PER_MINUTE: Mapping[Level, int] = {"key": 60, "user": 120, "tenant": 1000, "partner": 5000}
"""What holds where nobody has said anything; models have no such limit."""
MINUTE = 60
DAY = 86_400
"""Seconds of the windows."""


def requests_per_minute(level: Level, limits: Limits) -> int | None:
    """The limit in force, which is the level's own where none is given; None for none."""
    given = limits.requests_per_minute
    return REQUESTS_PER_MINUTE.get(level) if given is msgspec.UNSET else given


def request_takes(level: Level, id_: str, limits: Limits) -> Iterator[Take]:
    """One of each limit on requests: a minute's, a day's, and on those at the same time."""
    for seconds, limit in ((MINUTE, requests_per_minute(level, limits)), (DAY, limits.requests_per_day)):
        if limit is not None:
            yield Take(
                Bucket(
                    key=f"limit:requests:{seconds}:{id_}",
                    level=level,
                    kind="requests",
                    limit=limit,
                    period=float(seconds),
                    on_store_failure=limits.on_store_failure,
                ),
                1,
            )
    if limits.concurrent_requests is not None:
        yield Take(
            Bucket(
                key=f"limit:concurrency:{id_}",
                level=level,
                kind="concurrency",
                limit=limits.concurrent_requests,
                fund=True,
                on_store_failure=limits.on_store_failure,
            ),
            1,
        )


def token_buckets(level: Level, id_: str, limits: Limits) -> Iterator[Bucket]:
    """The limits on tokens: a minute's, and a day's."""
    for seconds, limit in ((MINUTE, limits.tokens_per_minute), (DAY, limits.tokens_per_day)):
        if limit is not None:
            yield Bucket(
                key=f"limit:tokens:{seconds}:{id_}",
                level=level,
                kind="tokens",
                limit=limit,
                period=float(seconds),
                on_store_failure=limits.on_store_failure,
            )
