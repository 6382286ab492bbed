"""The same streams, however their bytes are cut: whole, at every byte, and twice at random."""

import pytest

from tests.conformance import cases, checks, cuts, plans, provider_openai
from tests.conformance.cases import Group
from tests.conformance.plans import Passed, Translated
from tests.conformance.ways import Inside
from tests.harness.recordings import Recorded


def streams(suffix: str) -> list[Recorded]:
    return [one for one in cases.exchanges(suffix) if one.status == 200 and provider_openai.streams(one)]


@pytest.mark.parametrize("plan", cases.params("re-cut pass-through", Group(streams(plans.CHAT), plans.passed)))
def test_a_passed_stream_does_not_depend_on_its_cuts(inside: Inside, plan: Passed) -> None:
    for pieces in cuts.each(plan.recorded.response_body, str(plan)).values():
        checks.passes_through(inside, plan, pieces)


@pytest.mark.parametrize(
    "plan",
    cases.params(
        "re-cut translation",
        Group(streams(plans.CHAT), plans.openai_answer),
        *(Group(streams(plans.MESSAGES), plans.answer_to(one), f"-{one}") for one in plans.SURFACES),
    ),
)
def test_a_translated_stream_does_not_depend_on_its_cuts(inside: Inside, plan: Translated) -> None:
    for pieces in cuts.each(plan.recorded.response_body, str(plan)).values():
        checks.translates(inside, plan, pieces)


@pytest.mark.parametrize("seed", ["one", "two"])
def test_cuts_lose_nothing_and_fall_at_the_same_places_in_every_run(seed: str) -> None:
    body = "größer als ein Stück 🌲".encode() * 100
    ways = cuts.each(body, seed)
    assert {name: b"".join(pieces) for name, pieces in ways.items()} == dict.fromkeys(ways, body)
    assert ways == cuts.each(body, seed)
    assert len(ways["anyhow"]) > 10
    assert ways["anyhow"] != ways["otherwise"]
    assert min(map(len, ways["anyhow"])) == 1
