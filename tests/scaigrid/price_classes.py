"""The golden table of prices: what providers publish, what they say was used, and what that costs to the nano-unit.

`price_classes.json` says in `sum` how each cost comes about, a line for each class: what, how many, the price as it is
declared, and nano-units. Whether a line is right can be worked out without anything of the gateway's.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Final

import msgspec

from adapters import anthropic_usage, bedrock_said, cohere_usage, google_usage, openai_usage
from scaigrid.config.terms import Cost
from scaigrid.control.prices import price_list
from scaigrid.types import Usage

FILE: Final = Path(__file__).with_name("price_classes.json")
_NANO: Final = {"image": 10**9, "request": 10**9, "millisecond": 10**6}
"""Nano-units of one piece at a price of 1; of a token, that is priced by the million, a thousand."""


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider reports: one usage, or those of a stream in their order."""

    by: str
    usage: tuple[msgspec.Raw, ...]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    prices: Cost
    said: Said | None = None
    usage: dict[str, int]
    """The classes that have something in them."""
    sum: tuple[tuple[str, int, str, int], ...]
    cost_nano: int


def cases() -> tuple[Case, ...]:
    return msgspec.json.decode(FILE.read_bytes(), type=tuple[Case, ...])


def worked_out(case: Case) -> tuple[Usage, int]:
    """By the gateway: what was used, as the adapter reads it where the provider's words are there, and its cost."""
    usage = read(case.said) if case.said is not None else Usage(**case.usage)
    return usage, price_list(case.prices).cost(usage)


def by_hand(line: tuple[str, int, str, int]) -> int:
    """What a line of the sum should say."""
    what, many, price, _ = line
    return int((many * Decimal(price) * _NANO.get(what, 1000)).to_integral_value(ROUND_CEILING))


def read(said: Said) -> Usage:
    found = _READERS[said.by](said.usage)
    assert found is not None
    return found


def _anthropic(raw: Sequence[msgspec.Raw]) -> Usage:
    counts = anthropic_usage.Counts()
    return [counts.take(msgspec.json.decode(one, type=anthropic_usage.Reported)) for one in raw][-1]


_READERS: Final[Mapping[str, Callable[[Sequence[msgspec.Raw]], Usage | None]]] = {
    "anthropic": _anthropic,
    "bedrock": lambda raw: bedrock_said.usage(msgspec.json.decode(raw[0], type=bedrock_said.TokenUsage)),
    "cohere": lambda raw: cohere_usage.of_chat(msgspec.json.decode(raw[0], type=cohere_usage.Reported)),
    "cohere-meta": lambda raw: cohere_usage.of_input(msgspec.json.decode(raw[0], type=cohere_usage.Meta)),
    "google": lambda raw: google_usage.usage(raw[0]),
    "openai": lambda raw: openai_usage.usage(raw[0]),
    "openai-responses": lambda raw: openai_usage.of_response(raw[0]),
}
