"""A limit is exact: of a hundred callers at the same time a limit of five lets five in, whatever it limits.

Each case has a limit of another kind or level; the memory of one worker counts, and a Valkey for two instances.
"""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

import msgspec

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.provider import Conversation, Gate
from tests.harness.valkey import Valkey
from tests.money import site
from tests.money.callers import Answer, together
from tests.money.fact import LIMIT, Found, Room
from tests.money.orders import MOST_OUTPUT, WINDOW, WORST_TOKENS, Order, named
from tests.money.till import Till

CALLERS: Final = 100

_REQUESTS: Final = {"requests_per_minute": LIMIT}
_DAY: Final = {"requests_per_minute": None, "requests_per_day": LIMIT}
_TOKENS: Final = {"requests_per_minute": None, "tokens_per_minute": LIMIT * WORST_TOKENS}
_TOKENS_A_DAY: Final = {"requests_per_minute": None, "tokens_per_day": LIMIT * WORST_TOKENS}
_AT_ONCE: Final = {"requests_per_minute": None, "concurrent_requests": LIMIT}

CASES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "key": ("keys", _REQUESTS),
    "user": ("users", _REQUESTS),
    "tenant": ("tenants", _REQUESTS),
    "partner": ("partners", _REQUESTS),
    "model": ("models", _REQUESTS),
    "day": ("users", _DAY),
    "tokens": ("keys", _TOKENS),
    "tokens-day": ("tenants", _TOKENS_A_DAY),
    "at-once": ("users", _AT_ONCE),
    "at-once-model": ("models", _AT_ONCE),
}
"""By name: in which section the one limit of the case stands, and the limit."""
_SMALL: Final = {"memory": ("at-once",), "valkey": ("tokens",)}


class Held(Till):
    """A till that answers nobody until its gate opens, where it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: Gate | None = None

    async def __call__(self, conversation: Conversation) -> None:
        if self.gate is not None:
            await self.gate.passed()
        await super().__call__(conversation)


class Rush(msgspec.Struct, kw_only=True):
    """What became of the callers of one case."""

    name: str
    admitted: int
    refused: int
    at_provider: int
    odd: list[str] = []
    """Answers that are neither."""


def judged(rushes: Sequence[Rush]) -> Found:
    found = Found()
    for rush in rushes:
        if found.limit_admitted is None or abs(rush.admitted - LIMIT) > abs(found.limit_admitted - LIMIT):
            found.limit_admitted = rush.admitted
        found.expect(rush.admitted == LIMIT, f"{rush.name}: {rush.admitted} of {CALLERS} were let in")
        found.expect(rush.at_provider == rush.admitted, f"{rush.name}: {rush.at_provider} calls came to the provider")
        found.expect(rush.admitted + rush.refused == CALLERS and not rush.odd, f"{rush.name}: also {rush.odd}")
    return found


def show(room: Room) -> Found:
    rushes: list[Rush] = []
    for store, make in (("memory", _memory), ("valkey", _valkey)):
        names = _SMALL[store] if room.size == "small" else tuple(CASES)
        with make(room, names) as (gateways, till):
            for name in names:
                rush = _rushed(gateways, till, name)
                rushes.append(msgspec.structs.replace(rush, name=f"{store} {name}"))
                room.say(f"{store} {name:13} {rush.admitted:3} of {CALLERS} let in, {rush.refused} refused")
    return judged(rushes)


def _config(url: str, names: Sequence[str], **more: Any) -> dict[str, Any]:
    """Each case has a user, a tenant and a partner of its own, so that no other limit is in its way."""
    made = site.config(url, {name: {"tenant": name} for name in names}, **more)
    nothing: dict[str, Any] = {"limits": {"requests_per_minute": None}}
    made["partners"] |= {name: dict(nothing) for name in names}
    made["tenants"] |= {name: {"partner": name, **nothing} for name in names}
    made["models"] |= {f"m-{name}": dict(made["models"]["m"]) for name in names}
    for name in names:
        section, limits = CASES[name]
        entry = f"m-{name}" if section == "models" else name
        made[section][entry] = {**made[section][entry], "limits": dict(limits)}
    return made


@contextmanager
def _memory(room: Room, names: Sequence[str]) -> Generator[tuple[list[Gateway], Held]]:
    till = Held()
    url = room.provider.at("/limit-memory/v1").always(till).url
    with Gateway(_config(url, names), room.place("limit-memory")) as gateway:
        yield [gateway], till


@contextmanager
def _valkey(room: Room, names: Sequence[str]) -> Generator[tuple[list[Gateway], Held]]:
    """Two instances with a database each: what they share is the store."""
    till, workers = Held(), room.pick(1, 2)
    url = room.provider.at("/limit-valkey/v1").always(till).url
    with Valkey() as store, ExitStack() as running:
        made = _config(url, names, store=store, workers=workers)
        gateways = [running.enter_context(Gateway(made, room.place(f"limit-valkey-{n}"))) for n in range(2)]
        for gateway in gateways:
            gateway.workers(workers)
        yield gateways, till


def _rushed(gateways: Sequence[Gateway], till: Held, name: str) -> Rush:
    """All of them at the same time; with limits on calls at the same time nobody is answered until the rest is in."""
    till.gate = Gate() if "concurrent_requests" in CASES[name][1] else None
    model = f"m-{name}" if CASES[name][0] == "models" else "m"
    orders = [
        Order(id=named(name), purse=name, tokens_in=WINDOW, tokens_out=MOST_OUTPUT, bound=MOST_OUTPUT, model=model)
        for _ in range(CALLERS)
    ]
    answers: list[Answer] = []
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(together, [gateway.port for gateway in gateways], orders, CALLERS, answers)
        if till.gate is not None:
            with suppress(AssertionError):
                eventually(lambda: len(answers) >= CALLERS - LIMIT, "the others are refused")
            till.gate.open()
        asking.result(timeout=3 * PATIENCE)
    return Rush(
        name=name,
        admitted=sum(answer.served for answer in answers),
        refused=sum(answer.code == "RATE_LIMITED" for answer in answers),
        at_provider=till.purses[name].calls,
        odd=sorted({f"{one.status} {one.code}" for one in answers if not one.served and one.code != "RATE_LIMITED"}),
    )
