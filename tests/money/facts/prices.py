"""Every price class, by a table of what providers say and what it costs: equal to the nano-unit.

Each line of the table is worked out here by hand, by the gateway's pricing from the provider's own words, and, for what
a chat can say, by a real call to a provider that says it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.harness import behaviours
from tests.harness.behaviours import JSON, compact
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.provider import Conversation
from tests.money import site
from tests.money.callers import together
from tests.money.fact import Found, Room
from tests.money.orders import Order, named
from tests.scaigrid.price_classes import Case, by_hand, cases, worked_out

CLASSES: Final = frozenset(
    {
        "input", "cached_input", "cache_write", "cache_write_1h", "output", "input_audio", "output_audio",
        "input_image", "output_image", "image", "millisecond", "request",
    }
)  # fmt: skip
"""What the table has to have a line of."""
_PURSE: Final = "prices"
_ANSWERS: Final[Mapping[str, Any]] = {
    "openai": behaviours.completion(),
    "anthropic": behaviours.anthropic_message(),
}
"""By type of provider, what a call is answered with; the usage is the table's."""


class Priced(msgspec.Struct, kw_only=True):
    """One line of the table, in nano-units."""

    name: str
    said: int
    """By the table."""
    by_hand: int
    by_pricing: int
    by_call: int | None = None
    """By the row of a real call; None for what a chat cannot say."""


def judged(priced: Sequence[Priced], classes: frozenset[str]) -> Found:
    found = Found()
    found.expect(classes >= CLASSES, f"the table has no line of {sorted(CLASSES - classes)}")
    found.expect(any(one.by_call is not None for one in priced), "no line was shown by a real call")
    for one in priced:
        told = {"by hand": one.by_hand, "by pricing": one.by_pricing, "by a call": one.by_call}
        wrong = {how: cost for how, cost in told.items() if cost is not None and cost != one.said}
        found.expect(not wrong, f"{one.name}: {wrong} instead of {one.said}")
    return found


def show(room: Room) -> Found:
    table = cases()
    called = _called(room, [case for case in table if _sayable(case)])
    priced = [
        Priced(
            name=case.name,
            said=case.cost_nano,
            by_hand=sum(by_hand(line) for line in case.sum),
            by_pricing=worked_out(case)[1],
            by_call=called.get(case.name),
        )
        for case in table
    ]
    classes = frozenset(line[0] for case in table for line in case.sum)
    room.say(
        f"{len(priced)} lines of {len(classes)} classes by hand and by pricing, {len(called)} of them by real calls"
    )
    return judged(priced, classes)


def _sayable(case: Case) -> bool:
    return case.said is not None and case.said.by in _ANSWERS and len(case.said.usage) == 1


def _called(room: Room, table: Sequence[Case]) -> dict[str, int]:
    """By name of a line, what the row of a call costs whose provider says that usage."""
    saying = _Saying({f"upstream-{place}": case for place, case in enumerate(table)})
    endpoint = room.provider.at("/prices/v1").always(saying)
    orders = [
        Order(id=named(_PURSE), purse=_PURSE, tokens_in=0, tokens_out=0, bound=100, model=f"m-{place}")
        for place in range(len(table))
    ]
    with Gateway(_config(endpoint.url, table), room.place("prices")) as gateway:
        answers = together([gateway.port], orders, 4)
        odd = {f"{answer.order.model}: {answer.status} {answer.code}" for answer in answers if not answer.served}
        assert not odd, odd
        database = site.database_of(gateway)
        eventually(lambda: len(site.rows(database)) >= len(orders), f"{len(orders)} rows")
        rows = {row["model"]: row["cost"] for row in site.rows(database)}
    return {case.name: rows[f"m-{place}"] for place, case in enumerate(table)}


def _config(url: str, table: Sequence[Case]) -> dict[str, Any]:
    made = site.config(url, {_PURSE: {}})
    made["providers"] = {kind: {"type": kind, "base_url": url, "api_key": "provider-key"} for kind in _ANSWERS}
    made["backends"], made["models"] = {}, {}
    for place, case in enumerate(table):
        assert case.said is not None
        made["backends"][f"b-{place}"] = {"provider": case.said.by, "model": f"upstream-{place}"}
        made["models"][f"m-{place}"] = {
            "context_window": 2_000_000,
            "max_output_tokens": 1_000_000,
            "prices": msgspec.json.decode(msgspec.json.encode(case.prices)),
            "route": {"targets": [{"backend": f"b-{place}"}]},
        }
    return made


class _Saying:
    """The provider: each of its models says the usage of one line."""

    def __init__(self, table: Mapping[str, Case]) -> None:
        self._table = table

    async def __call__(self, conversation: Conversation) -> None:
        case = self._table[conversation.request.json["model"]]
        assert case.said is not None
        usage = msgspec.json.decode(case.said.usage[0])
        await conversation.answer(200, JSON, compact({**_ANSWERS[case.said.by], "usage": usage}))
