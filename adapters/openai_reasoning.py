"""How much a model is to think, in the words of each provider of the OpenAI protocol.

An effort beyond the ends of a provider's scale is the end of it, and where there are efforts alone a budget is told as
one. How a provider sums its reasoning up is a hint that chat completions have no word for. Qwen knows no efforts but a
budget of tokens: it gets the share of the output bound that the effort stands for, and where there is no bound it
thinks as much as it likes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from adapters.asked import effort_of, unsupported
from adapters.endpoints import Asks, Endpoint
from adapters.wire import present
from scaigrid.types import Chat, ReasoningRequest

_SHARES: Final = {"minimal": 0.05, "low": 0.2, "medium": 0.5, "high": 0.8}
"""How much of the output bound may be thought, by effort; those above have no limit."""


def asking(asked: Chat, row: Endpoint) -> dict[str, Any]:
    """The members that ask for reasoning; none where the call says nothing of it. Raises UNSUPPORTED_BY_MODEL."""
    wish = asked.reasoning
    if wish is None or (wish.effort is None and wish.budget_tokens is None):
        return {}
    return _ASKS[row.asks](wish, asked.max_tokens, row)


def _effort(wish: ReasoningRequest, _bound: int | None, row: Endpoint) -> dict[str, Any]:
    return {"reasoning_effort": _own_effort(wish, row)}


def _thinking(wish: ReasoningRequest, _bound: int | None, _row: Endpoint) -> dict[str, Any]:
    if wish.budget_tokens is not None:
        return {"thinking": {"type": "enabled", "budget_tokens": wish.budget_tokens}}
    return {"thinking": {"type": _switched(wish)}}


def _thinking_effort(wish: ReasoningRequest, _bound: int | None, row: Endpoint) -> dict[str, Any]:
    said: dict[str, Any] = {"thinking": {"type": _switched(wish)}}
    return said if effort_of(wish) == "none" else said | {"reasoning_effort": _own_effort(wish, row)}


def _reasoning(wish: ReasoningRequest, _bound: int | None, row: Endpoint) -> dict[str, Any]:
    if wish.budget_tokens is not None:
        return {"reasoning": {"max_tokens": wish.budget_tokens}}
    return {"reasoning": {"effort": _own_effort(wish, row)}}


def _enable_thinking(wish: ReasoningRequest, bound: int | None, _row: Endpoint) -> dict[str, Any]:
    budget = wish.budget_tokens
    if budget is None and bound is not None and wish.effort in _SHARES:
        budget = max(1, int(bound * _SHARES[wish.effort]))
    return present({"enable_thinking": wish.effort != "none", "thinking_budget": budget})


def _nothing(_wish: ReasoningRequest, _bound: int | None, _row: Endpoint) -> dict[str, Any]:
    raise unsupported("reasoning")


_ASKS: Final[Mapping[Asks, Callable[[ReasoningRequest, int | None, Endpoint], dict[str, Any]]]] = {
    "effort": _effort,
    "thinking": _thinking,
    "thinking_effort": _thinking_effort,
    "reasoning": _reasoning,
    "enable_thinking": _enable_thinking,
    "nothing": _nothing,
}


def _own_effort(wish: ReasoningRequest, row: Endpoint) -> str:
    own = row.efforts.get(effort_of(wish) or "")
    if own is None:
        raise unsupported("reasoning.effort" if wish.budget_tokens is None else "reasoning.budget_tokens")
    return own


def _switched(wish: ReasoningRequest) -> str:
    return "disabled" if effort_of(wish) == "none" else "enabled"
