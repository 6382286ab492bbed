"""Prices of public lists, in the words of a `cost`: which ones is the lists' affair, their shape is ours."""

import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from scaigrid.public_prices import NoLists, Public, find

NOW = datetime(2026, 11, 1, tzinfo=UTC)
_CLASSES = {"input", "output", "cached_input", "cache_write", "cache_write_1h"}


def listed(provider_type: str, model: str, base_url: str | None = None) -> Public:
    found = find(provider_type, base_url, model, NOW)
    assert found is not None
    return found


def test_a_listed_model_has_a_price_of_each_class() -> None:
    public = listed("anthropic", "claude-sonnet-4-5")
    assert public.name == "claude-sonnet-4-5"
    assert set(public.cost) == {*_CLASSES, "tiers"}
    assert all(price > 0 for name, price in public.cost.items() if name != "tiers")
    # Whatever they are, writing to a cache costs more than reading from it.
    assert public.cost["cached_input"] < public.cost["input"] < public.cost["cache_write"]


def test_a_tier_has_every_class_as_it_is_above_its_threshold() -> None:
    public = listed("google", "gemini-2.5-pro")
    (tier,) = public.cost["tiers"]
    assert tier["above"] == 200_000
    assert set(tier) - {"above"} == set(public.cost) - {"tiers"}
    assert tier["input"] > public.cost["input"]


def test_prices_are_plain_decimals() -> None:
    for price in listed("openai", "gpt-4o-mini").cost.values():
        assert isinstance(price, Decimal)
        assert "E" not in str(price)


def test_what_a_cost_has_no_word_for_is_named() -> None:
    assert "web_searches_kcount" in listed("anthropic", "claude-sonnet-4-5").left_out


def test_who_is_of_no_listed_type_is_known_by_its_address() -> None:
    assert listed("custom", "kimi-k2", "https://api.moonshot.ai/v1").name.startswith("kimi")


@pytest.mark.parametrize(
    ("provider_type", "model", "base_url"),
    [
        ("openai", "no-such-model", None),
        ("custom", "gpt-4o", "http://models.internal/v1"),
        ("custom", "gpt-4o", None),
        ("simulator", "gpt-4o", None),
    ],
)
def test_a_price_is_never_guessed(provider_type: str, model: str, base_url: str | None) -> None:
    """A model of that name somewhere else is another model."""
    assert find(provider_type, base_url, model, NOW) is None


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(NoLists, match=r"pip install 'scaigrid\[prices\]'"):
        find("openai", None, "gpt-4o", NOW)
