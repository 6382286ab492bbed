"""No overshoot: spent and reserved together are never above a limit, and nearly all of a limit can be used.

Seen from three sides: the gateway's own counters, sampled while it runs; the provider, which knows what has been let
through to it; and the ledger in the end.
"""

import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import msgspec

from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.valkey import Valkey
from tests.money import counters, site
from tests.money.callers import Answer, Caller, Crowd
from tests.money.counters import Sampler
from tests.money.fact import Found, Room
from tests.money.orders import WORST_COST, WORST_TOKENS, Order, dice, some
from tests.money.till import Till

USABLE: Final = 0.98
CALLERS: Final = 16
_ENDS: Final = ("BUDGET_EXCEEDED",)


class Seen(msgspec.Struct, kw_only=True):
    """One limit of one purse: what was seen of it, in its own units."""

    purse: str
    kind: str
    limit: int
    peak: int
    """The most that was ever spent and reserved together, by whoever saw most."""
    spent: int
    """What the gateway says in the end."""
    reserved: int = 0
    """What is left of reservations in the end."""
    ledger: int
    billed: int
    """What the callers' finished answers come to."""
    binding: bool = True
    """This is the limit that ended it, so nearly all of it must have been used."""


def judged(seen: Sequence[Seen]) -> Found:
    """The fact, from what was seen."""
    found = Found(overshoot_nano=0, usable_share=1.0, unsettled=0)
    for one in seen:
        over = max(one.peak, one.spent + one.reserved, one.ledger) - one.limit
        found.overshoot_nano = max(found.overshoot_nano or 0, over)
        found.expect(over <= 0, f"{one.purse}: {one.kind} went {over} above its limit of {one.limit}")
        left = abs(one.spent - one.ledger) + one.reserved
        found.unsettled = (found.unsettled or 0) + (left > 0)
        found.expect(left == 0, f"{one.purse}: {one.kind} has {one.spent} spent, {one.reserved} reserved, "
                     f"and the ledger {one.ledger}")  # fmt: skip
        found.expect(
            one.ledger == one.billed, f"{one.purse}: the ledger has {one.ledger}, the callers {one.billed} {one.kind}"
        )
        if one.binding:
            share = one.spent / one.limit
            found.usable_share = min(found.usable_share or 0.0, share)
            found.expect(share >= USABLE, f"{one.purse}: {share:.2%} of its {one.kind} could be used")
    return found


def show(room: Room) -> Found:
    seeds = room.pick(1, 4, 12)
    found: list[Seen] = []
    for name, make in (("memory", _memory), ("valkey", _valkey)):
        with make(room, seeds) as playing:
            for purse in playing.purses:
                seen = _played(playing, purse)
                found += seen
                for one in seen:
                    room.say(
                        f"{name} {one.purse:9} {one.kind:8} limit {one.limit:>10}  peak {one.peak:>10}  "
                        f"used {one.spent / one.limit:7.3%}"
                    )
    return judged(found)


class _Playing(msgspec.Struct, kw_only=True):
    """Gateways that count together, and what is asked of them."""

    gateways: list[Gateway]
    till: Till
    database: str
    store: Valkey | None
    purses: dict[str, dict[str, int]]
    """By purse, the limits by kind; the first one binds."""


def _purses(seeds: int, prefix: str) -> dict[str, dict[str, int]]:
    """One worst case is at most 2 % of the limit that binds; the other ones are there to be kept too."""
    cost, tokens = 50 * WORST_COST + 7, 50 * WORST_TOKENS + 7
    kinds = ({"cost": cost, "tokens": 100 * tokens}, {"tokens": tokens, "cost": 100 * cost}, {"requests": 97})
    return {f"{prefix}{seed}": kinds[seed % len(kinds)] for seed in range(seeds)}


def _config(url: str, purses: Mapping[str, Mapping[str, int]], **more: Any) -> dict[str, Any]:
    budgets: dict[str, dict[str, Any]] = {}
    for purse, limits in purses.items():
        own = {f"{kind}_limit": _sized(kind, limit) for kind, limit in _singular(limits)}
        budgets[purse] = site.budget("user", purse, **own)
        # A key's own and its tenant's, each with a little more: they are taken in the same step.
        wider = {f"{kind}_limit": _sized(kind, limit + 11) for kind, limit in _singular(limits)}
        budgets[f"{purse}-key"] = site.budget("key", purse, **wider)
    return site.config(url, {purse: {} for purse in purses}, budgets=budgets, **more)


def _singular(limits: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(kind.removesuffix("s"), limit) for kind, limit in limits.items()]


def _sized(kind: str, limit: int) -> Any:
    return site.money(limit) if kind == "cost" else limit


