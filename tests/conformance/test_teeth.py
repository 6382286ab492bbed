"""The checks bite: each fault that an adapter or a renderer could have makes them fail, and nothing else does."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import Outgoing, Relaying
from scaigrid.dialect import Renderer
from scaigrid.dialects.openai_responses import RESOURCES
from scaigrid.errors import Code, GatewayError
from tests.conformance import cases, checks, faults, plans
from tests.conformance.bent import Bent, BentRenderer, Body, Frames, NoFault
from tests.conformance.cuts import whole
from tests.conformance.faults import Fault
from tests.conformance.plans import Play
from tests.conformance.ways import Inside
from tests.conformance.wire import is_list, is_object

SIGNING: Final = frozenset({"anthropic", "bedrock", "google"})
"""Providers that sign what they want back."""
NAMELESS: Final = frozenset({"google", "ollama"})
"""Providers whose tool calls may have no id, so that any will do."""
CACHELESS: Final = frozenset({"ollama"})
"""Providers that tell nothing of a cache."""
FORMS: Final = ("plain", "stream")


@cache
def all_fixtures() -> tuple[Play, ...]:
    """Every play of a fixture that is of one provider."""
    plays = [one.play for one in plans.everything() if one.play is not None and cases.is_fixture(one.recorded)]
    return tuple(play for play in plays if not cases.is_of_everybody(play.recorded))


@cache
def fixtures() -> tuple[Play, ...]:
    """Those whose answer is a success."""
    return tuple(play for play in all_fixtures() if not play.said.failed)


def over_native(provider: str, form: str) -> list[Play]:
    chosen = [play for play in fixtures() if play.provider == provider and play.client.name == "native"]
    return [play for play in chosen if play.operation == "chat" and play.stream is (form == "stream")]


def own_providers() -> list[str]:
    """Those that have fixtures of chats."""
    return sorted({play.provider for play in fixtures() if play.operation == "chat"} - {"custom"})


def bent(play: Play, **wrong: Any) -> Inside:
    return Inside({play.provider: Bent(ADAPTERS[play.provider], **wrong)})


def faulty(provider: str) -> Iterator[tuple[Fault, str]]:
    """The faults that have to be found of one provider, with the form of the answer."""
    can = ADAPTERS[provider].can
    for form in FORMS:
        if form == "stream" and "stream" not in can:
            continue
        wanted = list(faults.EVERYWHERE)
        if form == "stream":
            wanted += faults.OF_STREAMS
        if provider not in CACHELESS:
            wanted += faults.OF_CACHES
        if "tools" in can:
            wanted += faults.OF_TOOLS
            wanted += () if provider in NAMELESS else faults.OF_NAMED_CALLS
        if "reasoning" in can:
            wanted += faults.OF_REASONING
        if provider in SIGNING:
            wanted += faults.OF_SIGNATURES
        if "citations" in can:
            wanted += faults.OF_CITATIONS
        yield from ((fault, form) for fault in wanted)


WRITTEN_OUT: Final = ("anthropic", "bedrock", "cohere", "google", "ollama", "openai")
"""Those of which every fault has to be found; of the others that have fixtures, whatever they show."""


@pytest.mark.parametrize(
    ("provider", "fault", "form"),
    [
        pytest.param(provider, fault, form, id=f"{provider}-{fault.__name__}-{form}")
        for provider in own_providers()
        for fault, form in faulty(provider)
    ],
)
def test_a_fault_in_an_answer_is_found(provider: str, fault: Fault, form: str) -> None:
    """In every fixture that has what the fault spoils; and for the written out there is one."""
    found = 0
    for play in over_native(provider, form):
        try:
            checks.translates(bent(play, events=fault), play, whole(play.recorded.response_body))
        except NoFault:
            continue
        except AssertionError as error:
            assert str(error).startswith(f"{play}:")  # noqa: PT017 - one of many
            found += 1
        else:
            pytest.fail(f"{fault.__name__} is not found in {play}")
    assert found or provider not in WRITTEN_OUT, f"no fixture of {provider} shows {fault.__name__} in a {form} answer"


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in fixtures()])
def test_without_a_fault_nothing_is_found(play: Play) -> None:
    checks.holds(bent(play), play, whole(play.recorded.response_body))


# -- what has to come back -------------------------------------------------------------------------------------------


def signing() -> list[Play]:
    translated = [play for play in fixtures() if play.mode != "passed" and checks.signed(play.said)]
    return [play for play in translated if play.is_of_its_own]


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in signing()])
def test_what_does_not_come_back_is_found(play: Play) -> None:
    checks.carries_state(bent(play), play)
    with pytest.raises(AssertionError, match="the next turn"):
        checks.carries_state(bent(play, body=without_signatures(checks.signed(play.said))), play)


def without_signatures(signed: Sequence[str]) -> Callable[[Body], Body]:
    """Loses the last of what was signed on its way back."""

    def bend(value: Any) -> Any:
        if value == signed[-1] or checks.plain(value) == signed[-1]:
            return "c2lnbmVkIG90aGVyd2lzZQ=="
        if is_object(value):
            return {"other" if name == signed[-1] else name: bend(inner) for name, inner in value.items()}
        return list(map(bend, value)) if is_list(value) else value

    return bend


def test_there_is_something_signed_of_everybody_who_signs() -> None:
    assert SIGNING & set(ADAPTERS) <= {play.provider for play in signing()}


# -- faults of a relay, and of a renderer ----------------------------------------------------------------------------


def drops_the_last_frame(frames: Frames) -> Frames:
    return frames[:-1]


def with_data(frames: Frames) -> list[int]:
    """Where those stand that are not comments alone."""
    return [place for place, frame in enumerate(frames) if b"data:" in frame]


def drops_a_frame(frames: Frames) -> Frames:
    places = with_data(frames)
    return [frame for place, frame in enumerate(frames) if place != places[1]] if len(places) > 2 else frames


def swaps_two_frames(frames: Frames) -> Frames:
    if len(with_data(frames)) < 3:
        return frames
    one, other = with_data(frames)[:2]
    return [frames[{one: other, other: one}.get(place, place)] for place in range(len(frames))]


def repeats_the_end(frames: Frames) -> Frames:
    return [*frames, frames[-1]] if len(frames) > 1 else frames


def repeats_a_frame(frames: Frames) -> Frames:
    return [frames[with_data(frames)[0]], *frames] if len(frames) > 1 else frames


def keeps_the_model(frames: Frames) -> Frames:
    return [frame.replace(b"conformance/model", b"another-model") for frame in frames]


def rounds_a_frame_off(frames: Frames) -> Frames:
    return [*frames[:-1], frames[-1][:-1]]


FRAME_FAULTS: Final = (
    drops_the_last_frame,
    drops_a_frame,
    swaps_two_frames,
    repeats_the_end,
    repeats_a_frame,
    keeps_the_model,
    rounds_a_frame_off,
)
OF_PLAIN: Final = (keeps_the_model, rounds_a_frame_off, drops_the_last_frame)
FrameFault = Callable[[Frames], Frames]


def frame_faults(plays: Sequence[Play]) -> list[pytest.ParameterSet]:
    return [
        pytest.param(fault, play, id=f"{fault.__name__}-{play}")
        for play in plays
        for fault in (FRAME_FAULTS if play.stream else OF_PLAIN)
    ]


def passing() -> list[Play]:
    return [play for play in fixtures() if play.mode == "passed" and play.operation in ("chat", "kept")]


@pytest.mark.parametrize(("fault", "play"), frame_faults(passing()))
def test_a_fault_in_what_is_passed_is_found(fault: FrameFault, play: Play) -> None:
    try:
        with pytest.raises(AssertionError, match="-passed"):
            checks.passes_through(bent(play, frames=fault), play, whole(play.recorded.response_body))
    except NoFault:
        pytest.skip("it spoils nothing here")


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in passing() if play.said.tokens])
def test_a_passed_answer_that_is_not_counted_is_found(play: Play) -> None:
    with pytest.raises(AssertionError, match="billed by None"):
        checks.passes_through(bent(play, counts=False), play, whole(play.recorded.response_body))


def tells_the_providers_name(relaying: Relaying) -> Relaying:
    return msgspec.structs.replace(relaying, name=str)


def tells_another_name(relaying: Relaying) -> Relaying:
    return msgspec.structs.replace(relaying, held="resp_another", name="resp_of_{}".format)


def with_names() -> list[Play]:
    """Those whose answers have a name, which the gateway has to give them."""
    passed = [play for play in fixtures() if play.mode == "passed" and play.protocol.name.startswith("openai ")]
    plain = [play for play in passed if play.surface.startswith("openai/responses") and not play.stream]
    return [play for play in plain if not play.surface.endswith("input_items")]


def resting() -> list[Play]:
    return [play for play in fixtures() if play.rests_on is not None]


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in with_names()])
def test_a_wrong_name_of_a_stored_answer_is_found(play: Play) -> None:
    with pytest.raises(AssertionError, match=r"is told|does not lead to"):
        checks.passes_through(bent(play, relaying=tells_another_name), play)
    if play.operation != "resource":
        # The name of a resource is the one that the client has given.
        with pytest.raises(AssertionError, match="is told"):
            checks.passes_through(bent(play, relaying=tells_the_providers_name), play)


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in resting()])
def test_a_call_that_rests_on_another_answer_is_found(play: Play) -> None:
    def of_another(outgoing: Outgoing) -> Outgoing:
        return msgspec.structs.replace(outgoing, held="resp_another")

    with pytest.raises(AssertionError, match=r"upstream|the provider was asked at"):
        checks.passes_through(bent(play, outgoing=of_another), play)


def test_each_thing_that_can_be_asked_about_a_stored_answer_is_asked() -> None:
    asked = {(play.recorded.method, urlsplit(play.path).path) for play in resting() if play.operation == "resource"}
    there = {(method, path) for path, methods in RESOURCES.items() for method in methods}
    assert asked == there


def rendered() -> list[Play]:
    """Of each dialect a stream and a plain answer of text, and of a tool's call."""
    found: dict[tuple[str, bool, bool], Play] = {}
    for play in fixtures():
        if play.mode != "passed" and play.operation == "chat" and len(play.said.choices) == 1:
            choice = play.said.choices[0]
            if len(choice.text) > 3:
                found.setdefault((play.client.name, play.stream, bool(choice.tools)), play)
    return list(found.values())


