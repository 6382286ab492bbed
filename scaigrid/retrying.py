"""How often a failed call may be made again: the pause ahead of it, and what a worker may add to its load that way."""

import asyncio
import math
import random
from typing import Final

from scaigrid.asgi import Receive
from scaigrid.client_watch import ClientWatch
from scaigrid.clock import Clock
from scaigrid.errors import Code, GatewayError
from scaigrid.patience import Interrupted, Patience, Why
from scaigrid.stopping import Live, stopping

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_MEMORY: Final = 10.0
"""Seconds. What calls have put aside for retries fades with this time constant, so that a quiet hour pays for no
storm: at a steady rate there is as much of it as the calls of so many seconds have put aside."""


def pause_before(turn: int, draw: random.Random) -> float:
    """Seconds ahead of the `turn`-th time (from 1 on) that the backends of a call are gone round again.

    Anything from nothing to a bound that doubles, 0.1 s at first and 2 s at the most ("full jitter"): calls that have
    failed together do not come back together.
    """
    return draw.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (turn - 1)))


class _Pausing:
    """A call that does nothing at the moment, as the watch over its client knows it."""

    __slots__ = ("_patience",)

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def lasts(self) -> None:
        """Nothing is under way that would have to be noted."""

    def left(self) -> None:
        """Nobody waits any more."""
        self._patience.trip(Why.CLIENT_CLOSED)


async def pause(seconds: float, ends: float, receive: Receive, live: Live) -> None:
    """Waits. Raises CLIENT_CLOSED where the client leaves meanwhile, OVERLOADED where the gateway stops.

    `ends`, the loop's time at which the whole call has to be over, has to lie beyond the pause.
    """
    try:
        with Patience(ends) as patience, ClientWatch(receive, _Pausing(patience)):
            live.enter(patience)
            try:
                await asyncio.sleep(seconds)
            finally:
                live.leave(patience)
    except Interrupted as interrupted:
        if interrupted.why is Why.STOPPING:
            raise stopping() from None
        raise GatewayError(Code.CLIENT_CLOSED) from None


class RetryBudget:
    """How many calls beyond the first ones a worker may make: a share of its live calls, and a few each second.

    So a bad minute of a provider is not made worse by its callers' gateway: where all calls fail, `share` 0.2 makes
    six of five, and not as many as the routes allow. The few each second are for those who have hardly any calls.
    """

    __slots__ = ("_clock", "_few", "_per_second", "_put_aside", "_share", "_since", "calls")

    def __init__(self, share: float, per_second: float, clock: Clock) -> None:
        self.calls = 0
        """Calls since somebody last asked. Whoever begins one adds it; a call that goes well costs nothing else."""
        self._share = share
        self._per_second = per_second
        self._clock = clock
        self._put_aside = 0.0
        self._few = self._most_few
        self._since = clock.monotonic()

    @property
    def _most_few(self) -> float:
        """What is left over of a second is kept for one more, and never less than one whole retry."""
        return max(self._per_second, 1.0) if self._per_second else 0.0

    def take(self) -> bool:
        """Whether one more call may be made; it counts from then on."""
        self._look()
        if self._few >= 1:
            self._few -= 1
        elif self._put_aside >= 1:
            self._put_aside -= 1
        else:
            return False
        return True

    def give_back(self) -> None:
        """The call that was asked for has not been made."""
        self._put_aside += 1

    def _look(self) -> None:
        now = self._clock.monotonic()
        passed = now - self._since
        new = self.calls * self._share
        if passed > 0:
            # The new calls are taken to have come evenly over the time that has passed.
            left = math.exp(-passed / _MEMORY)
            self._put_aside = self._put_aside * left + new * (1 - left) * _MEMORY / passed
            self._few = min(self._most_few, self._few + passed * self._per_second)
        else:
            self._put_aside += new
        self.calls = 0
        self._since = now
