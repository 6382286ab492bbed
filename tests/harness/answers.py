"""Answers for tests of dialects and translations: sequences of events, and what a client reads out of its bytes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from scaigrid.types import (
    Done,
    Event,
    FinishReason,
    Reasoning,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
)


class Answered(msgspec.Struct):
    """What a renderer may know of the request."""

    request_id: str = "req_0123456789abcdef0123456789abcdef"
    started_at: float = 1_700_000_000.75
    cost: int = 420_000


class ReadTool(msgspec.Struct):
    id: str = ""
    name: str = ""
    arguments: str = ""


class ReadChoice(msgspec.Struct):
    """One choice as a client puts it together."""

    roles: list[str] = []
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    tools: dict[int, ReadTool] = {}
    provider_state: str | None = None
    logprobs: list[Any] = []
    finishes: list[str] = []


def frames(stream: bytes) -> list[tuple[str, str]]:
    """The event name (`message` where there is none) and the data of each SSE frame; every frame has to be whole."""
    assert stream == b"" or stream.endswith(b"\n\n")
    found: list[tuple[str, str]] = []
    for frame in stream.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        found.append((fields.get("event", "message"), fields["data"]))
    return found


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The decoded chunks of a stream that ended well."""
    *data, last = [data for _, data in frames(stream)]
    assert last == "[DONE]"
    return [json.loads(one) for one in data]


def gather(found: Sequence[dict[str, Any]], reasoning: str) -> dict[int, ReadChoice]:
    """The choices of streamed chunks; `reasoning` is the dialect's name for it."""
    choices: dict[int, ReadChoice] = {}
    for one in (choice for chunk in found for choice in chunk["choices"]):
        choice = choices.setdefault(one["index"], ReadChoice())
        delta = one["delta"]
        assert not choice.finishes, "a choice went on after its end"
        choice.roles += [delta["role"]] if "role" in delta else []
        choice.text += delta.get("content") or ""
        choice.refusal += delta.get("refusal", "")
        choice.reasoning += delta.get(reasoning, "")
        choice.logprobs += _log_probs_of(one)
        for piece in delta.get("tool_calls", ()):
            tool = choice.tools.setdefault(piece["index"], ReadTool())
            tool.id += piece.get("id", "")
            tool.name += piece["function"].get("name", "")
            tool.arguments += piece["function"].get("arguments", "")
        choice.provider_state = delta.get("provider_state", choice.provider_state)
        choice.finishes += [one["finish_reason"]] if one["finish_reason"] else []
    return choices


def _log_probs_of(choice: dict[str, Any]) -> list[Any]:
    given: dict[str, Any] | None = choice.get("logprobs")
    content: list[Any] | None = given["content"] if given else None
    return content or []


def whole(found: Sequence[dict[str, Any]], reasoning: str) -> dict[int, ReadChoice]:
    """The choices of a plain answer, in the same form."""
    return {
        one["index"]: ReadChoice(
            roles=[one["message"]["role"]],
            text=one["message"]["content"] or "",
            refusal=one["message"].get("refusal") or "",
            reasoning=one["message"].get(reasoning, ""),
            tools={
                place: ReadTool(tool["id"], tool["function"]["name"], tool["function"]["arguments"])
                for place, tool in enumerate(one["message"].get("tool_calls", ()))
            },
            provider_state=one["message"].get("provider_state"),
            logprobs=_log_probs_of(one),
            finishes=[one["finish_reason"]],
        )
        for one in found
    }


# -- arbitrary answers -----------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_FINISH: st.SearchStrategy[FinishReason] = st.sampled_from(("stop", "length", "tool_calls", "content_filter"))
_TOKENS = st.integers(0, 2**40)
usages: st.SearchStrategy[Usage] = st.builds(
    Usage,
    input=_TOKENS,
    cache_read=_TOKENS,
    cache_write=_TOKENS,
    cache_write_1h=_TOKENS,
    output=_TOKENS,
    reasoning=_TOKENS,
    audio_input=_TOKENS,
    audio_output=_TOKENS,
    image_input=_TOKENS,
    image_output=_TOKENS,
)


def _log_probs(text: str) -> msgspec.Raw:
    return msgspec.Raw(json.dumps({"content": [{"token": text, "logprob": -0.5}], "refusal": None}).encode())


@st.composite
def _choice(draw: st.DrawFn, index: int) -> list[Event]:
    """The events of one choice, with its end."""
    events: list[Event] = []
    slots: set[int] = set()
    for kind in draw(st.lists(st.sampled_from(("text", "certain", "reasoning", "signed", "refusal", "tool")))):
        text = draw(_TEXT)
        match kind:
            case "text":
                events.append(Text(text, index))
            case "certain":
                events.append(Text(text, index, _log_probs(text)))
            case "reasoning":
                events.append(Reasoning(text=text, index=index))
            case "signed":
                signature = draw(st.sampled_from(("c2lnbmVk", "c2VhbGVk")))
                events.append(Reasoning(text=text, signature=signature, provider="anthropic", index=index))
            case "refusal":
                events.append(Refusal(text, index))
            case _:
                slot = draw(st.integers(0, 9))
                head = ("", "") if slot in slots else (f"call_{index}_{slot}", f"tool_{slot}")
                events.append(ToolCall(slot, *head, arguments=text, index=index))
                slots.add(slot)
    return [*events, Done(draw(_FINISH), index)]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """A whole answer of up to three choices, their events mixed in any order that keeps each choice's own."""
    queues: list[Iterator[Event]] = [iter(draw(_choice(index))) for index in range(draw(st.integers(1, 3)))]
    events: list[Event] = []
    while queues:
        queue = draw(st.sampled_from(queues))
        event = next(queue, None)
        if event is None:
            queues.remove(queue)
        else:
            events.append(event)
    for usage in draw(st.lists(usages, max_size=2)):
        events.insert(draw(st.integers(0, len(events))), usage)
    return [
        Start(draw(st.sampled_from(("chatcmpl-1", "msg_1", ""))), draw(st.sampled_from((0, 1_735_689_600)))),
        *events,
    ]


def told(events: Sequence[Event]) -> dict[int, ReadChoice]:
    """What the client has to read out of these events, `provider_state` apart."""
    choices: dict[int, ReadChoice] = {}
    slots: dict[tuple[int, int], int] = {}
    for event in events:
        if isinstance(event, Text | Reasoning | Refusal | ToolCall | Done):
            choice = choices.setdefault(event.index, ReadChoice(roles=["assistant"]))
            match event:
                case Text():
                    choice.text += event.text
                    choice.logprobs += json.loads(bytes(event.logprobs))["content"] if event.logprobs else []
                case Reasoning():
                    choice.reasoning += event.text
                case Refusal():
                    choice.refusal += event.text
                case ToolCall():
                    place = slots.setdefault((event.index, event.slot), len(choice.tools))
                    tool = choice.tools.setdefault(place, ReadTool())
                    tool.id, tool.name = tool.id or event.id, tool.name or event.name
                    tool.arguments += event.arguments
                case Done():
                    choice.finishes.append(event.reason)
    return choices


def last_usage(events: Sequence[Event]) -> Usage | None:
    return next((event for event in reversed(events) if isinstance(event, Usage)), None)
