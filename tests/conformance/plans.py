"""What is played: each exchange over each dialect, passed through where that may be and translated elsewhere.

Where a dialect cannot say a call, what is left is its answer, to a call that says nothing special.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import Options
from scaigrid.types import FREE
from tests.conformance import cases
from tests.conformance.cases import UNREADABLE, NotRun
from tests.conformance.client import BOUND, Client
from tests.conformance.dialects import CLIENTS
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import PROTOCOLS
from tests.conformance.streaming import streamed
from tests.conformance.told import Told
from tests.conformance.wire import inner, is_list, is_object
from tests.harness import recordings
from tests.harness.recordings import Recorded

Mode = Literal["passed", "translated", "answer"]
STREAMED: Final = "~streamed"
ONLY_PASSED: Final = frozenset({"completion", "kept"})
"""Operations that are passed through, or are none of their own."""
_WITH_BOUND: Final = 1000


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a client to the gateway, for one recorded exchange with a provider."""

    recorded: Recorded
    protocol: Protocol
    client: Client
    mode: Mode
    operation: str
    provider: str
    options: Mapping[str, Any]
    """The provider's, as an operator writes them."""
    model: str
    path: str
    asked: dict[str, Any]
    """The client's body, but for the model."""
    stream: bool
    told_as_stream: bool = False
    """The answer was recorded whole, and is told as a stream."""

    def __str__(self) -> str:
        return name(self.recorded, self.client, self.mode, told_as_stream=self.told_as_stream)

    @property
    def surface(self) -> str:
        """That of a call which is passed through."""
        found = self.protocol.surface(self.recorded)
        assert found is not None
        return found

    @property
    def rests_on(self) -> str | None:
        """The provider's own name of the stored answer that the call is about, or rests on."""
        return self.protocol.rests_on(self.recorded)

    @property
    def is_billed(self) -> bool:
        """What is counted, and what is stored, was made and is billed elsewhere."""
        return not self.said.failed and self.operation not in FREE

    @property
    def wants_usage(self) -> bool:
        if not (self.stream and self.client.name == "openai"):
            return True
        return bool(inner(self.asked, "stream_options").get("include_usage"))

    @property
    def is_of_its_own(self) -> bool:
        """Nobody stands in for the provider; who does keeps nothing for it."""
        return self.provider == self.protocol.provider(self.recorded)

    @property
    def said(self) -> Told:
        """What the recorded answer says."""
        return self.protocol.told(self.recorded)

    @property
    def expected(self) -> Told:
        """What the client has to be told of it."""
        told = self.client.tells(self.said, self.stream)
        return told if self.wants_usage else msgspec.structs.replace(told, tokens=None)


class Planned(msgspec.Struct, frozen=True):
    """A play by its name; or why it is none, or what could not be read."""

    name: str
    recorded: Recorded
    protocol: Protocol
    client: Client
    mode: Mode
    provider: str
    play: Play | None = None
    not_run: str | None = None
    error: Exception | None = None
    told_as_stream: bool = False


def name(one: Recorded, client: Client, mode: Mode, *, told_as_stream: bool) -> str:
    return f"{one}-{client.name}-{mode}{STREAMED if told_as_stream else ''}"


@cache
def everything() -> tuple[Planned, ...]:
    """All that there is to play, fixtures first."""
    return tuple(
        planned
        for one in cases.everything()
        for protocol in PROTOCOLS
        if (operation := protocol.operation(one)) is not None
        for client in CLIENTS
        for planned in _over(client, protocol, one, operation)
    )


def _over(client: Client, protocol: Protocol, one: Recorded, operation: str) -> Iterator[Planned]:
    for recorded, told_as_stream in _forms(protocol, one):
        provider, options = _player(client, protocol, recorded, operation)
        planner = _Planner(recorded, protocol, client, operation, provider, options, told_as_stream)
        surface = protocol.surface(recorded)
        if surface in client.surfaces and surface in speaks(provider, options):
            yield planner.planned("passed", planner.passed)
            continue
        if operation not in client.operations:
            continue
        call = planner.planned("translated", planner.translated)
        yield call
        if call.not_run is not None:
            answer = planner.planned("answer", planner.answer)
            if answer.not_run is None:
                yield answer


def _forms(protocol: Protocol, one: Recorded) -> Iterator[tuple[Recorded, bool]]:
    """The exchange as it was, and as it would have been as a stream."""
    yield one, False
    if protocol.as_stream is None or protocol.operation(one) != "chat":
        return
    if one.status != 200 or streamed(one):
        return
    try:
        yield protocol.as_stream(one), True
    except NotRun:
        return
    except UNREADABLE:
        # The exchange's own plan fails with it.
        return


def _player(client: Client, protocol: Protocol, one: Recorded, operation: str) -> tuple[str, Mapping[str, Any]]:
    """The provider, but not one that would pass the dialect through in another protocol."""
    provider = protocol.provider(one)
    path = client.operations.get(operation)
    surface = next((surface for surface, at in client.surfaces.items() if at == path), None)
    own = protocol.surface(one)
    if protocol.stand_in is None or surface == own or surface not in speaks(provider, protocol.options):
        return provider, protocol.options
    return protocol.stand_in, {}


