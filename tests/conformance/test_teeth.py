"""The checks bite: each fault that an adapter could have makes them fail, and nothing else does."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import Adapter, Decoder, Header, Offers, Outgoing, Pipe, Target, UpstreamRequest
from scaigrid.call import Call
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Done, Event, Reasoning, Start, Text, ToolCall, Usage
from tests.conformance import cases, checks, plans
from tests.conformance.plans import Passed, Translated
from tests.conformance.ways import Inside
from tests.harness.recordings import Recorded

Frames = list[bytes]
Events = list[Event]
Body = dict[str, Any]


def same_events(events: Events) -> Events:
    return events


def same_frames(frames: Frames) -> Frames:
    return frames


def same_body(body: Body) -> Body:
    return body


class BentDecoder:
    """Tells all at the end, so that a fault may look at the whole answer."""

    def __init__(self, decoder: Decoder, bend: Callable[[Events], Events]) -> None:
        self._decoder = decoder
        self._bend = bend
        self._events: Events = []

    @property
    def ended(self) -> bool:
        return self._decoder.ended

    def feed(self, chunk: bytes) -> Sequence[Event]:
        self._events += self._decoder.feed(chunk)
        return ()

    def close(self) -> Sequence[Event]:
        events = [*self._events, *self._decoder.close()]
        bent = self._bend(events)
        if bent == events and self._bend is not same_events:
            raise ValueError(f"{self._bend} is no fault")
        return bent


class BentPipe:
    """Passes all on at the end, frame by frame; a plain answer is one frame."""

    def __init__(self, pipe: Pipe, bend: Callable[[Frames], Frames], *, counts: bool) -> None:
        self._pipe = pipe
        self._bend = bend
        self._counts = counts
        self._body = b""

    @property
    def usage(self) -> Usage | None:
        return self._pipe.usage if self._counts else None

    @property
    def output_seen(self) -> int:
        return self._pipe.output_seen

    @property
    def ended(self) -> bool:
        return self._pipe.ended

    def feed(self, chunk: bytes) -> bytes:
        self._body += self._pipe.feed(chunk)
        return b""

    def close(self) -> bytes:
        body = self._body + self._pipe.close()
        frames = (
            [frame + b"\n\n" for frame in body.split(b"\n\n")[:-1]] if body.startswith((b"data:", b":")) else [body]
        )
        return b"".join(self._bend(frames))


class Bent:
    """An adapter with one fault."""

    dialect: ClassVar[str | None] = None
    name: ClassVar[str] = "bent"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset()
    needs_max_output: ClassVar[bool] = False

    def __init__(
        self,
        adapter: Adapter,
        *,
        events: Callable[[Events], Events] = same_events,
        frames: Callable[[Frames], Frames] = same_frames,
        body: Callable[[Body], Body] = same_body,
        counts: bool = True,
        error: GatewayError | None = None,
    ) -> None:
        self._adapter = adapter
        self._events = events
        self._frames = frames
        self._body = body
        self._counts = counts
        self._error = error

    def base_url(self) -> str | None:
        return self._adapter.base_url()

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        return self._adapter.headers(api_key, extra)

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        request = self._adapter.encode(call, target, outgoing)
        body = request.body if self._body is same_body else json.dumps(self._body(json.loads(request.body))).encode()
        return msgspec.structs.replace(request, body=body)

    def decoder(self, call: Call) -> Decoder:
        return BentDecoder(self._adapter.decoder(call), self._events)

    def relay(self, call: Call) -> Pipe:
        return BentPipe(self._adapter.relay(call), self._frames, counts=self._counts)

    def discovery(self, base_url: str, headers: tuple[Header, ...], after: str | None = None) -> UpstreamRequest:
        return self._adapter.discovery(base_url, headers, after)

    def offers(self, body: bytes) -> Offers:
        return self._adapter.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return self._error or self._adapter.error(status, headers, body)


class BentOpenAI(Bent):
    """The same for one whose provider speaks a client's dialect, so that it relays."""

    dialect = "openai"


# -- faults of a decoder ---------------------------------------------------------------------------------------------


def drops_a_tool_argument(events: Events) -> Events:
    """A value inside of the arguments, so that what is left is sound."""
    return [
        msgspec.structs.replace(one, arguments=_VALUE.sub(r"\g<1>", one.arguments))
        if isinstance(one, ToolCall)
        else one
        for one in events
    ]


_VALUE = re.compile(r'\w+("})$')
"""The end of a text at the end of arguments."""


def drops_the_usage(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Usage)]


def drops_the_last_event(events: Events) -> Events:
    return events[:-1]


def swaps_two_chunks(events: Events) -> Events:
    """The first two neighbours that differ and carry content."""
    content = Text | ToolCall | Reasoning
    place = next(
        place
        for place, (one, other) in enumerate(pairwise(events))
        if isinstance(one, content) and type(one) is type(other) and one != other
    )
    return [*events[:place], events[place + 1], events[place], *events[place + 2 :]]


def counts_the_cache_twice(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, input=one.total_input) if isinstance(one, Usage) and one.total_input else one
        for one in events
    ]


