"""The sixteen faults, in the order of the specification. A fault is one line here."""

from typing import Final

from tests.faults.fault import Fault
from tests.faults.kinds import broken, callers, refusing, silent, standing_in

FAULTS: Final = (
    Fault("rests", "429 with Retry-After: another one answers, and is asked at once", refusing.two, refusing.rests),
    Fault(
        "limited",
        "429 that stays: the provider's limit is told, and when to come again",
        refusing.two,
        refusing.limited,
    ),
    Fault("once", "one 500: another one answers, or the same one again", refusing.two_and_again, refusing.once),
    Fault(
        "away", "503 that stays: the breaker opens, and no call reaches it", refusing.with_and_without, refusing.away
    ),
    Fault("reset", "reset before headers: another one answers", silent.two_and_one, silent.hangs_up),
    Fault("silent", "never answers: another one does after the deadline", silent.hasty, silent.silent),
    Fault(
        "slow", "slow first token: waited for up to the deadline, then another one", silent.slow_and_slower, silent.slow
    ),
    Fault("cut", "stream cut in the middle: never a whole answer", broken.two_and_one, broken.cut),
    Fault("stalled", "stream that stalls: never a whole answer", broken.impatient, broken.stalled),
    Fault("malformed", "malformed chunk: never a whole answer", broken.two_and_one, broken.malformed),
    Fault("unended", "no end marker: never a whole answer", broken.two_and_one, broken.unended),
    Fault(
        "too-long",
        "context too long: told, or answered by a model named for it",
        callers.guarded("context_too_long"),
        callers.too_long,
    ),
    Fault(
        "filtered",
        "content filter: told, or answered by a model named for it",
        callers.guarded("content_refused"),
        callers.filtered,
    ),
    Fault(
        "rejected",
        "fallback that rejects what the primary accepted: the primary's failure is told",
        standing_in.two_and_three,
        standing_in.rejected,
    ),
    Fault("flapping", "flapping primary: opens, probes, closes", standing_in.flaps, standing_in.flapping),
    Fault(
        "accounted",
        "accounting after failover: the row names who served, what failed is free",
        standing_in.priced,
        standing_in.accounted,
    ),
)
