"""Prices and costs as they are sent and answered: decimal strings, exact to the nano-unit."""

from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from scaigrid.api import money
from scaigrid.config.decode import Invalid
from scaigrid.config.nodes import Path
from scaigrid.config.terms import Cost, Prices, PriceTier
from scaigrid.control.prices import WORDS
from scaigrid.dialects.forms import invalid
from scaigrid.dialects.shapes import AnswerShape, RequestShape
from scaigrid.errors import Detail
from scaigrid.pricing import PriceList, to_decimal

Price = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(?:\.[0-9]{1,9})?(?!\n)$")]
"""Below a million of the currency for a million tokens. With ten times as much, a usage row could not hold the cost of
what a provider may claim to have answered."""
_MOST_TIERS = 16

_C = TypeVar("_C", bound=Cost)

# -- as they are sent ------------------------------------------------------------------------------------------------


class PriceTierGiven(RequestShape, omit_defaults=True):
    """Prices of requests with more than `above` tokens of input; they hold for the whole request.

    What is left out is as in the prices that the tier belongs to. What these leave out too follows the tier: its
    `cached_input` is then as its `input`.
    """

    above: Annotated[int, Meta(ge=1, le=2**40)]
    """Tokens of input: cached and written ones, sound and images included."""
    input: Price | None = None
    """Input tokens that were not cached."""
    output: Price | None = None
    """Output tokens, reasoning included."""
    cached_input: Price | None = None
    """Input tokens read from the provider's cache."""
    cache_write: Price | None = None
    """Input tokens written to the provider's cache (kept 5 minutes)."""
    cache_write_1h: Price | None = None
    """Input tokens written to the provider's cache for an hour."""
    input_audio: Price | None = None
    """Input tokens of sound."""
    output_audio: Price | None = None
    """Output tokens of sound."""
    input_image: Price | None = None
    """Input tokens of images."""
    output_image: Price | None = None
    """Output tokens of images."""
    image: Price | None = None
    """Each image that is made."""
    second: Price | None = None
    """Each second of sound."""
    request: Price | None = None
    """Each answered request."""


class CostGiven(RequestShape, omit_defaults=True):
    """What a provider charges, in the currency of the prices, per million tokens where nothing else is said."""

    input: Price = "0"
    """Input tokens that were not cached."""
    output: Price = "0"
    """Output tokens, reasoning included."""
    cached_input: Price | None = None
    """Input tokens read from the provider's cache. Left out: as `input`."""
    cache_write: Price | None = None
    """Input tokens written to the provider's cache (kept 5 minutes). Left out: as `input`."""
    cache_write_1h: Price | None = None
    """Input tokens written to the provider's cache for an hour. Left out: as `cache_write`."""
    input_audio: Price | None = None
    """Input tokens of sound. Left out: as `input`."""
    output_audio: Price | None = None
    """Output tokens of sound. Left out: as `output`."""
    input_image: Price | None = None
    """Input tokens of images. Left out: as `input`."""
    output_image: Price | None = None
    """Output tokens of images. Left out: as `output`."""
    image: Price = "0"
    """Each image that is made, where images are charged by the piece."""
    second: Price = "0"
    """Each second of sound, where sound is charged by its length."""
    request: Price = "0"
    """Each answered request, besides its tokens."""
    tiers: Annotated[tuple[PriceTierGiven, ...], Meta(max_length=_MOST_TIERS)] = ()
    """Other prices for large requests, by rising `above`."""


class PricesGiven(CostGiven, omit_defaults=True):
    """What users pay, in the words in which a backend's cost is given."""


def cost_of(given: CostGiven, where: str = "cost") -> Cost:
    """What was sent in the field `where`, as it is kept. Raises VALIDATION_ERROR for thresholds that do not rise."""
    return _kept(given, where, Cost)


def prices_of(given: PricesGiven, where: str = "prices") -> Prices:
    """As `cost_of`."""
    return _kept(given, where, Prices)


def _kept(given: CostGiven, where: str, kind: type[_C]) -> _C:
    tiers = tuple(PriceTier(above=tier.above, **_decimals(tier)) for tier in given.tiers)
    try:
        return kind(**_decimals(given), tiers=tiers)
    except Invalid as error:
        raise invalid(*(Detail(_field(where, path), reason) for path, reason in error.errors)) from None