def counts_a_token_more(events: Events) -> Events:
    return [msgspec.structs.replace(one, output=one.output + 1) if isinstance(one, Usage) else one for one in events]


def ends_otherwise(events: Events) -> Events:
    return [Done("length", one.index) if isinstance(one, Done) else one for one in events]


def ends_twice(events: Events) -> Events:
    return [*events, events[-1]]


def loses_a_signature(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, signature=None) if isinstance(one, Reasoning) and one.signature else one
        for one in events
    ]


def loses_what_is_sealed(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Reasoning) or one.redacted is None]


def renames_a_tool(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, name=f"{one.name}_") if isinstance(one, ToolCall) and one.name else one
        for one in events
    ]


def changes_an_id(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, id=f"{one.id}_") if isinstance(one, ToolCall) and one.id else one for one in events
    ]


def says_more(events: Events) -> Events:
    return [events[0], Text("Sure! "), *events[1:]]


def forgets_to_think(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Reasoning)]


def starts_late(events: Events) -> Events:
    """No fault: nobody has to see a `Start`."""
    return [one for one in events if not isinstance(one, Start)]


TEXT, TOOLS, THINKING = "fixtures/openai/stream#0", "fixtures/openai/stream#1", "fixtures/custom/reasoning#0"
WHOLE, CACHED = "fixtures/openai/tools#0", "fixtures/openai/plain#0"
CLAUDE, CLAUDE_WHOLE, SEALED = (
    "fixtures/anthropic/stream#0",
    "fixtures/anthropic/tools#0",
    "fixtures/anthropic/thinking#0",
)

DECODER_FAULTS: Sequence[tuple[Callable[[Events], Events], Sequence[str]]] = (
    (drops_a_tool_argument, (TOOLS, WHOLE, CLAUDE, CLAUDE_WHOLE)),
    (drops_the_usage, (TEXT, TOOLS, WHOLE, CLAUDE, CLAUDE_WHOLE)),
    (drops_the_last_event, (TEXT, TOOLS, WHOLE, CLAUDE, CLAUDE_WHOLE)),
    (swaps_two_chunks, (TEXT, TOOLS, THINKING, CLAUDE)),
    (counts_the_cache_twice, (CACHED, THINKING, CLAUDE)),
    (counts_a_token_more, (TEXT, WHOLE, CLAUDE_WHOLE)),
    (ends_otherwise, (TEXT, WHOLE, CLAUDE, CLAUDE_WHOLE)),
    (ends_twice, (TEXT, WHOLE, CLAUDE, CLAUDE_WHOLE)),
    (loses_a_signature, (CLAUDE, SEALED)),
    (loses_what_is_sealed, (CLAUDE, SEALED)),
    (renames_a_tool, (TOOLS, WHOLE, CLAUDE)),
    (changes_an_id, (TOOLS, WHOLE, CLAUDE)),
    (says_more, (TEXT, WHOLE, CLAUDE)),
    (forgets_to_think, (THINKING, CLAUDE)),
)


def recorded(name: str) -> Recorded:
    return next(one for one in cases.fixtures() if str(one) == name)


def translated(name: str, dialect: str = "native") -> Translated:
    one = recorded(name)
    return plans.messages(dialect)(one) if cases.provider(one) == "anthropic" else plans.openai_chat(one)


def inside(plan: Translated | Passed, **faults: Any) -> Inside:
    adapter = ADAPTERS[plan.provider]
    return Inside({plan.provider: (Bent if adapter.dialect is None else BentOpenAI)(adapter, **faults)})


