"""What providers charge by their public lists, in the words of a backend's `cost`: for operators who ask for it.

The lists come with the package `genai-prices` (the extra `prices`), as they were when that was released. Nothing here
is ever read by a gateway: a price is what somebody has declared.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

_PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
}
"""Our types of providers by the lists' names of them; any other one is looked for by its address."""
_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("input_mtok", "input_text_mtok"),
    "output": ("output_mtok", "output_text_mtok"),
    "cached_input": ("cache_read_mtok", "cache_text_read_mtok"),
    "cache_write": ("cache_write_mtok", "cache_write_5m_mtok", "cache_text_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_text_write_1h_mtok"),
    "input_audio": ("input_audio_mtok",),
    "output_audio": ("output_audio_mtok",),
    "input_image": ("input_image_mtok",),
    "output_image": ("output_image_mtok",),
    "request": ("requests_kcount", "rerank_searches_kcount"),
}
"""A class of `cost` by the lists' names for it, the first that is there."""
_THOUSAND: Final = ("requests_kcount", "rerank_searches_kcount")

Cost = dict[str, Any]
"""As it stands in a file: decimals by class, and `tiers`, a list of such with `above`."""


class Public(msgspec.Struct, frozen=True, kw_only=True):
    """What a list says of one model, in the currency of the list, US dollars."""

    name: str
    """The list's name of the model: what it was taken for."""
    cost: Cost
    left_out: tuple[str, ...]
    """Prices, in the list's words, for which a `cost` has none: of searches, for example."""


class NoLists(Exception):
    """The package that holds the lists is not installed."""


def find(provider_type: str, base_url: str | None, model: str, moment: datetime) -> Public | None:
    """What the list of a provider says of a model at a moment; None where it has none. Raises NoLists."""
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        raise NoLists("the public prices are not installed: pip install 'scaigrid[prices]'") from error
    # By the type or by the address, never by the model's name alone: whose price it is must not be guessed.
    listed = _PROVIDERS.get(provider_type)
    address = None if listed else base_url
    if listed is None and address is None:
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, listed, address)
    except LookupError:
        return None
    told: dict[str, Any] = {name: price for name, price in vars(found.get_prices(moment)).items() if price is not None}
    taken: dict[str, Any] = {}
    for name, keys in _CLASSES.items():
        key = next((key for key in keys if key in told), None)
        if key is not None:
            taken[name] = (key, told.pop(key))
    cost: Cost = {name: _base(key, price) for name, (key, price) in taken.items()}
    tiers = [dict(_tier(above, taken)) for above in _thresholds(taken)]
    if tiers:
        cost["tiers"] = tiers
    return Public(name=found.id, cost=cost, left_out=tuple(sorted(told)))


def _base(key: str, price: Any) -> Decimal:
    return _each(key, price if isinstance(price, Decimal) else price.base)


def _each(key: str, price: Decimal) -> Decimal:
    """A price per thousand as the price of one; prices of tokens are per million in both."""
    return (price / 1000 if key in _THOUSAND else price).normalize() + 0


def _thresholds(taken: Mapping[str, Any]) -> list[int]:
    starts = {int(tier.start) for _, price in taken.values() if not isinstance(price, Decimal) for tier in price.tiers}
    return sorted(starts)


def _tier(above: int, taken: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Each class as it is above a threshold."""
    yield "above", above
    for name, (key, price) in taken.items():
        steps = [] if isinstance(price, Decimal) else [tier.price for tier in price.tiers if tier.start <= above]
        if steps:
            yield name, _each(key, steps[-1])
        elif name != "request":
            yield name, _base(key, price)
