"""Tokens to money, in integers: nano-units (1e-9) of the deployment's currency, rounded up once for each class.

Prices are nano-units per million tokens, so a decimal price with up to nine places is exact.
"""

from decimal import Decimal

import msgspec

from scaigrid.types import Usage

NANO = 1_000_000_000
MILLION = 1_000_000


def to_nano(amount: Decimal) -> int:
    """Nano-units of a decimal amount; what is finer than one nano-unit is rounded up.

    Raises ValueError or OverflowError for NaN and infinity.
    """
    # In integers, because decimal arithmetic rounds to the 28 digits of its context first.
    numerator, denominator = amount.as_integer_ratio()
    return -(-numerator * NANO // denominator)


def to_decimal(nano: int) -> str:
    """An amount as the API shows it: a plain decimal string without trailing zeros (`0.00042`)."""
    whole, rest = divmod(abs(nano), NANO)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nano < 0 else text


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """Nano-units per million tokens of each class, and per request."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    request: int = 0
    version: str = ""
    """Changes with the prices; stamped on every usage row, so that a wrong price can be found and rated again."""

    def cost(self, usage: Usage) -> int:
        """What `usage` costs, in nano-units."""
        return (
            self.request
            - (-usage.input * self.input // MILLION)
            - (-usage.cache_read * self.cache_read // MILLION)
            - (-usage.cache_write * self.cache_write // MILLION)
            - (-usage.cache_write_1h * self.cache_write_1h // MILLION)
            - (-usage.output * self.output // MILLION)
        )

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost: all input in its dearest class, and each class rounded up."""
        prices = (self.input, self.cache_read, self.cache_write, self.cache_write_1h)
        # Each input class with a price and a token in it rounds up once; one of them does so in the product itself.
        rounded = min(4 - prices.count(0), input_tokens) - 1
        return (
            self.request
            - (-input_tokens * max(prices) // MILLION)
            + max(rounded, 0)
            - (-output_tokens * self.output // MILLION)
        )

    @property
    def free(self) -> bool:
        return not (
            self.input or self.cache_read or self.cache_write or self.cache_write_1h or self.output or self.request
        )


FREE = PriceList(version="free")