@pytest.mark.parametrize(
    ("fault", "name"),
    [(fault, name) for fault, names in DECODER_FAULTS for name in names],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_a_fault_in_an_answer_is_found(fault: Callable[[Events], Events], name: str) -> None:
    plan = translated(name)
    with pytest.raises(AssertionError, match=f"^{name} over native:"):
        checks.translates(inside(plan, events=fault), plan)


@pytest.mark.parametrize("name", [TEXT, TOOLS, THINKING, WHOLE, CACHED, CLAUDE, CLAUDE_WHOLE, SEALED])
def test_without_a_fault_nothing_is_found(name: str) -> None:
    plan = translated(name)
    checks.translates(inside(plan, events=starts_late), plan)


@pytest.mark.parametrize("fault", [loses_a_signature, loses_what_is_sealed])
@pytest.mark.parametrize("name", [CLAUDE, SEALED])
def test_what_does_not_come_back_is_found(fault: Callable[[Events], Events], name: str) -> None:
    plan = plans.answer_to("openai")(recorded(name))
    checks.carries_state(inside(plan), plan)
    with pytest.raises(AssertionError, match="thoughts"):
        checks.carries_state(inside(plan, events=fault), plan)


def test_a_signature_that_is_lost_on_its_way_back_is_found() -> None:
    plan = plans.answer_to("native")(recorded(SEALED))
    with pytest.raises(AssertionError, match="the next turn's thinking"):
        checks.carries_state(inside(plan, body=unsigned), plan)


def unsigned(body: Body) -> Body:
    for message in body["messages"]:
        for block in message["content"]:
            if block["type"] == "thinking":
                block["signature"] += "="
    return body


# -- faults of a relay -----------------------------------------------------------------------------------------------


def first(frames: Frames, text: bytes) -> int:
    return next(place for place, frame in enumerate(frames) if text in frame)


def drops_a_passed_argument(frames: Frames) -> Frames:
    place = first(frames, b"Oslo")
    return [*frames[:place], frames[place].replace(b"Oslo", b""), *frames[place + 1 :]]


def drops_the_passed_usage(frames: Frames) -> Frames:
    if len(frames) > 1:
        return [frame for frame in frames if b'"prompt_tokens"' not in frame]
    return [json.dumps({name: value for name, value in json.loads(frames[0]).items() if name != "usage"}).encode()]


def drops_the_passed_end(frames: Frames) -> Frames:
    return frames[:-1]


def swaps_two_frames(frames: Frames) -> Frames:
    return [frames[0], frames[2], frames[1], *frames[3:]]


def repeats_the_end(frames: Frames) -> Frames:
    return [*frames, frames[-1]]


def repeats_a_frame(frames: Frames) -> Frames:
    return [frames[0], *frames]


def keeps_the_model(frames: Frames) -> Frames:
    return [frame.replace(b"conformance/model", b"gpt-test-1") for frame in frames]


def leaves_an_unknown_field_out(frames: Frames) -> Frames:
    return [frame.replace(b',"system_fingerprint":"fp_1"', b"", 1) for frame in frames]


def rounds_a_frame_off(frames: Frames) -> Frames:
    return [*frames[:-1], frames[-1][:-1]]


RELAY_FAULTS: Sequence[tuple[Callable[[Frames], Frames], Sequence[str]]] = (
    (drops_a_passed_argument, (TOOLS, WHOLE)),
    (drops_the_passed_usage, (TEXT, CACHED)),
    (drops_the_passed_end, (TEXT, TOOLS)),
    (swaps_two_frames, (TEXT, TOOLS)),
    (repeats_the_end, (TEXT,)),
    (repeats_a_frame, (TEXT, TOOLS)),
    (keeps_the_model, (TEXT, CACHED)),
    (leaves_an_unknown_field_out, (TEXT, CACHED)),
    (rounds_a_frame_off, (TEXT, TOOLS)),
)


@pytest.mark.parametrize(
    ("fault", "name"),
    [(fault, name) for fault, names in RELAY_FAULTS for name in names],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_a_fault_in_what_is_passed_is_found(fault: Callable[[Frames], Frames], name: str) -> None:
    plan = plans.passed(recorded(name))
    checks.passes_through(inside(plan), plan)
    with pytest.raises(AssertionError, match=f"^{name} over openai:"):
        checks.passes_through(inside(plan, frames=fault), plan)


@pytest.mark.parametrize("name", [TEXT, TOOLS, CACHED])
def test_a_passed_answer_that_is_not_counted_is_found(name: str) -> None:
    plan = plans.passed(recorded(name))
    with pytest.raises(AssertionError, match="billed by None"):
        checks.passes_through(inside(plan, counts=False), plan)


# -- faults of an encoder, and of the reading of refusals ------------------------------------------------------------


def without_the_last_message(body: Body) -> Body:
    return {**body, "messages": body["messages"][:-1]}


def warmer(body: Body) -> Body:
    return {**body, "temperature": 1}


def of_another_model(body: Body) -> Body:
    return {**body, "model": "another"}


def without_its_tools(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "tools"}


@pytest.mark.parametrize("fault", [without_the_last_message, warmer, of_another_model, without_its_tools])
@pytest.mark.parametrize("name", ["fixtures/openai/tools#1", "fixtures/custom/parts#0", "fixtures/anthropic/tools#1"])
def test_a_fault_in_a_call_is_found(fault: Callable[[Body], Body], name: str) -> None:
    plan = translated(name)
    with pytest.raises(AssertionError, match="upstream"):
        checks.translates(inside(plan, body=fault), plan)


@pytest.mark.parametrize("fault", [without_the_last_message, warmer, of_another_model, without_its_tools, dict])
def test_a_fault_in_a_passed_call_is_found(fault: Callable[[Body], Body]) -> None:
    """Other white space alone is one: the bytes have to be the caller's."""
    plan = plans.passed(recorded("fixtures/openai/tools#1"))
    with pytest.raises(AssertionError, match="upstream"):
        checks.passes_through(inside(plan, body=fault), plan)


@pytest.mark.parametrize(
    "name", ["fixtures/openai/refusals#0", "fixtures/openai/refusals#2", "fixtures/openai/refusals#3"]
)
def test_a_refusal_under_another_code_is_found(name: str) -> None:
    wrong = GatewayError(Code.BACKEND_TIMEOUT)
    passed, native = plans.passed(recorded(name)), translated(name)
    checks.passes_through(inside(passed), passed)
    checks.translates(inside(native), native)
    with pytest.raises(AssertionError, match="BACKEND_TIMEOUT instead of"):
        checks.passes_through(inside(passed, error=wrong), passed)
    with pytest.raises(AssertionError, match="BACKEND_TIMEOUT instead of"):
        checks.translates(inside(native, error=wrong), native)