def _decimals(given: CostGiven | PriceTierGiven) -> dict[str, Any]:
    return {word: Decimal(price) for word in WORDS.values() if (price := getattr(given, word)) is not None}


def _field(where: str, path: Path) -> str:
    return where + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


# -- as they are answered --------------------------------------------------------------------------------------------


class PriceTierItem(AnswerShape, kw_only=True):
    """Prices of requests with more than `above` tokens of input; null: as in the prices that the tier belongs to."""

    above: int
    input: str | None
    output: str | None
    cached_input: str | None
    cache_write: str | None
    cache_write_1h: str | None
    input_audio: str | None
    output_audio: str | None
    input_image: str | None
    output_image: str | None
    image: str | None
    second: str | None
    request: str | None


class CostItem(AnswerShape, kw_only=True):
    """What the provider charges, in the currency of the prices, per million tokens where nothing else is said."""

    input: str
    """Input tokens that were not cached."""
    output: str
    """Output tokens, reasoning included."""
    cached_input: str | None
    """Input tokens read from the provider's cache; null: as `input`."""
    cache_write: str | None
    """Input tokens written to the provider's cache (kept 5 minutes); null: as `input`."""
    cache_write_1h: str | None
    """Input tokens written to the provider's cache for an hour; null: as `cache_write`."""
    input_audio: str | None
    """Input tokens of sound; null: as `input`."""
    output_audio: str | None
    """Output tokens of sound; null: as `output`."""
    input_image: str | None
    """Input tokens of images; null: as `input`."""
    output_image: str | None
    """Output tokens of images; null: as `output`."""
    image: str
    """Each image that is made."""
    second: str
    """Each second of sound."""
    request: str
    """Each answered request, besides its tokens."""
    tiers: tuple[PriceTierItem, ...]
    """Other prices for large requests."""


class ModelTier(AnswerShape, kw_only=True):
    """Prices of requests with more than `above` tokens of input; they hold for the whole request."""

    above: int
    """Tokens of input: cached and written ones, sound and images included."""
    input: str
    output: str
    cached_input: str
    cache_write: str
    cache_write_1h: str
    input_audio: str
    output_audio: str
    input_image: str
    output_image: str
    image: str
    second: str
    request: str


class ModelPrices(AnswerShape, kw_only=True):
    """Decimal strings in the deployment's currency: tokens by the million; images, seconds and requests by the piece.

    Nothing is left out: what was not priced apart has the price of what it is charged as.
    """

    input: str
    """Input tokens that were not cached."""
    output: str
    """Output tokens, reasoning included."""
    cached_input: str
    """Input tokens read from the provider's cache."""
    cache_write: str
    """Input tokens written to the provider's cache (kept 5 minutes)."""
    cache_write_1h: str
    """Input tokens written to the provider's cache for an hour."""
    input_audio: str
    """Input tokens of sound."""
    output_audio: str
    """Output tokens of sound."""
    input_image: str
    """Input tokens of images."""
    output_image: str
    """Output tokens of images."""
    image: str
    """Each image that is made."""
    second: str
    """Each second of sound, where sound is charged by its length."""
    request: str
    """Each answered request, besides its tokens."""
    tiers: tuple[ModelTier, ...]
    """Other prices for large requests, by rising `above`."""


def cost_item(cost: Cost) -> CostItem:
    tiers = [{"above": tier.above} | _shown(tier) for tier in cost.tiers]
    return msgspec.convert(_shown(cost) | {"tiers": tiers}, CostItem)


def model_prices(prices: PriceList) -> ModelPrices:
    """What a price list says, every class of it."""
    tiers = [{"above": tier.above} | _amounts(tier.prices) for tier in prices.tiers]
    return msgspec.convert(_amounts(prices) | {"tiers": tiers}, ModelPrices)


def sent(cost: Cost) -> dict[str, Any]:
    """Prices or a cost as somebody would send them, without what was left out."""
    return {
        **{word: price for word, price in _shown(cost).items() if price is not None},
        "tiers": [{"above": tier.above} | _shown(tier) for tier in cost.tiers],
    }


def _shown(cost: Cost | PriceTier) -> dict[str, str | None]:
    return {word: money.shown(getattr(cost, word)) for word in WORDS.values()}


def _amounts(prices: PriceList) -> dict[str, str]:
    return {word: to_decimal(getattr(prices, name)) for name, word in WORDS.items()}
