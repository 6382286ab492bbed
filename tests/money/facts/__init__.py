"""The facts, in the order of the table. A fact is one file here, and one line."""

from typing import Final

from tests.money.fact import Fact
from tests.money.facts import disconnect, idempotency, kill, limit, outage, overshoot, prices, refused, restart

FACTS: Final = (
    Fact("overshoot", "spent and reserved together are never above a limit; 98 % of it is usable", overshoot.show),
    Fact("limit", "of 100 callers a limit of 5 lets in 5, at every level and of every kind", limit.show),
    Fact("refused", "a call that is refused costs nothing at any level", refused.show),
    Fact("kill", "kill -9 at any moment: each finished answer has one row, each open call at the most one", kill.show),
    Fact("disconnect", "who leaves has one row, wherever it leaves, billed as the policy says", disconnect.show),
    Fact("prices", "every price class costs what a table worked out by hand says, to the nano-unit", prices.show),
    Fact("outage", "store or database away: the declared behaviour, at once, and nothing lost", outage.show),
    Fact("restart", "after a restart the counters are what the ledger says", restart.show),
    Fact("idempotency", "30 callers with one key: one call at the provider, one row", idempotency.show),
)
