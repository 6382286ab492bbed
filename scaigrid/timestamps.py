"""Times as the API and the log write them: ISO 8601, UTC, microseconds."""

import time

_last: list[tuple[int, str]] = [(0, "1970-01-01T00:00:00")]


def iso(seconds: float) -> str:
    """`2026-01-31T12:00:00.000000Z` for seconds since the epoch."""
    micros = round(seconds * 1_000_000)
    whole, rest = divmod(micros, 1_000_000)
    # Formatting a date costs more than the rest of a log line, and a second has many lines.
    second, text = _last[0]
    if whole != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _last[0] = (whole, text)
    return f"{text}.{rest:06d}Z"
