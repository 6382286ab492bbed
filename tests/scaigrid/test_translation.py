import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from scaigrid.dialect import Dialect, Renderer
from scaigrid.dialects.native import Native
from scaigrid.dialects.openai import OpenAI
from scaigrid.errors import Code, GatewayError
from scaigrid.translation import Translation
from scaigrid.types import Done, Event, Reasoning, Refusal, Start, Text, ToolCall, Usage, Vector
from tests.harness.answers import Answered, answers, chunks, gather, last_usage, whole


class Script:
    """A decoder that knows what it will have decoded: one group of events a chunk, the last ones at the end."""

    def __init__(self, *groups: Sequence[Event], last: Sequence[Event] = ()) -> None:
        self._groups: Iterator[Sequence[Event]] = iter(groups)
        self._last = last
        self.ended = False

    def feed(self, chunk: bytes) -> Sequence[Event]:
        self.ended = chunk == b"the end"
        return next(self._groups)

    def close(self) -> Sequence[Event]:
        return self._last


class Lines:
    """A renderer whose output says what it was told."""

    def render(self, events: Sequence[Event]) -> bytes:
        return b"".join(b"%s;" % type(event).__name__.encode() for event in events)

    def close(self) -> bytes:
        return b"end"


def run(*groups: Sequence[Event], last: Sequence[Event] = ()) -> tuple[list[bytes], Translation]:
    translation = Translation(Script(*groups, last=last), Lines())
    return [*(translation.feed(b"x") for _ in groups), translation.close()], translation


def test_events_go_to_the_client_as_they_come() -> None:
    pieces, _ = run([Start("x"), Text("a")], [], [Text("b")], last=[Done("stop")])
    assert pieces == [b"Start;Text;", b"", b"Text;", b"Done;end"]


def test_a_plain_answer_goes_to_the_client_at_the_end() -> None:
    dialect = OpenAI()
    call = dialect.decode(next(iter(dialect.operations)), b'{"model":"m","messages":[{}]}')
    translation = Translation(Script([Text("a")], last=[Done("stop")]), dialect.renderer(call, Answered()))
    assert translation.feed(b"x") == b""
    assert json.loads(translation.close())["choices"][0]["message"]["content"] == "a"


def test_the_last_usage_is_the_one_that_counts_and_is_told_before_the_end_is_written() -> None:
    story: list[str] = []

    class Noting(Lines):
        def close(self) -> bytes:
            story.append("close")
            return b""

    def note(usage: Usage) -> None:
        story.append(f"usage {usage.output}")

    script = Script([Usage(output=1)], [Text("a"), Done("stop")], last=[Usage(output=2)])
    translation = Translation(script, Noting(), note)
    known = [translation.usage]
    for _ in range(2):
        translation.feed(b"x")
        known.append(translation.usage)
    translation.close()
    assert [*known, translation.usage] == [None, Usage(output=1), Usage(output=1), Usage(output=2)]
    assert story == ["usage 1", "usage 2", "close"]


def test_the_cost_of_the_call_is_in_the_answer() -> None:
    answered = Answered(cost=0)

    def price(usage: Usage) -> None:
        answered.cost = usage.output * 1_000_000

    native = Native()
    call = native.decode(
        "/v1/inference/chat", b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
    )
    script = Script([Text("a"), Done("stop")], last=[Usage(output=42)])
    translation = Translation(script, native.renderer(call, answered), price)
    stream = translation.feed(b"x") + translation.close()
    assert chunks(stream)[-1]["cost"] == "0.042"


def test_the_stream_is_over_when_the_provider_says_so() -> None:
    translation = Translation(Script([Text("a")], [Done("stop")]), Lines())
    known = [translation.ended]
    for chunk in (b"more", b"the end"):
        translation.feed(chunk)
        known.append(translation.ended)
    assert known == [False, False, True]


# -- what has passed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([], 0),
        ([Text("")], 0),
        ([Text("a")], 1),
        ([Text("abcd")], 1),
        ([Text("abcde")], 2),
        ([Text("a"), Text("b"), Text("c")], 3),
        ([Text("日本")], 2),
        ([Reasoning(text="12345678"), Refusal("a"), ToolCall(0, "id", "f"), ToolCall(0, arguments="12345")], 6),
        ([Reasoning(signature="s" * 400), Usage(output=9), Start("x")], 0),
    ],
    ids=range(9),
)
def test_output_is_guessed_from_what_has_passed(events: list[Event], tokens: int) -> None:
    translation = Translation(Script(events), Lines())
    translation.feed(b"x")
    assert translation.output_seen == tokens


# -- exactly one end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        [],
        [Start("x"), Usage(input=3)],
        [Text("a")],
        [Text("a"), Text("b", 1), Done("stop")],
        [Text("a"), Reasoning(text="b", index=1), Done("stop")],
        [ToolCall(0, "1", "f"), Usage(input=3)],
    ],
    ids=range(6),
)
def test_an_answer_that_is_cut_short_is_the_providers_fault(events: list[Event]) -> None:
    translation = Translation(Script(events), Lines())
    translation.feed(b"x")
    with pytest.raises(GatewayError) as caught:
        translation.close()
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    assert caught.value.message == "The provider's answer ended before it was complete."


