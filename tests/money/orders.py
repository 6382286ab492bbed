"""A call says itself what it will have used, so its price is known before it is made, to the nano-unit.

The prices have nine places and the arithmetic here is its own: it would notice if the gateway's were wrong.
"""

import random
from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from typing import Any, Final

import msgspec

PRICES: Final[Mapping[str, str]] = {"input": "3.123456789", "output": "15.000000007", "cached_input": "0.300000011"}
"""What the one model costs its callers, per million tokens."""
COST: Final[Mapping[str, str]] = {"input": "1.000000001", "output": "5"}
"""What its provider charges."""
WINDOW: Final = 1000
"""Its context window. Less than what any call is taken to be by its bytes, so each reserves so much input."""
MOST_OUTPUT: Final = 400

_NANO_PER_TOKEN: Final = {name: int(Decimal(price) * 10**9) for name, price in PRICES.items()}
_numbers = count(1)


def nano(name: str, tokens: int) -> int:
    """What so many tokens of a class cost, rounded up once."""
    return -(-tokens * _NANO_PER_TOKEN[name] // 10**6)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what the provider will bill, and the bound that the caller sends."""

    id: str
    purse: str
    """Whose money it is; the name of a user and of its key."""
    tokens_in: int
    """Uncached."""
    cached: int = 0
    tokens_out: int
    bound: int
    stream: bool = False
    pieces: int = 2
    """Of a streamed answer."""
    seconds: float = 0.0
    """How long the provider takes, besides."""
    model: str = "m"

    @property
    def cost(self) -> int:
        """Nano-units."""
        return nano("input", self.tokens_in) + nano("cached_input", self.cached) + nano("output", self.tokens_out)

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.cached + self.tokens_out

    @property
    def body(self) -> dict[str, Any]:
        """What is sent: the order stands in the message, for the provider to read."""
        told = msgspec.json.encode(self).decode()
        streams = {"stream": True} if self.stream else {}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": told}],
            "max_tokens": self.bound,
            **streams,
        }


WORST_COST: Final = nano("input", WINDOW) + nano("output", MOST_OUTPUT)
"""The least that the dearest call has to reserve, in nano-units."""
WORST_TOKENS: Final = WINDOW + MOST_OUTPUT


def least_reserved(bound: int) -> tuple[int, int]:
    """What a call of that bound can cost and use, and therefore at least reserves: nano-units and tokens."""
    output = min(bound, MOST_OUTPUT)
    return nano("input", WINDOW) + nano("output", output), WINDOW + output


def dice(seed: str | int) -> random.Random:
    """The same throws each time: a run that fails can be had again."""
    return random.Random(seed)  # noqa: S311  # no secret depends on it


def some(chance: random.Random, purse: str, *, stream: bool | None = None, seconds: float = 0.0) -> Order:
    """A call of any size: half of them small, some of them as large as their bound allows."""
    bound = chance.randint(1, MOST_OUTPUT)
    full = chance.random() < 0.1
    tokens_in = WINDOW if full else chance.randint(1, WINDOW)
    cached = chance.randint(0, WINDOW - tokens_in)
    return Order(
        id=named(purse),
        purse=purse,
        tokens_in=tokens_in,
        cached=cached,
        tokens_out=bound if full else chance.randint(0, bound),
        bound=bound,
        stream=chance.random() < 0.3 if stream is None else stream,
        pieces=chance.randint(1, 4),
        seconds=seconds * chance.random(),
    )


def named(purse: str) -> str:
    """The id of a request that nobody else has."""
    return f"money-{purse}-{next(_numbers):07}"