def speaks(provider: str, options: Mapping[str, Any]) -> frozenset[str]:
    adapter = ADAPTERS[provider]
    return adapter.speaks(configured(provider, options))


def configured(provider: str, options: Mapping[str, Any]) -> Options:
    """The provider's options, as its adapter gets them."""
    return msgspec.convert(dict(options), ADAPTERS[provider].options)


class _Planner(msgspec.Struct, frozen=True):
    recorded: Recorded
    protocol: Protocol
    client: Client
    operation: str
    provider: str
    options: Mapping[str, Any]
    told_as_stream: bool

    def planned(self, mode: Mode, plan: Callable[[], Play]) -> Planned:
        known = (
            name(self.recorded, self.client, mode, told_as_stream=self.told_as_stream),
            self.recorded,
            self.protocol,
            self.client,
            mode,
            self.provider,
        )
        try:
            return Planned(*known, play=plan(), told_as_stream=self.told_as_stream)
        except NotRun as reason:
            return Planned(*known, not_run=str(reason), told_as_stream=self.told_as_stream)
        except UNREADABLE as error:
            return Planned(*known, error=error, told_as_stream=self.told_as_stream)

    def passed(self) -> Play:
        """The recorded call as it was; one that is told as a stream asks for no usage."""
        asked: dict[str, Any] = self.recorded.request_json or {}
        if self.told_as_stream:
            asked = {name: value for name, value in asked.items() if name != "stream_options"}
        surface = self.protocol.surface(self.recorded)
        return self._play("passed", self.client.surfaces[surface or ""], asked)

    def translated(self) -> Play:
        """The recorded call in this dialect's words."""
        native = self._for_player(self.protocol.to_native(self.recorded))
        if self.protocol.streams(self.recorded):
            native = {**native, "stream": True}
        asked = self.client.write(self.operation, native)
        return self._play("translated", self.client.operations[self.operation], asked)

    def _for_player(self, native: dict[str, Any]) -> dict[str, Any]:
        """The call with its options under the name of who plays."""
        meant = self.protocol.provider(self.recorded)
        if self.provider != meant and _addresses_of_files(native):
            raise NotRun(f"an address of a file: {meant} passes this dialect through, and who stands in takes none")
        options = native.get("provider_options", {})
        if self.provider == meant or meant not in options:
            return native
        return {**native, "provider_options": {self.provider: options[meant]}}

    def answer(self) -> Play:
        """A call that says nothing special, for the recorded answer."""
        told = self.protocol.told(self.recorded)
        native: dict[str, Any]
        match self.operation:
            case "embed":
                native = {"input": ["Go on."] * (len(told.vectors) or 1)}
            case "rerank":
                native = {"query": "Go on.", "documents": ["one"] * (len(told.ranked) or 1)}
            case _:
                native = {"messages": [{"role": "user", "content": "Go on."}], "max_tokens": _WITH_BOUND}
                if len(told.choices) > 1:
                    native["n"] = len(told.choices)
                if self.protocol.streams(self.recorded):
                    native["stream"] = True
        return self._play("answer", self.client.operations[self.operation], self.client.write(self.operation, native))

    def _play(self, mode: Mode, path: str, asked: dict[str, Any]) -> Play:
        return Play(
            recorded=self.recorded,
            protocol=self.protocol,
            client=self.client,
            mode=mode,
            operation=self.operation,
            provider=self.provider,
            options=self.options,
            model=self.protocol.model(self.recorded),
            path=path,
            asked=asked,
            stream=self.protocol.streams(self.recorded),
            told_as_stream=self.told_as_stream,
        )


def _addresses_of_files(native: dict[str, Any]) -> bool:
    contents = [message.get("content") for message in native.get("messages", ())]
    parts = [part for content in contents if is_list(content) for part in content]
    return any(part["type"] == "file" and "url" in part for part in parts)


# -- as cases of a test ----------------------------------------------------------------------------------------------


def params(claim: str, wanted: Callable[[Planned], bool] = lambda planned: True) -> list[pytest.ParameterSet]:
    """A case for each play that is wanted, or why it is not run. `claim` is what they prove."""
    made = [_param(planned) for planned in everything() if wanted(planned)]
    if recordings.folder() is None:
        made.append(skipped("recordings", f"{recordings.VARIABLE} is unset, so {claim} is proved by fixtures alone"))
    return made


def skipped(name: str, reason: str) -> pytest.ParameterSet:
    return pytest.param(None, id=name, marks=pytest.mark.skip(reason=reason))


def _param(planned: Planned) -> pytest.ParameterSet:
    if planned.not_run is not None:
        return skipped(planned.name, planned.not_run)
    # What cannot be read fails in its own case (see conftest), and in no other.
    return pytest.param(planned.play or planned.error, id=planned.name)


def bounded(body: dict[str, Any]) -> dict[str, Any]:
    """A body without the output bound that a dialect made up, and without what would be empty without it."""
    said: dict[str, Any] = {}
    for name, value in body.items():
        kept = bounded(value) if is_object(value) else value
        if value != BOUND and (kept or not value):
            said[name] = kept
    return said
