"""How much a Gemini model thinks, in the words of its generation.

Source: Gemini API guides "Gemini thinking" and "OpenAI compatibility", whose table says what an effort means. From 3 on
a model takes a level, 2.5 takes a budget of tokens, and those before it do not think. The Pro models cannot be told
not to think. Gemini 3 Flash cannot either: `minimal` is what its guide gives for it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from adapters.asked import unsupported
from scaigrid.types import ReasoningRequest

_VERSION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?(?!\d)")
_FIRST_THINKING: Final = (2, 5)
_FIRST_LEVELS: Final = (3, 0)
_FIRST_PRO_WITH_MEDIUM: Final = (3, 1)
_NEWEST: Final = (10**6, 0)
_LEVELS: Final[Mapping[str, str]] = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_BUDGETS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
_MOST_OF_PRO: Final = 32768
"""The largest budget of 2.5 Pro; the others take 24576."""


def version(model: str) -> tuple[int, int]:
    """By the name: `gemini-2.5-flash`, `gemini-3-pro-preview`. A name without one (`gemini-flash-latest`) is new."""
    found = _VERSION.search(model)
    return _NEWEST if found is None else (int(found[1]), int(found[2] or 0))


def signs_calls(model: str) -> bool:
    """Whether the model wants tool calls back with the signatures that it gave them: from Gemini 3 on."""
    return version(model) >= _FIRST_LEVELS


def config(asked: ReasoningRequest | None, model: str) -> dict[str, Any] | None:
    """`thinkingConfig`, with the thoughts to be shown; None to say nothing. Raises UNSUPPORTED_BY_MODEL."""
    if asked is None:
        return None
    if asked.budget_tokens is not None:
        return _of_budget(asked.budget_tokens, model)
    if asked.effort is None:
        return {"includeThoughts": True} if asked.summary is not None and _thinks(model) else None
    if not _thinks(model):
        if asked.effort == "none":
            return None
        raise unsupported("reasoning.effort")
    if asked.effort == "none" and _is_pro(model):
        raise unsupported("reasoning.effort")
    levels = version(model) >= _FIRST_LEVELS
    said = (
        {"thinkingLevel": _level(asked.effort, model)} if levels else {"thinkingBudget": _budget(asked.effort, model)}
    )
    return said if asked.effort == "none" else {"includeThoughts": True, **said}


def _of_budget(budget: int, model: str) -> dict[str, Any] | None:
    """The caller's own budget, which every generation that thinks takes."""
    if not _thinks(model):
        if budget == 0:
            return None
        raise unsupported("reasoning.budget_tokens")
    return {"includeThoughts": True, "thinkingBudget": budget} if budget else {"thinkingBudget": 0}


def _thinks(model: str) -> bool:
    return version(model) >= _FIRST_THINKING


def _is_pro(model: str) -> bool:
    return "-pro" in model


def _level(effort: str, model: str) -> str:
    level = _LEVELS[effort]
    if _is_pro(model):
        if level == "minimal":
            return "low"
        if level == "medium" and version(model) < _FIRST_PRO_WITH_MEDIUM:
            return "high"
    return level


def _budget(effort: str, model: str) -> int:
    return _MOST_OF_PRO if effort in ("xhigh", "max") and _is_pro(model) else _BUDGETS[effort]
