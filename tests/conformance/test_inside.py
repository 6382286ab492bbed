"""Every exchange over every dialect, in this process; streams however their bytes are cut."""

import pytest

from tests.conformance import checks, cuts, plans
from tests.conformance.plans import Play
from tests.conformance.streaming import streamed
from tests.conformance.ways import Inside


@pytest.mark.parametrize("play", plans.params("what is passed through and translated"))
def test_an_exchange_is_played_over_a_dialect(inside: Inside, play: Play) -> None:
    """Whole, cut twice at random, and small ones at every byte; and what was signed comes back in the next turn."""
    recorded = play.recorded
    body = recorded.response_body
    ways = cuts.each(body, str(recorded)) if streamed(recorded) else {"whole": cuts.whole(body)}
    for pieces in ways.values():
        checks.holds(inside, play, pieces)
    if play.mode != "passed" and play.is_of_its_own and checks.signed(play.said):
        checks.carries_state(inside, play)


@pytest.mark.parametrize("seed", ["one", "two"])
def test_cuts_lose_nothing_and_fall_at_the_same_places_in_every_run(seed: str) -> None:
    body = "größer als ein Stück 🌲".encode() * 100
    ways = cuts.each(body, seed)
    assert {name: b"".join(pieces) for name, pieces in ways.items()} == dict.fromkeys(ways, body)
    assert ways == cuts.each(body, seed)
    assert len(ways["anyhow"]) > 10
    assert ways["anyhow"] != ways["otherwise"]
    assert min(map(len, ways["anyhow"])) == 1
