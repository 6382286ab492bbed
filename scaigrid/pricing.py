"""Tokens to money, in integers: nano-units (1e-9) of the deployment's currency, rounded up once for each class.

Prices are nano-units per million tokens, so a decimal price with up to nine places is exact.
"""

import hashlib
import sys
from decimal import Decimal
from functools import cached_property
from typing import Final

import msgspec

from scaigrid.types import Usage

NANO = 1_000_000_000
MILLION = 1_000_000
THOUSAND = 1_000
MOST_COST = 10**18
"""No call costs more than a billion: what would was counted wrong, and a row and a sum of rows have 64 bits."""


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


class PriceList(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Nano-units per million tokens of each class; per image that is made, per second of sound, and per request."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    image: int = 0
    second: int = 0
    request: int = 0
    tiers: "tuple[Tier, ...]" = ()
    """By rising thresholds. Where the input is above one, its prices hold for the whole request instead of these."""
    version: str = ""
    """Changes with the prices; stamped on every usage row, so that a wrong price can be found and rated again."""

    def cost(self, usage: Usage) -> int:
        """What `usage` costs, in nano-units."""
        prices = self.at(usage.total_input) if self.tiers else self
        cost = (
            prices.request
            - (-usage.input * prices.input // MILLION)
            - (-usage.cache_read * prices.cache_read // MILLION)
            - (-usage.cache_write * prices.cache_write // MILLION)
            - (-usage.cache_write_1h * prices.cache_write_1h // MILLION)
            - (-usage.output * prices.output // MILLION)
        )
        if (
            usage.audio_input
            or usage.audio_output
            or usage.image_input
            or usage.image_output
            or usage.images
            or usage.milliseconds
        ):
            cost += (
                usage.images * prices.image
                - (-usage.audio_input * prices.audio_input // MILLION)
                - (-usage.audio_output * prices.audio_output // MILLION)
                - (-usage.image_input * prices.image_input // MILLION)
                - (-usage.image_output * prices.image_output // MILLION)
                - (-usage.milliseconds * prices.second // THOUSAND)
            )
        return min(cost, MOST_COST)

    def worst(self, input_tokens: int, output_tokens: int, images: int = 0, milliseconds: int = 0) -> int:
        """The most that a call within these bounds can cost: all tokens in their dearest class, each class rounded up.

        Every tier that so much input can reach is looked at, for a lower one may be the dearer one.
        """
        if self.tiers:
            return max(
                prices.worst(min(input_tokens, up_to), output_tokens, images, milliseconds)
                for prices, above, up_to in self._ranges
                if input_tokens > above
            )
        dearest_in, rounding_in, dearest_out, rounding_out = self._dearest
        most = self.request - (-input_tokens * dearest_in // MILLION) - (-output_tokens * dearest_out // MILLION)
        # Each class that is not charged in whole nano-units a token rounds up once, if there is a token in it; one of
        # them does so in the product itself.
        if rounding_in > 1 and input_tokens > 1:
            most += min(rounding_in, input_tokens) - 1
        if rounding_out > 1 and output_tokens > 1:
            most += min(rounding_out, output_tokens) - 1
        if images or milliseconds:
            most += images * self.image - (-milliseconds * self.second // THOUSAND)
        return min(most, MOST_COST)

    def at(self, input_tokens: int) -> "PriceList":
        """The prices of a request with so much input, cached and written input, sound and images included."""
        for tier in reversed(self.tiers):
            if input_tokens > tier.above:
                return tier.prices
        return self

    @property
    def free(self) -> bool:
        flat = (getattr(self, name) for name in _CLASSES)
        return not any(flat) and all(tier.prices.free for tier in self.tiers)

    @cached_property
    def _ranges(self) -> "tuple[tuple[PriceList, int, int], ...]":
        """Prices without tiers, each with the input that it holds for: above the first number, up to the second."""
        prices = (msgspec.structs.replace(self, tiers=()), *(tier.prices for tier in self.tiers))
        above = (-1, *(tier.above for tier in self.tiers))
        return tuple(zip(prices, above, (*above[1:], sys.maxsize), strict=True))

    @cached_property
    def _dearest(self) -> tuple[int, int, int, int]:
        """The highest price of input, and how many of its classes round; the same of output."""
        prices_in: list[int] = [getattr(self, name) for name in INPUT_CLASSES]
        prices_out: list[int] = [getattr(self, name) for name in OUTPUT_CLASSES]
        return max(prices_in), _rounding(prices_in), max(prices_out), _rounding(prices_out)


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of requests with more than `above` tokens of input; they have no tiers of their own."""

    above: int
    prices: PriceList


INPUT_CLASSES: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "image_input")
OUTPUT_CLASSES: Final = ("output", "audio_output", "image_output")
_CLASSES: Final = (*INPUT_CLASSES, *OUTPUT_CLASSES, "image", "second", "request")
FREE = PriceList(version="free")


def _rounding(prices: list[int]) -> int:
    return sum(price % MILLION != 0 for price in prices)


def versioned(prices: PriceList) -> PriceList:
    """The list under the name of what it says: the same prices have one version everywhere, others have another."""
    version = hashlib.sha256(msgspec.json.encode(_said(prices))).hexdigest()[:12]
    return msgspec.structs.replace(prices, version=version)


def _said(prices: PriceList) -> dict[str, object]:
    """What a version hashes.

    Sound and images that are priced as text, which is what lists did that were made before they had classes of their
    own, are left out: rows are stamped with the versions of such lists.
    """
    said: dict[str, object] = {name: getattr(prices, name) for name in _FIRST}
    said["version"] = ""
    said |= {
        name: price
        for name, other in _LATER.items()
        if (price := getattr(prices, name)) != (said[other] if other else 0)
    }
    if prices.tiers:
        said["tiers"] = [[tier.above, _said(tier.prices)] for tier in prices.tiers]
    return said


_FIRST: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "request")
_LATER: Final = {
    "audio_input": "input",
    "audio_output": "output",
    "image_input": "input",
    "image_output": "output",
    "image": None,
    "second": None,
}
"""By class, the one that it was priced as before."""
