"""The witnesses notice what they are there for: an unpatched client in front of a gateway that is not to be trusted."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.faults import __main__ as command
from tests.faults.case import WAYS, WORDS, Case, Key
from tests.faults.fault import Fault
from tests.faults.heard import Heard
from tests.faults.kinds import FAULTS
from tests.faults.play import cases, verdict
from tests.faults.score import Score, Verdicts
from tests.faults.spoken import CLOSE, breaks, cut_off, half, refuses, says, shortened
from tests.faults.surfaces import SURFACES, Clients, Surface, hear
from tests.harness.behaviours import answer, compact
from tests.harness.provider import Behaviour, Provider

WITH_SDK = {name: surface for name, surface in SURFACES.items() if surface.dialect != "native"}
"""The protocols that a scripted provider speaks: here it stands where the gateway should."""


async def heard_of(provider: Provider, surface: Surface, *, stream: bool, again: bool = False) -> Heard:
    async with Clients(provider.url, "key") as clients:
        return await hear(surface, clients, "any", stream=stream, again=again)


def asked(surface: Surface, behaviour: Behaviour, *, stream: bool, again: bool = False) -> tuple[Heard, int]:
    """What its users hear of a gateway that does this, and how often they asked."""
    with Provider() as provider:
        gateway = provider.at("/").always(behaviour)
        heard = asyncio.run(heard_of(provider, surface, stream=stream, again=again))
        return heard, len(gateway.requests)


@pytest.mark.parametrize("surface", WITH_SDK.values(), ids=WITH_SDK)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_a_whole_answer_looks_complete(surface: Surface, stream: bool) -> None:
    words = WORDS["first"]
    heard, _ = asked(surface, says(words), stream=stream)
    assert (heard.looks_complete, heard.text, heard.finish) == (True, words.text, surface.finish)


@pytest.mark.parametrize("surface", WITH_SDK.values(), ids=WITH_SDK)
def test_a_stream_that_merely_stops_looks_complete_to_every_sdk(surface: Surface) -> None:
    """So it is for the gateway to say that it is not; the suite would see one that does not."""
    heard, _ = asked(surface, breaks(WORDS["first"], half(), shortened), stream=True)
    assert (heard.looks_complete, heard.raised, heard.text) == (True, "", WORDS["first"].texts[0])


@pytest.mark.parametrize("surface", WITH_SDK.values(), ids=WITH_SDK)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_a_connection_that_breaks_is_raised_without_a_code_of_ours(surface: Surface, stream: bool) -> None:
    heard, _ = asked(surface, breaks(WORDS["first"], half(CLOSE), cut_off), stream=stream)
    assert (heard.looks_complete, heard.code) == (False, None)
    assert heard.raised


def test_a_native_stream_without_its_end_is_noticed() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "From"}, "finish_reason": None}]}
    body = b"data: " + compact(chunk) + b"\n\n"
    heard, _ = asked(SURFACES["native-chat"], answer(body), stream=True)
    assert (heard.looks_complete, heard.raised, heard.text) == (False, "no [DONE]", "From")


@pytest.mark.parametrize("surface", WITH_SDK.values(), ids=WITH_SDK)
def test_clients_as_they_come_ask_again_where_nobody_tells_them_not_to(surface: Surface) -> None:
    """Which is why calls are counted: three of them for one failure, and not one more by those that never repeat."""
    stop = ("retry-after-ms", "1")
    assert [asked(surface, refuses("broken", stop), stream=False, again=again)[1] for again in (False, True)] == [1, 3]


def test_a_gateway_that_passes_a_short_answer_on_is_found_out() -> None:
    """The judge of a case, over what an SDK has really heard of such a gateway."""
    surface = SURFACES["openai-chat"]
    fault = next(fault for fault in FAULTS if fault.name == "unended")
    with Provider() as provider:
        (case, *_) = [case for _, case in cases([fault], [surface.name], provider, provider)]
        provider.at("/").always(breaks(WORDS["first"], half(), shortened))
        asyncio.run(_shown(fault, case, provider))
    said = " ".join(verdict(case))
    assert "the client took 'From the ' for a whole answer, where UPSTREAM_SHAPE_MISMATCH was to be told" in said
    assert "the ledger has 0 rows instead of 1" in said
    assert "backends were asked never instead of {'first': 1}" in said


async def _shown(fault: Fault, case: Case, provider: Provider) -> None:
    async with Clients(provider.url, "key") as clients:
        case.join(clients)
        await fault.show(case)


# -- the score -------------------------------------------------------------------------------------------------------

ONE = FAULTS[0]
STREAMED_ALONE = ONE._replace(name="streamed-alone", not_plain="an end has no meaning here")


def scored(fault: Fault, verdicts: Verdicts) -> Score:
    return Score([fault], ["openai-chat"], verdicts)


def verdicts(fault: Fault, *streams: bool) -> dict[Key, list[str]]:
    return {Key(fault.name, "openai-chat", stream, way): [] for stream in streams for way in WAYS}


def test_a_fault_that_passes_every_way_has_passed() -> None:
    summary = scored(ONE, verdicts(ONE, True, False)).summary()
    assert (summary["passed"], summary["failed"], summary["not_applicable"]) == (2, 0, 0)


def test_one_way_that_fails_fails_the_fault_and_says_why() -> None:
    found = verdicts(ONE, True, False)
    found[Key(ONE.name, "openai-chat", False, "other")] = ["a row is missing"]
    score = scored(ONE, found)
    assert (score.cell(ONE, "openai-chat", True), score.cell(ONE, "openai-chat", False)) == ("pass", "FAIL")
    assert score.reasons()[-1] == "    other: a row is missing"


def test_what_was_not_played_has_failed() -> None:
    score = scored(ONE, verdicts(ONE, True))
    assert (score.summary()["passed"], score.summary()["failed"]) == (1, 1)
    assert score.reasons()[-1] == "    was not played"


def test_one_way_that_was_not_played_fails_the_fault() -> None:
    found = verdicts(ONE, True, False)
    del found[Key(ONE.name, "openai-chat", True, "crossed")]
    assert scored(ONE, found).summary()["failed"] == 1


def test_what_has_no_meaning_for_plain_calls_is_counted_apart_with_its_reason() -> None:
    score = scored(STREAMED_ALONE, verdicts(STREAMED_ALONE, True))
    summary = score.summary()
    assert (summary["passed"], summary["failed"], summary["not_applicable"]) == (1, 0, 1)
    assert score.reasons() == ["n.a. streamed-alone, plain: an end has no meaning here"]


def test_there_are_sixteen_and_each_has_a_meaning_for_plain_calls_too() -> None:
    assert len({fault.name for fault in FAULTS}) == 16
    assert [fault.name for fault in FAULTS if fault.not_plain] == []


@pytest.mark.parametrize(("found", "code"), [([], 0), (["it broke"], 1)])
def test_the_command_ends_with_one_json_line_and_fails_where_anything_has(
    found: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(several: object, directory: Path) -> None: ...

    def same(case: Case) -> list[str]:
        return found

    monkeypatch.setattr(command, "play", nothing)
    monkeypatch.setattr(command, "verdict", same)
    assert command.main([ONE.name, "--dialect", "anthropic"]) == code
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["passed"], last["failed"]) == ((0, 2) if found else (2, 0))


def test_a_fault_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["nonsense"])
    assert ended.value.code == 2
    assert "no such fault: nonsense" in capsys.readouterr().err
