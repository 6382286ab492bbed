"""One case: a fault, a surface, streamed or plain, and who stands behind it; its backends and models are its own."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from scaigrid.errors import Code
from scaigrid.ids import declared_id
from tests.faults.heard import Heard
from tests.faults.judge import Got, Row, Site, Tried, Wanted
from tests.faults.spoken import Words, says
from tests.faults.surfaces import Clients, Surface, hear
from tests.harness.provider import Behaviour, Endpoint, Provider

Way = Literal["same", "other", "crossed"]
WAYS: Final[tuple[Way, ...]] = ("same", "other", "crossed")
"""Who answers: backends that speak the caller's own protocol (the native API has none: OpenAI's), backends that speak
another one, or one of each. The last are asked by clients as they come, which ask again where they think it helps."""

WORDS: Final[Mapping[str, Words]] = {
    "first": Words(("From the ", "first one."), (11, 4)),
    "second": Words(("By the ", "second one."), (20, 5)),
    "third": Words(("Of the ", "third."), (31, 6)),
    "lonely": Words(("All ", "alone."), (13, 7)),
}
"""What each backend says and counts, so that everything tells who it was."""
_COSTS: Final[Mapping[str, tuple[int, int]]] = {
    "first": (1, 5),
    "second": (2, 6),
    "third": (4, 8),
    "lonely": (3, 9),
}
_OWN_PRICE: Final = (3, 15)
_OTHER_PRICE: Final = (7, 21)
"""Per million tokens."""
_NANO: Final = 1_000
"""Nano-units for a token, of a price of 1 per million."""


class Key(NamedTuple):
    """Which cell of the score, and which way."""

    fault: str
    surface: str
    stream: bool
    way: Way


class Case:
    """Declared first, played while the gateway runs, judged when it has stopped."""

    def __init__(self, key: Key, number: int, surface: Surface, provider: Provider, rude: Provider) -> None:
        self.key = key
        self.stream = key.stream
        self.surface = surface
        self.name = f"c{number}"
        self.got: list[Got] = []
        self.faults: list[str] = []
        """What speaks against it beyond what the judge finds."""
        self._provider = provider
        self._rude = rude
        self._hangs_up: set[str] = set()
        self._clients: Clients | None = None
        self._backends: dict[str, dict[str, Any]] = {}
        self._models: dict[str, dict[str, Any]] = {}
        self._prices: dict[str, tuple[int, int]] = {}

    # -- before the gateway runs -------------------------------------------------------------------------------------

    def backend(self, word: str, *, hangs_up: bool = False, **settings: Any) -> None:
        """`hangs_up`: it never answers, so that no connection to it is ever kept; one that is may be tried anew."""
        self._backends[word] = settings
        if hangs_up:
            self._hangs_up.add(word)

    def model(self, word: str, *backends: str, priced_otherwise: bool = False, **route: Any) -> None:
        """A model over backends, tried in this order."""
        targets = [{"backend": self.named(backend), "priority": place} for place, backend in enumerate(backends)]
        for backend in backends:
            self._backends.setdefault(backend, {})
        self._prices[word] = _OTHER_PRICE if priced_otherwise else _OWN_PRICE
        self._models[word] = {"targets": targets, **route}

    def declare(self, config: dict[str, Any]) -> None:
        """Adds the case to a configuration."""
        for word, settings in self._backends.items():
            name = self.named(word)
            kind = self._kind(word)
            provider = {"type": kind, "base_url": self.at(word).url, "api_key": "pk-not-to-be-seen"}
            config["providers"][name] = provider
            cost = _price(_COSTS[word])
            config["backends"][name] = {"provider": name, "model": "upstream-model", "cost": cost, **settings}
        for word, route in self._models.items():
            prices = _price(self._prices[word])
            limits = {"context_window": 100_000, "max_output_tokens": 1_000}
            config["models"][self.slug(word)] = {**limits, "prices": prices, "route": route}

    def _kind(self, word: str) -> str:
        """The type of a backend's provider."""
        own = self.key.way == "same" or (self.key.way == "crossed" and word in ("first", "lonely"))
        return self.surface.own if own else self.surface.other

    def named(self, word: str) -> str:
        return f"{self.name}-{word}"

    def slug(self, word: str) -> str:
        return f"{self.name}/{word}"

    # -- while it runs -----------------------------------------------------------------------------------------------

    def join(self, clients: Clients) -> None:
        self._clients = clients

    def at(self, word: str) -> Endpoint:
        """A backend's end of the wire."""
        provider = self._rude if word in self._hangs_up else self._provider
        return provider.at(f"/{self.named(word)}/v1")

    def plan(self, **behaviours: Sequence[Behaviour]) -> None:
        """What backends do with their next calls. After those they answer as they should."""
        for word, planned in behaviours.items():
            self.at(word).then(*planned)

    def always(self, **behaviours: Behaviour) -> None:
        """What backends do from now on."""
        for word, behaviour in behaviours.items():
            self.at(word).always(behaviour)

    def sound(self) -> None:
        """Every backend answers as it should."""
        for word in self._backends:
            self.at(word).always(says(WORDS[word]))

    async def answered(self, model: str, *tried: Tried | str) -> Heard:
        """A call that is to be answered by the last of these, after the others have failed."""
        return await self.ask(Wanted(model=model, tried=attempts(tried)))

    async def refused(self, told: Code, model: str, *tried: Tried | str, retry_after: int | None = None) -> Heard:
        """A call that is to fail ahead of its first byte."""
        return await self.ask(Wanted(model=model, tried=attempts(tried), told=told, retry_after=retry_after))

    async def broken_off(self, told: Code, model: str, backend: str, said: str | None = None) -> Heard:
        """A stream that is to fail once it has begun."""
        return await self.ask(Wanted(model=model, tried=(Tried(backend, told),), told=told, begun=True, said=said))

    async def ask(self, wanted: Wanted, *, again: bool | None = None) -> Heard:
        """A call; what is heard of it is kept with what was wanted."""
        before = self.counts()
        heard = await self.hear(wanted.model, again=self._may_ask_again(wanted) if again is None else again)
        self.note(wanted, heard, self.since(before))
        return heard

    async def hear(self, model: str, *, again: bool = False) -> Heard:
        """A call of which nothing is kept."""
        assert self._clients is not None
        return await hear(self.surface, self._clients, self.slug(model), stream=self.stream, again=again)

    def note(self, wanted: Wanted, heard: Heard, asked: Mapping[str, int]) -> None:
        """Keeps what came of a call."""
        told = {word: count for word, count in asked.items() if count}
        self.got.append(Got(wanted=wanted, heard=heard, asked=told))

    def counts(self) -> dict[str, int]:
        """How often each backend has been asked."""
        return {word: len(self.at(word).requests) for word in self._backends}

    def since(self, before: Mapping[str, int]) -> dict[str, int]:
        """How often since then."""
        return {word: count - before[word] for word, count in self.counts().items()}

    @property
    def has_sdk(self) -> bool:
        return self.surface.dialect != "native"

    def _may_ask_again(self, wanted: Wanted) -> bool:
        """Clients as they come, where they have no reason to ask again: that they do not is seen by the counts."""
        told = wanted.told
        final = told is None or wanted.begun or told in _FINAL
        return self.key.way == "crossed" and final

    # -- when it has stopped -----------------------------------------------------------------------------------------

    @property
    def backend_ids(self) -> dict[str, str]:
        return {word: declared_id("be", self.named(word)) for word in self._backends}

    def site(self) -> Site:
        """What the judge has to know."""
        return Site(
            dialect=self.surface.dialect,
            stream=self.stream,
            finish=self.surface.finish,
            tells_usage=self.surface.tells_usage,
            words=WORDS,
            backends={word: self.named(word) for word in self._backends},
            ids=self.backend_ids,
            models={word: self.slug(word) for word in self._models},
            prices={word: _nano(price) for word, price in self._prices.items()},
            costs={word: _nano(_COSTS[word]) for word in self._backends},
        )

    def take_rows(self, rows: Sequence[Row]) -> None:
        """Hands each call its rows, of all those of the case in their order; the last one gets the rest."""
        left = list(rows)
        for got in self.got[:-1]:
            size = sum(len(request) for request in got.wanted.requests)
            got.rows, left = left[:size], left[size:]
        if self.got:
            self.got[-1].rows = left


_FINAL: Final = frozenset({Code.CONTEXT_TOO_LONG, Code.CONTENT_REFUSED, Code.UPSTREAM_SHAPE_MISMATCH})
Show = Callable[[Case], Awaitable[None]]


def attempts(tried: Sequence[Tried | str]) -> tuple[Tried, ...]:
    return tuple([Tried(one) if isinstance(one, str) else one for one in tried])


def _price(price: tuple[int, int]) -> dict[str, int]:
    return {"input": price[0], "output": price[1]}


def _nano(price: tuple[int, int]) -> tuple[int, int]:
    return (price[0] * _NANO, price[1] * _NANO)
