"""The stream of a response, put together as a strict client does: every event has its place, every item its end."""

from collections.abc import Sequence
from typing import Any, Final

from scaigrid.errors import Code
from tests.conformance.wire import Frame

_OPENING: Final = ("response.created", "response.in_progress")
_CLOSING: Final = ("response.completed", "response.incomplete")
_GROWS: Final = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
}
_WHOLE: Final = {
    "response.output_text.done": "text",
    "response.refusal.done": "refusal",
}


def put_together(found: Sequence[Frame]) -> tuple[dict[str, Any], frozenset[Code]]:
    """The response as its events make it, and the code of its failure."""
    said = [frame.json for frame in found]
    for number, (frame, one) in enumerate(zip(found, said, strict=True)):
        assert frame.event == one["type"], f"an event {frame.event} of type {one['type']}"
        assert one["sequence_number"] == number, f"event {number} is numbered {one['sequence_number']}"
    assert tuple(one["type"] for one in said[:2]) == _OPENING, "it does not open"
    assert said[0]["response"]["output"] == []
    assert said[0]["response"]["status"] == "in_progress"
    made = _Made()
    for one in said[2:-1]:
        made.add(one)
    last = said[-1]
    if last["type"] == "error":
        return {**said[0]["response"], "output": made.begun()}, frozenset({Code(last["code"])})
    assert last["type"] in _CLOSING, f"it ends with {last['type']}"
    response: dict[str, Any] = last["response"]
    assert not made.open, f"items {sorted(made.open)} have no end"
    assert made.items == response["output"], "the items are not those of the whole response"
    assert response["id"] == said[0]["response"]["id"], "another id"
    return response, frozenset()


class _Made:
    """The items so far."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.open: set[int] = set()

    def begun(self) -> list[dict[str, Any]]:
        """What there is of an answer that broke off; calls that were not whole are none."""
        return [
            item for place, item in enumerate(self.items) if place not in self.open or item["type"] != "function_call"
        ]

    def add(self, one: dict[str, Any]) -> None:
        kind: str = one["type"]
        place: int = one["output_index"]
        if kind == "response.output_item.added":
            assert place == len(self.items), "items out of order"
            self.items.append(one["item"])
            self.open.add(place)
            return
        assert place in self.open, f"{kind} of an item that is not open"
        item: dict[str, Any] = self.items[place]
        if kind == "response.output_item.done":
            self._done(item, one["item"], place)
            return
        assert one["item_id"] == item["id"], f"{kind} of another item"
        match item["type"]:
            case "message":
                _message(item["content"], one)
            case "reasoning":
                _summary(item["summary"], one)
            case "function_call":
                _call(item, one)
            case _:
                raise AssertionError(f"{kind} of an item of type {item['type']}")

    def _done(self, item: dict[str, Any], whole: dict[str, Any], place: int) -> None:
        for name, value in item.items():
            if name not in ("status", "encrypted_content"):
                assert whole[name] == value, f"item {place}: {name} is {whole[name]!r}, and {value!r} was streamed"
        self.items[place] = whole
        self.open.remove(place)


def _message(content: list[dict[str, Any]], one: dict[str, Any]) -> None:
    kind: str = one["type"]
    place: int = one["content_index"]
    if kind == "response.content_part.added":
        assert place == len(content), "parts out of order"
        content.append(one["part"])
        return
    assert place == len(content) - 1, f"{kind} of another part"
    part: dict[str, Any] = content[place]
    if kind in _GROWS:
        part[_GROWS[kind]] += one["delta"]
        part.get("logprobs", []).extend(one.get("logprobs", ()))
    elif kind in _WHOLE:
        assert one[_WHOLE[kind]] == part[_WHOLE[kind]], f"{kind} says otherwise than its deltas"
    elif kind == "response.output_text.annotation.added":
        assert one["annotation_index"] == len(part["annotations"]), "annotations out of order"
        part["annotations"].append(one["annotation"])
    else:
        assert kind == "response.content_part.done", kind
        assert one["part"] == part, "a part that is not what was streamed"


def _summary(summary: list[dict[str, Any]], one: dict[str, Any]) -> None:
    kind: str = one["type"]
    place: int = one["summary_index"]
    if kind == "response.reasoning_summary_part.added":
        assert place == len(summary), "summaries out of order"
        summary.append(one["part"])
        return
    part: dict[str, Any] = summary[place]
    match kind:
        case "response.reasoning_summary_text.delta":
            part["text"] += one["delta"]
        case "response.reasoning_summary_text.done":
            assert one["text"] == part["text"], "a summary that is not what was streamed"
        case "response.reasoning_summary_part.done":
            assert one["part"] == part, "a summary that is not what was streamed"
        case _:
            raise AssertionError(kind)


def _call(item: dict[str, Any], one: dict[str, Any]) -> None:
    if one["type"] == "response.function_call_arguments.delta":
        item["arguments"] += one["delta"]
    else:
        assert one["type"] == "response.function_call_arguments.done", one["type"]
        assert one["arguments"] == item["arguments"], "arguments that are not what was streamed"