@pytest.mark.parametrize(
    "late",
    [Text("b"), Reasoning(text="b"), Refusal("b"), ToolCall(0, arguments="b"), Done("stop"), Done("length")],
    ids=range(6),
)
def test_an_answer_that_goes_on_after_its_end_is_the_providers_fault(late: Event) -> None:
    translation = Translation(Script([Text("a"), Done("stop")], [late, Usage(output=5)]), Lines())
    translation.feed(b"x")
    with pytest.raises(GatewayError) as caught:
        translation.feed(b"x")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    assert translation.usage == Usage(output=5), "no usage is lost, whatever came with it"


def test_what_comes_after_the_end_is_refused_at_the_close_too() -> None:
    translation = Translation(Script([Done("stop")], last=[Text("a")]), Lines())
    translation.feed(b"x")
    with pytest.raises(GatewayError):
        translation.close()


@pytest.mark.parametrize(
    "events",
    [
        [Text("a"), Done("stop"), Usage(input=3)],
        [Done("stop")],
        [Text("a"), Done("stop"), Text("b", 1), Done("stop", 1)],
        [Vector(0, Raw(b"[1]"))],
    ],
    ids=range(4),
)
def test_an_answer_that_ends_is_an_answer_even_where_nothing_was_said(events: list[Event]) -> None:
    pieces, _ = run(events)
    assert pieces[-1] == b"end"


# -- any answer ------------------------------------------------------------------------------------------------------


def _renderer(dialect: Dialect, *, stream: bool) -> Renderer:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]}
    return dialect.renderer(dialect.decode(next(iter(dialect.operations)), json.dumps(body).encode()), Answered())


@pytest.mark.parametrize("dialect", [OpenAI(), Native()], ids=lambda dialect: dialect.name)
def test_a_stream_gathered_is_the_plain_answer_however_it_is_cut(dialect: Dialect) -> None:
    reasoning = "reasoning_content" if dialect.name == "openai" else "reasoning"

    @settings(deadline=None, max_examples=50)
    @given(answers(), st.data())
    def check(events: list[Event], data: st.DataObject) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
        groups = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
        plain = Translation(Script(*groups[:-1], last=groups[-1]), _renderer(dialect, stream=False))
        streamed = Translation(Script(*groups[:-1], last=groups[-1]), _renderer(dialect, stream=True))
        waiting = [plain.feed(b"x") for _ in groups[:-1]]
        assert set(waiting) <= {b""}
        answer = json.loads(plain.close())
        stream = b"".join([*(streamed.feed(b"x") for _ in groups[:-1]), streamed.close()])
        choices = answer.get("data", answer)["choices"]
        assert gather(chunks(stream), reasoning) == whole(choices, reasoning)
        assert plain.usage == streamed.usage == last_usage(events)
        assert plain.output_seen == streamed.output_seen

    check()


@settings(deadline=None, max_examples=50)
@given(answers(), st.data())
def test_an_answer_that_lacks_any_of_its_ends_never_looks_complete(events: list[Event], data: st.DataObject) -> None:
    ends = [place for place, event in enumerate(events) if isinstance(event, Done)]
    lost = data.draw(st.sampled_from(ends))
    index = getattr(events[lost], "index", None)
    said = any(
        isinstance(event, Text | Reasoning | Refusal | ToolCall) and event.index == index for event in events[:lost]
    )
    remaining = [event for place, event in enumerate(events) if place != lost]
    translation = Translation(Script(remaining), Lines())
    translation.feed(b"x")
    if said or len(ends) == 1:
        with pytest.raises(GatewayError):
            translation.close()
    else:
        assert translation.close() == b"end"


def test_a_usage_that_cannot_be_is_told_to_no_client_and_costs_nobody_the_answer() -> None:
    heard: list[Usage] = []
    absurd = Usage(input=-1)
    script = Script([Text("a"), absurd, Done("stop")])
    translation = Translation(script, Lines(), heard.append)
    assert translation.feed(b"x") + translation.close() == b"Text;Done;end"
    assert (heard, translation.usage) == ([], absurd)


def test_what_is_said_is_kept_where_it_is_to_be_counted() -> None:
    said: list[Event] = [Text("a"), Reasoning("b"), ToolCall(0, "id", "name", "{}"), Refusal("c"), Start("x")]
    counted = Translation(Script(said), Lines(), keeps=True)
    counted.feed(b"x")
    assert counted.said == ["a", "b", "{}", "c"]
    _, other = run(said, last=[Done("stop")])
    assert other.said is None


def test_what_would_be_too_much_to_keep_is_not_kept() -> None:
    translation = Translation(Script([Text("x" * 600_000)], [Text("a")]), Lines(), keeps=True)
    translation.feed(b"x")
    translation.feed(b"x")
    assert translation.said is None
    assert translation.output_seen > 100_000
