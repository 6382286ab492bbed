from typing import Any

import pytest

from adapters.bedrock_families import EVERYWHERE, maker, of
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, ReasoningRequest
from tests.adapters.calls import user

CLAUDE = "eu.anthropic.claude-sonnet-4-6"
BUDGETED = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
Effort = Any


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1"),
        ("global.anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6-v1"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-v4:0", "cohere.embed-v4:0"),
        (PROFILE, ""),
        ("meta.llama4-maverick", ""),
    ],
)
def test_a_models_name_tells_its_maker_wherever_it_stands(model: str, name: str) -> None:
    assert maker(model) == name


def thinks(model: str, *, max_tokens: int | None = None, **asked: Effort) -> dict[str, Any]:
    reasoning = of(model).reasoning
    assert reasoning is not None
    wish = ReasoningRequest(**asked)
    return reasoning(wish, Chat(messages=(user("Hi"),), max_tokens=max_tokens, reasoning=wish), model)


@pytest.mark.parametrize(
    ("model", "asked", "fields"),
    [
        (CLAUDE, {"effort": "max"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        (CLAUDE, {"effort": "minimal"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (
            CLAUDE,
            {"effort": "high", "summary": "auto"},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        ),
        (CLAUDE, {"budget_tokens": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (CLAUDE, {"effort": "none"}, {"thinking": {"type": "disabled"}}),
        (CLAUDE, {"summary": "auto"}, {}),
        (NOVA, {"effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        (NOVA, {"effort": "xhigh"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA, {}, {}),
        ("openai.gpt-oss-120b-1:0", {"effort": "minimal"}, {"reasoning_effort": "low"}),
        ("moonshot.kimi-k2-thinking", {"effort": "medium"}, {"reasoning_effort": "medium"}),
        ("qwen.qwen3-32b-v1:0", {"effort": "high"}, {"reasoning_config": "high"}),
        ("qwen.qwen3-32b-v1:0", {}, {}),
    ],
)
def test_how_much_to_think_is_said_in_the_makers_own_words(
    model: str, asked: dict[str, Effort], fields: dict[str, Any]
) -> None:
    assert thinks(model, **asked) == fields


def test_an_older_claude_is_given_a_part_of_the_bound() -> None:
    assert thinks(BUDGETED, max_tokens=10_000, effort="medium") == {
        "thinking": {"type": "enabled", "budget_tokens": 5000}
    }
    assert thinks(BUDGETED, effort="high") == {"thinking": {"type": "enabled", "budget_tokens": 16_000}}
    assert thinks(BUDGETED, max_tokens=1100, effort="low")["thinking"]["budget_tokens"] == 1024


def test_a_budget_is_told_as_an_effort_where_there_are_efforts_alone() -> None:
    assert thinks(NOVA, budget_tokens=2000) == thinks(NOVA, effort="low")
    assert thinks(NOVA, budget_tokens=0) == thinks(NOVA, effort="none")
    assert thinks("openai.gpt-oss-20b", budget_tokens=9000) == thinks("openai.gpt-oss-20b", effort="medium")


@pytest.mark.parametrize(
    ("model", "asked", "code", "field"),
    [
        (BUDGETED, {"effort": "low", "max_tokens": 1024}, Code.VALIDATION_ERROR, "max_tokens"),
        ("openai.gpt-oss-20b", {"effort": "none"}, Code.UNSUPPORTED_BY_MODEL, "reasoning.effort"),
        ("openai.gpt-oss-20b", {"budget_tokens": 0}, Code.UNSUPPORTED_BY_MODEL, "reasoning.effort"),
    ],
)
def test_what_a_maker_has_no_word_for_is_refused_by_name(
    model: str, asked: dict[str, Effort], code: Code, field: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        thinks(model, **asked)
    assert (caught.value.code, [one.field for one in caught.value.details]) == (code, [field])


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (CLAUDE, {"top_k": 5}),
        ("us.amazon.nova-lite-v1:0", {"inferenceConfig": {"topK": 5}}),
        ("cohere.command-r-v1:0", {"k": 5}),
        ("mistral.mistral-large-2402-v1:0", {"top_k": 5}),
        ("openai.gpt-oss-20b-1:0", None),
        ("meta.llama4", None),
    ],
)
def test_top_k_has_a_name_at_each_maker_or_none(model: str, fields: dict[str, Any] | None) -> None:
    top_k = of(model).top_k
    assert (top_k and top_k(5)) == fields


def test_caches_and_choices_are_known_of_those_that_have_them() -> None:
    assert (of(CLAUDE).caches, of(CLAUDE).hours, of(CLAUDE).chooses, of(CLAUDE).tells_stop) == (
        EVERYWHERE,
        True,
        True,
        True,
    )
    assert of(NOVA).caches == {"system", "messages"}
    assert of(PROFILE).caches == EVERYWHERE
    for model in ("amazon.titan-text", "us.deepseek.r1-v1:0", "meta.llama4"):
        assert of(model).caches == frozenset()
        assert of(model).reasoning is None
    assert of("us.amazon.nova-micro-v1:0").reasoning is None
