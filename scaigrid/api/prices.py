"""Prices and costs as they are sent and answered: decimal strings, exact to the nano-unit."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from scaigrid.api import money
from scaigrid.config.terms import Cost, Prices
from scaigrid.dialects.shapes import AnswerShape, RequestShape
from scaigrid.pricing import to_decimal, to_nano

Price = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(?:\.[0-9]{1,9})?(?!\n)$")]
"""Below a million of the currency for a million tokens. With ten times as much, a usage row could not hold the cost of
what a provider may claim to have answered."""


class CostGiven(RequestShape):
    """What a provider charges, in the currency of the prices, per million tokens."""

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


class PricesGiven(CostGiven):
    """What users pay, per million tokens, and for each request."""

    request: Price = "0"
    """Each answered request, besides its tokens."""


class CostItem(AnswerShape, kw_only=True):
    """What the provider charges, in the currency of the prices, per million tokens."""

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


def cost_of(given: CostGiven) -> Cost:
    return Cost(
        input=Decimal(given.input),
        output=Decimal(given.output),
        cached_input=money.read(given.cached_input),
        cache_write=money.read(given.cache_write),
        cache_write_1h=money.read(given.cache_write_1h),
    )


def prices_of(given: PricesGiven) -> Prices:
    return Prices(
        input=Decimal(given.input),
        output=Decimal(given.output),
        cached_input=money.read(given.cached_input),
        cache_write=money.read(given.cache_write),
        cache_write_1h=money.read(given.cache_write_1h),
        request=Decimal(given.request),
    )


def cost_item(cost: Cost) -> CostItem:
    return CostItem(
        input=to_decimal(to_nano(cost.input)),
        output=to_decimal(to_nano(cost.output)),
        cached_input=money.shown(cost.cached_input),
        cache_write=money.shown(cost.cache_write),
        cache_write_1h=money.shown(cost.cache_write_1h),
    )