@pytest.mark.parametrize(("fault", "play"), frame_faults(rendered()))
def test_a_fault_in_what_is_rendered_is_found(fault: FrameFault, play: Play) -> None:
    def renders(renderer: Renderer) -> Renderer:
        return BentRenderer(renderer, fault)

    way = Inside({play.provider: ADAPTERS[play.provider]}, renders)
    try:
        with pytest.raises(AssertionError, match=f"^{play}:"):
            checks.translates(way, play, whole(play.recorded.response_body))
    except NoFault:
        pytest.skip("it spoils nothing here")


# -- faults of an encoder, and of the reading of refusals ------------------------------------------------------------


def without_the_last_member(body: Body) -> Body:
    return dict(list(body.items())[:-1])


def warmer(body: Body) -> Body:
    return {**body, "temperature": 1.75}


def without_its_first_list(body: Body) -> Body:
    place = next((name for name, value in body.items() if isinstance(value, list)), None)
    if place is None:
        raise NoFault
    return {name: value[1:] if name == place else value for name, value in body.items()}


@pytest.mark.parametrize("fault", [without_the_last_member, warmer, without_its_first_list])
@pytest.mark.parametrize("provider", own_providers())
def test_a_fault_in_a_call_is_found(fault: Callable[[Body], Body], provider: str) -> None:
    plays = [play for play in over_native(provider, "plain") if play.mode == "translated"]
    assert plays, f"no fixture of {provider} can be asked in the native dialect"
    for play in plays[:3]:
        with pytest.raises((AssertionError, LookupError)):
            checks.translates(bent(play, body=fault), play)


@pytest.mark.parametrize("fault", [warmer, dict])
@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in passing() if not play.stream])
def test_a_fault_in_a_passed_call_is_found(fault: Callable[[Body], Body], play: Play) -> None:
    """Other white space alone is one: the bytes have to be the caller's."""
    with pytest.raises(AssertionError, match="upstream"):
        checks.passes_through(bent(play, body=fault), play)


def refusals() -> list[Play]:
    refused = [play for play in all_fixtures() if play.recorded.status >= 400]
    return [play for play in refused if Code.BACKEND_TIMEOUT not in play.said.failed]


@pytest.mark.parametrize("play", [pytest.param(play, id=str(play)) for play in refusals()])
def test_a_refusal_under_another_code_is_found(play: Play) -> None:
    with pytest.raises(AssertionError, match="BACKEND_TIMEOUT instead of"):
        checks.holds(bent(play, error=GatewayError(Code.BACKEND_TIMEOUT)), play)
