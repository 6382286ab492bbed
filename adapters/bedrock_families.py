"""What differs from family to family of models behind Bedrock's one chat API, by the model's name.

Source: Amazon Bedrock User Guide, "Inference request parameters and response fields for foundation models". Converse
says the same to every model; what only some can do goes into `additionalModelRequestFields`, each maker's in its own
words. Names are `anthropic.claude-...`, behind a region (`eu.`, `global.`) where they are of an inference profile, and
at the end of an ARN where the model has one. The ARN of an application's own profile tells nothing of the model.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from adapters.asked import effort_of, invalid, unsupported
from adapters.wire import present
from scaigrid.types import Chat, ReasoningRequest

Fields = dict[str, Any]

_NAME: Final = re.compile(r"(?:^|[/.])((?:amazon|anthropic|cohere|mistral|moonshot(?:ai)?|openai|qwen)\.[\w.:-]+)")
_LEAST_BUDGET: Final = 1024
"""The smallest thinking budget that Claude takes."""
_OWN_BOUND: Final = 20_000
"""The output bound to share out where the call has none. The models' own, which holds then, is higher."""
_SHARES: Final = {"minimal": 0.0, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""How much of the output bound may be thought, by effort, for Claudes that only know a budget."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?![\d])")
_FIRST_ADAPTIVE: Final = (4, 6)
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""The nearest of the three efforts that most makers know."""

EVERYWHERE: Final = frozenset({"system", "messages", "tools"})


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What one maker's models have words for beyond Converse's own."""

    reasoning: Callable[[ReasoningRequest, Chat, str], Fields] | None = None
    """How much to think, as the maker's own fields; None where the models take no word about it."""
    top_k: Callable[[int], Fields] | None = None
    caches: frozenset[str] = frozenset()
    """Where a cache point may stand: `system`, `messages`, `tools`."""
    hours: bool = False
    """A cache point may ask for an hour."""
    chooses: bool = False
    """The model takes Anthropic's own `tool_choice`, which can say `none`, and one call at a time."""
    tells_stop: bool = False
    """The model tells which stop sequence it met, if it is asked to."""


def of(model: str) -> Family:
    """The family of `model`; one that knows nothing of its own for a name that tells no maker."""
    name = maker(model)
    if not name and ":application-inference-profile/" in model:
        return _PROFILE
    return next((family for begin, family in _FAMILIES if name.startswith(begin)), _UNKNOWN)


def maker(model: str) -> str:
    """The model's name from its maker on (`anthropic.claude-...`); empty where it has none that is known here."""
    found = _NAME.search(model)
    return found[1] if found else ""


# -- how much to think -----------------------------------------------------------------------------------------------


def _claude(asked: ReasoningRequest, chat: Chat, model: str) -> Fields:
    """Thinking.

    From version 4.6 on models decide how much they think, guided by an effort; before it they only know a budget of
    tokens, which has to be less than the output bound. The lowest effort is `low`.
    """
    if asked.budget_tokens is not None:
        return {"thinking": {"type": "enabled", "budget_tokens": asked.budget_tokens}}
    if asked.effort is None:
        return {}
    if asked.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if _is_adaptive(model):
        shown = "summarized" if asked.summary is not None else None
        effort = "low" if asked.effort == "minimal" else asked.effort
        return {"thinking": present({"type": "adaptive", "display": shown}), "output_config": {"effort": effort}}
    bound = _OWN_BOUND if chat.max_tokens is None else chat.max_tokens
    if bound <= _LEAST_BUDGET:
        raise invalid("max_tokens", f"must be more than {_LEAST_BUDGET} for this model to reason")
    budget = max(_LEAST_BUDGET, int(bound * _SHARES[asked.effort]))
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _is_adaptive(model: str) -> bool:
    version = _VERSION.search(model)
    return version is None or (int(version[1]), int(version[2] or 0)) >= _FIRST_ADAPTIVE


def _nova(asked: ReasoningRequest, _chat: Chat, _model: str) -> Fields:
    if effort_of(asked) == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    effort = _effort(asked)
    return {} if effort is None else {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


def _by_effort(field: str) -> Callable[[ReasoningRequest, Chat, str], Fields]:
    """Models that take an effort under the name `field`, and always think."""

    def said(asked: ReasoningRequest, _chat: Chat, _model: str) -> Fields:
        if effort_of(asked) == "none":
            raise unsupported("reasoning.effort")
        return present({field: _effort(asked)})

    return said


def _effort(asked: ReasoningRequest) -> str | None:
    wanted = effort_of(asked)
    return None if wanted is None else _EFFORTS[wanted]


# -- the table -------------------------------------------------------------------------------------------------------


_NOVA: Final = Family(
    top_k=lambda most: {"inferenceConfig": {"topK": most}},
    caches=frozenset({"system", "messages"}),
)
_FAMILIES: Final[tuple[tuple[str, Family], ...]] = (
    (
        "anthropic.",
        Family(
            reasoning=_claude,
            top_k=lambda most: {"top_k": most},
            caches=EVERYWHERE,
            hours=True,
            chooses=True,
            tells_stop=True,
        ),
    ),
    ("amazon.nova-2-", msgspec.structs.replace(_NOVA, reasoning=_nova)),
    ("amazon.nova-", _NOVA),
    ("cohere.", Family(top_k=lambda most: {"k": most})),
    ("mistral.", Family(top_k=lambda most: {"top_k": most})),
    ("openai.", Family(reasoning=_by_effort("reasoning_effort"))),
    ("moonshot", Family(reasoning=_by_effort("reasoning_effort"))),
    ("qwen.", Family(reasoning=_by_effort("reasoning_config"))),
)
"""By how the name begins, the longer beginning first."""
_UNKNOWN: Final = Family()
_PROFILE: Final = Family(caches=EVERYWHERE, hours=True)
"""An application's own profile: whoever marks what to cache there knows that its model can."""
