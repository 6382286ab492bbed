"""A refused call costs nothing, anywhere: no limit and no budget of any level is touched, whatever refuses it.

On a Valkey every counter is read before and after. In memory, where nobody can look, it shows in what is left: with
five calls to make at every level, and many refused in between, five is what gets through.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import secret
from tests.harness.valkey import Valkey
from tests.money import counters, site
from tests.money.callers import Caller
from tests.money.fact import LIMIT, Found, Room
from tests.money.orders import WORST_COST, WORST_TOKENS, Order, named
from tests.money.till import Till

_BEFORE: Final = 2
_WHO: Final = "caller"
_LEVELS: Final = ("partner", "tenant", "user", "key", "model")

_DEAR: Final = 1000
"""Times the price of the other model: more than the budgets have."""

REFUSALS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "no such key": ("AUTH_TOKEN_INVALID", {"key": secret("nobody")}),
    "no messages": ("VALIDATION_ERROR", {"body": {"model": "m", "messages": "none"}}),
    "no such model": ("MODEL_NOT_FOUND", {"model": "nothing"}),
    "a model for others": ("MODEL_ACCESS_DENIED", {"model": "for-others"}),
    "a model's request limit": ("RATE_LIMITED", {"model": "shut"}),
    "a model's budget": ("BUDGET_EXCEEDED", {"model": "broke"}),
    "cost budgets": ("BUDGET_EXCEEDED", {"model": "dear"}),
    "token limits and budgets": ("", {"model": "wide", "bound": 10_000}),
    "a model that is off": ("MODEL_UNAVAILABLE", {"model": "off"}),
}
"""By name, the code that is expected ('' for either of the two), and what is asked."""


class Tried(msgspec.Struct, kw_only=True):
    """One kind of refusal."""

    name: str
    codes: list[str]
    expected: str
    changed: dict[str, Any] = {}
    """Counters that were another number afterwards; where they can be read."""


class Seen(msgspec.Struct, kw_only=True):
    store: str
    tried: list[Tried]
    passed: int
    """Calls that got through in all, before and after the refused ones; there was room for LIMIT."""
    at_provider: int
    rows: int


def judged(seen: Sequence[Seen]) -> Found:
    found = Found(unsettled=0)
    for one in seen:
        for tried in one.tried:
            wanted = {tried.expected} if tried.expected else {"RATE_LIMITED", "BUDGET_EXCEEDED"}
            found.expect(set(tried.codes) <= wanted, f"{one.store}: {tried.name} answered {sorted(set(tried.codes))}")
            found.unsettled = (found.unsettled or 0) + len(tried.changed)
            found.expect(not tried.changed, f"{one.store}: {tried.name} changed {tried.changed}")
        found.expect(one.passed == LIMIT, f"{one.store}: {one.passed} calls got through where {LIMIT} have room")
        found.expect(
            one.at_provider == one.rows == one.passed,
            f"{one.store}: {one.at_provider} calls at the provider, {one.rows} rows, {one.passed} answers",
        )
    return found


def show(room: Room) -> Found:
    times = room.pick(3, 20)
    seen: list[Seen] = []
    for name, make in (("valkey", _valkey), ("memory", _memory))[: room.pick(1, 2)]:
        with make(room) as (gateway, till, store):
            one = _seen(name, gateway, till, store, times)
        counted = "all counters the same" if store is not None else "what was left was left"
        room.say(f"{name}: {len(one.tried)} kinds of refusal, {times} calls each: {counted}; {one.passed} got through")
        seen.append(one)
    return judged(seen)


def _config(url: str, **more: Any) -> dict[str, Any]:
    five = {"requests_per_minute": LIMIT, "requests_per_day": LIMIT, "concurrent_requests": LIMIT}
    tokens = {"tokens_per_minute": 6 * WORST_TOKENS, "tokens_per_day": 6 * WORST_TOKENS}
    limits = {"limits": {**five, **tokens}}
    amounts = {
        "request_limit": LIMIT,
        "token_limit": 6 * WORST_TOKENS,
        "cost_limit": site.money(6 * WORST_COST),
    }
    made = site.config(url, {_WHO: {}}, **more)
    made["partners"]["default"] = dict(limits)
    made["tenants"]["default"] = dict(limits)
    made["users"][_WHO] |= limits
    made["keys"][_WHO] |= {**limits, "models": ["m", "shut", "broke", "dear", "wide", "off"]}
    plain = made["models"]["m"]
    dear = {name: str(_DEAR * 10) for name in plain["prices"]}
    made["models"] = {
        "m": {**plain, **limits},
        "for-others": plain,
        "shut": {**plain, "limits": {"requests_per_minute": 0}},
        "broke": plain,
        "dear": {**plain, "prices": dear},
        "wide": {**plain, "context_window": 20_000, "max_output_tokens": 10_000},
        "off": {**plain, "status": "disabled"},
    }
    of = {"partner": "default", "tenant": "default", "user": _WHO, "key": _WHO, "model": "m"}
    made["budgets"] = {f"of-{level}": site.budget(level, of[level], **amounts) for level in _LEVELS}
    made["budgets"]["none"] = site.budget("model", "broke", request_limit=0)
    return made


@contextmanager
def _memory(room: Room) -> Generator[tuple[Gateway, Till, Valkey | None]]:
    till = Till()
    url = room.provider.at("/refused-memory/v1").always(till).url
    with Gateway(_config(url), room.place("refused-memory")) as gateway:
        yield gateway, till, None


@contextmanager
def _valkey(room: Room) -> Generator[tuple[Gateway, Till, Valkey | None]]:
    till = Till()
    url = room.provider.at("/refused-valkey/v1").always(till).url
    with Valkey() as store, Gateway(_config(url, store=store), room.place("refused-valkey")) as gateway:
        yield gateway, till, store


def _seen(name: str, gateway: Gateway, till: Till, store: Valkey | None, times: int) -> Seen:
    passed = 0
    tried: list[Tried] = []
    with Caller(gateway.port, dialect="native") as caller:
        for _ in range(_BEFORE):
            passed += caller.ask(_order()).served
        for what, (code, asked) in REFUSALS.items():
            before = _counted(gateway, store)
            codes = [_refused(gateway, asked) for _ in range(times)]
            after = _counted(gateway, store)
            keys = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
            changed = {key: (before.get(key), after.get(key)) for key in keys}
            tried.append(Tried(name=what, codes=codes, expected=code, changed=changed))
        for _ in range(2 * LIMIT):
            passed += caller.ask(_order()).served
    gateway.stop()
    rows = site.rows(site.database_of(gateway))
    return Seen(store=name, tried=tried, passed=passed, at_provider=till.purses[_WHO].calls, rows=len(rows))


def _order(**more: Any) -> Order:
    """It uses all that it reserves, so nothing comes back."""
    made: dict[str, Any] = {"id": named(_WHO), "purse": _WHO, "tokens_in": 100, "tokens_out": 1, "bound": 1, **more}
    return Order(**made)


def _refused(gateway: Gateway, asked: Mapping[str, Any]) -> str:
    order = _order(**{name: value for name, value in asked.items() if name in ("model", "bound")})
    with Caller(gateway.port, dialect="native", key=asked.get("key")) as caller:
        answer = caller.ask(order, body=asked.get("body"))
    return answer.code or str(answer.status)


def _counted(gateway: Gateway, store: Valkey | None) -> Mapping[str, Any]:
    """Every counter that can be read."""
    if store is not None:
        eventually(lambda: not counters.leases(store), "no call is under way")
        return counters.counters(store)
    metrics = gateway.metrics()
    taken = {
        f"taken {sorted(told.items())}": metrics.value("scaigrid_taken_total", **told)
        for told in metrics.labels("scaigrid_taken_total")
    }
    return taken | {f"spent {key}": amount for key, amount in site.spent(gateway).items()}
