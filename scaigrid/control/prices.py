"""Prices as they are declared -> price lists: decimals become integers, and what was left out is filled in."""

from typing import Final

import msgspec

from scaigrid.config.terms import Cost, PriceTier
from scaigrid.pricing import PriceList, Tier, to_nano, versioned

WORDS: Final = {
    "input": "input",
    "cache_read": "cached_input",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "output": "output",
    "audio_input": "input_audio",
    "audio_output": "output_audio",
    "image_input": "input_image",
    "image_output": "output_image",
    "image": "image",
    "second": "second",
    "request": "request",
}
"""How files and the API call each class of a price list, in an order in which each stands behind what it falls back
on."""
_LEFT_OUT: Final = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "output_audio": "output",
    "input_image": "input",
    "output_image": "output",
}
"""What a price is as where it was left out."""


def price_list(cost: Cost) -> PriceList:
    """Prices in integers, under their version."""
    tiers = tuple(Tier(above=tier.above, prices=_flat(_within(tier, cost))) for tier in cost.tiers)
    return versioned(msgspec.structs.replace(_flat(cost), tiers=tiers))


def _within(tier: PriceTier, cost: Cost) -> Cost:
    """The prices as they are with what the tier says."""
    said = {word: price for word in WORDS.values() if (price := getattr(tier, word)) is not None}
    return msgspec.structs.replace(cost, tiers=(), **said)


def _flat(cost: Cost) -> PriceList:
    prices: dict[str, int] = {}
    for word in WORDS.values():
        price = getattr(cost, word)
        prices[word] = prices[_LEFT_OUT[word]] if price is None else to_nano(price)
    return msgspec.convert({name: prices[word] for name, word in WORDS.items()}, PriceList)
