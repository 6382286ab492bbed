"""Recorded traffic of real providers, played again over a real gateway, streams cut at arbitrary places.

Each exchange is a case of its own: passed through where client and provider speak one dialect, translated where they do
not. `~streamed` is an answer that was recorded whole and is told as a stream here.
"""

from collections.abc import Sequence

import pytest

from tests.conformance import cases, checks, plans, provider_anthropic, provider_openai
from tests.conformance.cases import Group
from tests.conformance.outside import Outside
from tests.conformance.plans import Embedded, Passed, Planned, Translated
from tests.harness.recordings import Recorded

pytestmark = pytest.mark.xdist_group("conformance")
"""On one worker, so that one gateway serves them all."""

CHATS = cases.exchanges(plans.CHAT)
EMBEDDINGS = cases.exchanges(plans.EMBEDDINGS)
MESSAGES = cases.exchanges(plans.MESSAGES)
SIGNED = cases.where(MESSAGES, provider_anthropic.signs)
STREAMED = "~streamed"


def whole(chosen: Sequence[Recorded], plan: Planned) -> list[Recorded]:
    """Those with a plain answer whose call can be said."""
    return cases.where(chosen, lambda one: plans.is_whole(one) and not plans.cannot(plan, one))


def unsaid(chosen: Sequence[Recorded], plan: Planned) -> list[Recorded]:
    """Those whose call cannot be said, which leaves their answer."""
    return cases.where(chosen, lambda one: plans.cannot(plan, one))


@pytest.mark.parametrize("plan", cases.params("pass-through", Group([*CHATS, *EMBEDDINGS], plans.passed)))
def test_what_is_passed_through_arrives_as_it_was(outside: Outside, plan: Passed) -> None:
    checks.passes_through(outside, plan)
    if not provider_openai.fails(plan.recorded):
        outside.owes(plan, provider_openai.usage(plan.recorded))


@pytest.mark.parametrize(
    "plan",
    cases.params("pass-through of streams", Group(whole(CHATS, plans.passed), plans.passed_as_stream, STREAMED)),
)
def test_a_stream_is_passed_through_without_the_usage_that_nobody_asked_for(outside: Outside, plan: Passed) -> None:
    checks.passes_through(outside, plan)
    outside.owes(plan, provider_openai.usage(plan.recorded))


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "translation from native to OpenAI",
        Group(CHATS, plans.openai_chat),
        Group(whole(CHATS, plans.openai_chat), plans.openai_chat_as_stream, STREAMED),
    ),
)
def test_a_native_chat_is_understood_by_providers_of_the_openai_protocol(outside: Outside, plan: Translated) -> None:
    checks.translates(outside, plan)
    if not plan.expected.failed:
        outside.owes(plan, plan.expected.tokens)


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "translation of answers to calls that native cannot say",
        Group(unsaid(CHATS, plans.openai_chat), plans.openai_answer),
    ),
)
def test_a_native_client_understands_every_answer_of_the_openai_protocol(outside: Outside, plan: Translated) -> None:
    checks.translates(outside, plan)


@pytest.mark.parametrize("plan", cases.params("translation of embeddings", Group(EMBEDDINGS, plans.embedded)))
def test_native_embeddings_are_made_by_providers_of_the_openai_protocol(outside: Outside, plan: Embedded) -> None:
    checks.embeds(outside, plan)


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "translation from native to Anthropic",
        Group(MESSAGES, plans.messages("native")),
        Group(whole(MESSAGES, plans.messages("native")), plans.messages_as_stream("native"), STREAMED),
    ),
)
def test_a_native_chat_is_understood_by_anthropic(outside: Outside, plan: Translated) -> None:
    checks.translates(outside, plan)
    if not plan.expected.failed:
        outside.owes(plan, plan.expected.tokens)


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "translation from OpenAI to Anthropic",
        Group(MESSAGES, plans.messages("openai")),
        Group(whole(MESSAGES, plans.messages("openai")), plans.messages_as_stream("openai"), STREAMED),
    ),
)
def test_a_chat_of_the_openai_dialect_is_understood_by_anthropic(outside: Outside, plan: Translated) -> None:
    checks.translates(outside, plan)
    if not plan.expected.failed:
        outside.owes(plan, plan.expected.tokens)


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "translation of answers to calls that a dialect cannot say",
        *(Group(unsaid(MESSAGES, plans.messages(one)), plans.answer_to(one), f"-{one}") for one in plans.SURFACES),
    ),
)
def test_a_client_understands_every_answer_of_anthropic(outside: Outside, plan: Translated) -> None:
    checks.translates(outside, plan)


@pytest.mark.parametrize(
    "plan",
    cases.params("signatures", *(Group(SIGNED, plans.answer_to(one), f"-{one}") for one in plans.SURFACES)),
)
def test_what_anthropic_signed_comes_back_unchanged_in_the_next_turn(outside: Outside, plan: Translated) -> None:
    checks.carries_state(outside, plan)


def test_the_ledger_has_every_call_by_what_its_provider_counted(outside: Outside) -> None:
    """Last: it looks at what the others have asked."""
    found = outside.ledger()
    assert not found, "\n".join(found)