@contextmanager
def _memory(room: Room, seeds: int) -> Generator[_Playing]:
    till = Till()
    endpoint = room.provider.at("/overshoot-memory/v1").always(till)
    purses = _purses(seeds, "m")
    with Gateway(_config(endpoint.url, purses), room.place("memory")) as gateway:
        yield _Playing(gateways=[gateway], till=till, database=site.database_of(gateway), store=None, purses=purses)


@contextmanager
def _valkey(room: Room, seeds: int) -> Generator[_Playing]:
    """Two instances on one store and one database; four workers each, as a rule."""
    till = Till()
    endpoint = room.provider.at("/overshoot-valkey/v1").always(till)
    purses = _purses(seeds, "v")
    workers = room.pick(2, 4)
    url = databases.empty("postgres", room.directory)
    try:
        with Valkey() as store, ExitStack() as running:
            made = _config(endpoint.url, purses, store=store, database=url, workers=workers)
            gateways = [running.enter_context(Gateway(made, room.place(f"valkey-{n}"))) for n in range(2)]
            for gateway in gateways:
                gateway.workers(workers)
            yield _Playing(gateways=gateways, till=till, database=url, store=store, purses=purses)
    finally:
        databases.drop(url)


def _played(playing: _Playing, purse: str) -> list[Seen]:
    """Called until nothing fits any more, by many first and then by one."""
    chance = dice(purse)
    ports = [gateway.port for gateway in playing.gateways]
    with Sampler(_eyes(playing, purse)) as sampler:
        with Crowd(ports, lambda: some(chance, purse, seconds=0.004), callers=CALLERS, enough=_refused) as crowd:
            answers = crowd.ended()
        answers += list(_to_the_end(ports, purse, chance))
        _at_rest(playing, purse)
    if sampler.wrong:
        raise sampler.wrong[0]
    assert sampler.samples, "nobody looked while it ran"
    served = [answer.order for answer in answers if answer.served]
    odd = {f"{answer.status} {answer.code}" for answer in answers if not answer.served and not _refused(answer)}
    assert not odd, f"{purse}: answers that nobody expected: {odd}"
    return list(_summed(playing, purse, served, sampler.peaks))


def _refused(answer: Answer) -> bool:
    return answer.code in _ENDS


def _to_the_end(ports: Sequence[int], purse: str, chance: random.Random) -> Iterator[Answer]:
    """One call after the other, until two in a row find no room: what ended a moment ago may still be on its way."""
    refused = 0
    with Caller(ports[0]) as caller:
        while refused < 2:
            answer = caller.ask(some(chance, purse, stream=False))
            refused = refused + 1 if _refused(answer) else 0
            yield answer


def _eyes(playing: _Playing, purse: str) -> Any:
    """What the counters say of each kind now: spent and reserved together where the store can be looked into."""
    store = playing.store
    if store is None:
        return lambda: {
            kind: amount for (name, kind), amount in site.spent(playing.gateways[0]).items() if name == purse
        }
    mine = site.budget_id(purse)

    def held() -> dict[str, int]:
        told = counters.funds(store, mine)
        return {key.split(":")[2]: one.spent + one.reserved for key, one in told.items()}

    return held


def _at_rest(playing: _Playing, purse: str) -> None:
    store = playing.store
    if store is not None:
        eventually(lambda: counters.leases(store) == 0, f"every lease of {purse} has ended")


def _summed(playing: _Playing, purse: str, served: Sequence[Order], sampled: Mapping[str, int]) -> Iterator[Seen]:
    def kept() -> list[dict[str, Any]] | None:
        found = [row for row in site.rows(playing.database) if row["user_id"] == site.user_id(purse)]
        return found if len(found) >= len(served) else None

    rows = eventually(kept, f"{len(served)} rows of {purse}")
    ledger = {
        "cost": sum(row["cost"] for row in rows),
        "tokens": sum(row["tokens_in"] + row["tokens_cache_read"] + row["tokens_out"] for row in rows),
        "requests": len(rows),
    }
    billed = {
        "cost": sum(order.cost for order in served),
        "tokens": sum(order.tokens for order in served),
        "requests": len(served),
    }
    at_provider = playing.till.purses[purse]
    outside = {"cost": at_provider.peak_cost, "tokens": at_provider.peak_tokens, "requests": at_provider.calls}
    told = site.spent(playing.gateways[0])
    reserved: Mapping[str, int] = {}
    if playing.store is not None:
        funds = counters.funds(playing.store, site.budget_id(purse))
        reserved = {key.split(":")[2]: one.reserved for key, one in funds.items()}
    for place, (kind, limit) in enumerate(playing.purses[purse].items()):
        yield Seen(
            purse=purse,
            kind=kind,
            limit=limit,
            peak=max(sampled.get(kind, 0), outside[kind]),
            spent=told[purse, kind],
            reserved=reserved.get(kind, 0),
            ledger=ledger[kind],
            billed=billed[kind],
            binding=place == 0,
        )
