"""One exchange of each kind over a real gateway, streams cut at arbitrary places; and what the ledger has of them."""

import pytest

from tests.conformance import checks, plans, representative
from tests.conformance.outside import Outside
from tests.conformance.plans import Play


@pytest.mark.parametrize("play", plans.params("what a whole gateway does", representative.is_one))
def test_an_exchange_is_played_over_a_gateway(outside: Outside, play: Play) -> None:
    checks.holds(outside, play)
    if play.is_billed:
        outside.owes(play, play.said.tokens)


def test_the_ledger_has_every_call_by_what_its_provider_counted(outside: Outside) -> None:
    """Last: it looks at what the others have asked."""
    found = outside.ledger()
    assert not found, "\n".join(found)
