from typing import Any

import pytest

from adapters.google_thinking import config, signs_calls, version
from scaigrid.errors import Code, GatewayError
from scaigrid.types import ReasoningRequest


def refused(asked: ReasoningRequest, model: str) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        config(asked, model)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gemini-2.0-flash", (2, 0)),
        ("gemini-2.5-flash-lite-preview-09-2025", (2, 5)),
        ("models/gemini-3-pro-preview", (3, 0)),
        ("gemini-3.1-pro-preview", (3, 1)),
        ("gemini-1.5-pro-002", (1, 5)),
    ],
)
def test_a_model_bears_its_version_in_its_name(model: str, found: tuple[int, int]) -> None:
    assert version(model) == found
    assert signs_calls(model) is (found >= (3, 0))


def test_a_name_without_a_version_is_a_new_one() -> None:
    assert signs_calls("gemini-flash-latest")
    assert signs_calls("endpoints/7")


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3-flash-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "minimal"}),
        ("gemini-3-flash-preview", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-3-flash-preview", "max", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3-pro-preview", "medium", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.1-pro-preview", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-2.5-flash", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
        ("gemini-2.5-flash", "xhigh", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-pro", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-pro", "max", {"includeThoughts": True, "thinkingBudget": 32768}),
        ("gemini-2.0-flash", "none", None),
    ],
)
def test_every_generation_has_its_word_for_an_effort(model: str, effort: Any, said: dict[str, Any] | None) -> None:
    assert config(ReasoningRequest(effort=effort), model) == said


def test_who_cannot_think_and_who_cannot_but_think_says_so() -> None:
    assert refused(ReasoningRequest(effort="none"), "gemini-2.5-pro") == ["reasoning.effort"]
    assert refused(ReasoningRequest(effort="none"), "gemini-3-pro-preview") == ["reasoning.effort"]
    assert refused(ReasoningRequest(effort="low"), "gemini-2.0-flash") == ["reasoning.effort"]
    assert refused(ReasoningRequest(budget_tokens=9), "gemini-2.0-flash") == ["reasoning.budget_tokens"]
    assert config(ReasoningRequest(budget_tokens=0), "gemini-2.0-flash") is None


def test_a_budget_is_the_callers_own() -> None:
    for model in ("gemini-2.5-pro", "gemini-3-pro-preview"):
        assert config(ReasoningRequest(budget_tokens=77), model) == {"includeThoughts": True, "thinkingBudget": 77}
        assert config(ReasoningRequest(budget_tokens=0), model) == {"thinkingBudget": 0}


def test_who_asks_for_nothing_or_for_a_summary_alone_leaves_the_model_its_way() -> None:
    assert config(None, "gemini-2.5-pro") is None
    assert config(ReasoningRequest(), "gemini-2.5-pro") is None
    assert config(ReasoningRequest(summary="auto"), "gemini-2.5-pro") == {"includeThoughts": True}
    assert config(ReasoningRequest(summary="auto"), "gemini-2.0-flash") is None
